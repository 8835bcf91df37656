"""The HTML page of a batch: every radiograph with the contours of its lungs, their measurements, and doubts."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.rows import Row
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.mask_values import MaskOptions
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.gallery.page import Card, Column, open_gallery
from lungmask_cli.gallery.picture import LEFT_LUNG, RIGHT_LUNG, THORAX_WIDTH, Picture, draw_lungs, reduced_shape
from lungmask_cli.imaging.overlay import HEART_COLOUR
from lungmask_cli.imaging.polarity import to_network_input
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS, HEART
from lungmask_cli.imaging.sides import split_sides
from lungmask_cli.inference.options import InferenceOptions
from lungmask_cli.processes import available_cores, map_in_threads
from lungmask_cli.text import pluralize

LEGEND = ((RIGHT_LUNG, "right lung (the patient's)"), (LEFT_LUNG, "left lung"))
_HEART_LEGEND = ((HEART_COLOUR, "heart, and its width"), (THORAX_WIDTH, "width of the thorax"))
# The more radiographs, the smaller the pictures, so that a browser can load the page; the smallest fill a card.
_SIDES = ((200, 768), (2000, 512))
_SMALLEST_SIDE = 320
MOST_RADIOGRAPHS = 10_000  # a browser cannot load much more
# The cards are sorted by the first column when the page opens, and show the next three as well.
_COLUMNS = (
    Column("quality_score", "Quality (exp. Dice)", "higher", 3),
    Column("cardiothoracic_ratio", "Cardiothoracic ratio", "", 3),
    Column("confidence", "Confidence", "higher", 3),
    Column("dice", "Dice", "higher", 4),
    Column("lung_area_cm2", "Lung area (cm²)", "", 1),
    Column("lung_area_px", "Lung pixels", "", 0),
    Column("right_to_left", "Right / left", "", 2),
    Column("right_area_cm2", "Right lung (cm²)", "", 1),
    Column("left_area_cm2", "Left lung (cm²)", "", 1),
    Column("right_area_px", "Right lung pixels", "", 0),
    Column("left_area_px", "Left lung pixels", "", 0),
    Column("heart_area_cm2", "Heart (cm²)", "", 1),
    Column("heart_area_px", "Heart pixels", "", 0),
    Column("opacity_area_cm2", "Opacities (cm²)", "", 1),
    Column("opacity_area_px", "Opacity pixels", "", 0),
)
_RATIO = "right_to_left"
_NO_PICTURE = "no picture: its radiograph or mask cannot be read any more"


def thumbnail_side(count: int) -> int:
    """The longer side in pixels of the thumbnails of `count` radiographs."""
    return next((side for limit, side in _SIDES if count <= limit), _SMALLEST_SIDE)


def draw_thumbnail(
    source: Path, mask: Path, options: InferenceOptions, side: int, heart: Path | None = None
) -> Picture | None:
    """Draw the contours of the lungs, and of the heart, on the radiograph.

    All are read from disk, so that any batch can be shown.

    Args:
        source: the radiograph.
        mask: its mask, a PNG of 0 and 255 or of labels.
        options: whether bones are made bright, and the size above which images are refused.
        side: the most pixels on the longer side.
        heart: the mask of the heart; None without one.

    Returns:
        The picture; None if a file can no longer be read, or if radiograph and mask differ in size.
    """
    try:
        lung_mask = read_lung_mask(mask, MaskOptions(labels=DEFAULT_LABELS, max_pixels=options.max_pixels))
        heart_mask = read_lung_mask(heart, MaskOptions(max_pixels=options.max_pixels)).lungs if heart else None
        radiograph = read_radiograph(source, options.max_pixels)
    except ImageError:
        return None
    if any(mask.shape != radiograph.shape for mask in (lung_mask.lungs, heart_mask) if mask is not None):
        return None
    image, _ = to_network_input(radiograph, options.polarity, reduced_shape(lung_mask.shape, side))
    if lung_mask.right is None or lung_mask.left is None:
        return draw_lungs(image, *split_sides(lung_mask.lungs), side, heart_mask)
    return draw_lungs(image, lung_mask.right, lung_mask.left, side, heart_mask)


def make_gallery(path: Path, options: SegmentOptions, rows: Mapping[Job, Row]) -> None:
    """Write the page of a batch from the files in its output folder: of at most `MOST_RADIOGRAPHS`, the worst ones.

    Raises:
        OSError: the page cannot be written.
    """
    left_out = max(len(rows) - MOST_RADIOGRAPHS, 0)
    if left_out:
        rows = dict(sorted(rows.items(), key=lambda item: item[1].quality_score or 0)[:MOST_RADIOGRAPHS])
    side = thumbnail_side(len(rows))

    def draw(job: Job) -> Picture | None:
        if not (mask := rows[job].mask):
            return None
        heart = outputs.extra_path(HEART, Path(mask)) if HEART in outputs.extras else None
        return draw_thumbnail(job.source, outputs.folder / mask, options.inference, side, heart)

    outputs = options.outputs
    title = f"Lungs by {', '.join(options.inference.weight_names)}"
    write_gallery(path, title, list(rows.values()), map_in_threads(draw, rows, available_cores()), left_out)


def write_gallery(
    path: Path, title: str, rows: Sequence[Row], thumbnails: Iterable[Picture | None], left_out: int = 0
) -> None:
    """Write the page with a card for every row, failures and the lowest quality first.

    Each picture is written at once, so that memory does not grow with their number.

    Args:
        path: the HTML file.
        title: the title of the page.
        rows: the row of each radiograph.
        thumbnails: the picture of each row, in the same order; None for rows without one.
        left_out: the number of radiographs of higher quality that are not shown.

    Raises:
        OSError: the page cannot be written.
        ValueError: there are more or fewer thumbnails than rows.
    """
    names = _short_names([row.file for row in rows])
    with open_gallery(path, title) as page:
        cards = []
        for name, row, picture in zip(names, rows, thumbnails, strict=True):
            cards.append(_card(name, row, None if picture is None else page.add_picture(picture)))
        show_notes = any(card.note for card in cards)
        legend = LEGEND + (_HEART_LEGEND if any(row.heart_area_px is not None for row in rows) else ())
        page.finish(_columns(cards), cards, legend, _summary(rows, left_out), show_notes=show_notes)


def _short_names(files: Sequence[str]) -> list[str]:
    """The paths of the files relative to their common folder: the whole path would not fit on a card."""
    try:
        common = os.path.commonpath([PurePath(file).parent for file in files])
    except ValueError:  # some are absolute and some are not, or there are none
        return list(files)
    return [str(PurePath(file).relative_to(common)) for file in files]


def _card(name: str, row: Row, picture: int | None) -> Card:
    missing = (_NO_PICTURE,) if row.mask and picture is None else ()
    reason = row.reason.removeprefix(f"{row.file}: ")  # the card shows the name already
    note = "; ".join(filter(None, (*row.doubts, reason, *row.warnings, *missing)))
    return Card(name, row.quality or row.status, note, "", _values(row), picture)


def _values(row: Row) -> dict[str, float]:
    values = {column.name: getattr(row, column.name) for column in _COLUMNS if column.name != _RATIO}
    values[_RATIO] = _ratio(row.right_area_px, row.left_area_px)
    return {name: value for name, value in values.items() if value is not None}


def _ratio(right: int | None, left: int | None) -> float | None:
    """The ratio of the areas: infinite without a left lung, None without any lung."""
    if right is None or left is None or not (right or left):
        return None
    return right / left if left else math.inf


def _columns(cards: Sequence[Card]) -> list[Column]:
    """The columns for which some card has a value; areas in pixels only if some card has none in cm2."""
    needs_pixels = any("lung_area_px" in card.values and "lung_area_cm2" not in card.values for card in cards)
    known = [column for column in _COLUMNS if any(column.name in card.values for card in cards)]
    return [column for column in known if needs_pixels or not column.name.endswith("_px")]


def _summary(rows: Sequence[Row], left_out: int) -> str:
    counts = Counter(row.quality or row.status for row in rows)
    dices = [row.dice for row in rows if row.dice is not None]
    mean = f"; mean Dice {sum(dices) / len(dices):.4f} of {len(dices)}" if dices else ""
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    others = f"; not shown: {pluralize(left_out, 'radiograph')} of higher quality" if left_out else ""
    return f"{len(rows)} radiographs: {statuses}{mean}{others}"

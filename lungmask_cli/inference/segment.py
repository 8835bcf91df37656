"""Many radiographs through one model: masks and overlays on disk, and a row for every file whatever happens to it."""

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungmask_cli.datasets.prepared import hashed_name
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.imaging.geometry import Letterbox
from lungmask_cli.imaging.intensity import normalize
from lungmask_cli.imaging.overlay import draw_overlay
from lungmask_cli.imaging.polarity import DARK_BONES, standardized
from lungmask_cli.imaging.radiograph import DEFAULTS, Mask, Radiograph, ReadOptions
from lungmask_cli.imaging.raster import size_text
from lungmask_cli.imaging.read import IMAGE_SUFFIXES, read_radiograph
from lungmask_cli.imaging.write import csv_text, write_mask, write_picture
from lungmask_cli.inference.predict import predict_mask
from lungmask_cli.inference.weights import LoadedModel
from lungmask_cli.scoring.overlap import overlap
from lungmask_cli.scoring.pairing import OVERLAYS, MaskFiles, read_files
from lungmask_cli.text import fitting, printable

WRITTEN, FAILED = "written", "failed"
_COLUMNS = (
    "file",
    "mask",
    "status",
    "reason",
    "warnings",
    "width",
    "height",
    "lung_area_px",
    "lung_area_cm2",
    "spacing_source",
    "dice",
    "seconds",
)


@dataclass(frozen=True)
class Job:
    """One radiograph, its number in the batch, and where its mask goes, relative to the output folder."""

    source: Path
    mask: Path
    number: int


@dataclass(frozen=True)
class Row:
    """One line of `segment.csv`. What is unknown is None, and empty there.

    `lung_area_cm2` is known where the file gives its pixel spacing, `dice` where there is a hand-made mask of the same
    size; `reason` says why a file failed, or why there is no Dice where one was asked for; `warnings` is what makes the
    mask doubtful. `hint`, what to do about a failure, is for the terminal alone.
    """

    file: str
    mask: str
    status: str
    reason: str
    warnings: tuple[str, ...]
    width: int | None
    height: int | None
    lung_area_px: int | None
    lung_area_cm2: float | None
    spacing_source: str
    dice: float | None
    seconds: float
    hint: str = ""


def plan(images: Iterable[tuple[Path, Path]], output: Path) -> list[Job]:
    """Where each mask goes: same folder and stem as its radiograph, ending in `.png`, as far as files can be named so.

    Where several radiographs of a folder share a stem, in any case of letters, all but the first keep their old suffix
    as well: `a.dcm.png`. Suffixes that are none of a picture's, such as the last part of `1.2.840.10008`, stay.

    Raises:
        UsageError: a mask would overwrite a radiograph.
    """
    jobs: list[Job] = []
    taken: set[str] = set()
    sources = set()
    for count, (source, relative) in enumerate(images, start=1):
        names = _names(relative)
        mask = next(name for name in names if str(name).casefold() not in taken)
        taken.add(str(mask).casefold())
        sources.add(os.path.realpath(source))
        jobs.append(Job(source, mask, count))
    for job in jobs:
        if os.path.realpath(output / job.mask) in sources:
            raise UsageError(
                f"{output / job.mask}: is a radiograph that its mask would overwrite", "Choose another -o folder."
            )
    return jobs


def _names(relative: Path) -> Iterator[Path]:
    """What a mask may be called, the best first."""
    folder = Path(*map(printable, relative.parent.parts))
    stem = relative.stem if relative.suffix.lower() in IMAGE_SUFFIXES else relative.name
    yield folder / fitting(f"{printable(stem)}.png")
    yield folder / fitting(f"{printable(relative.name)}.png")
    for number in itertools.count(2):  # files of one name from several inputs
        yield folder / fitting(f"{printable(stem)}-{number}.png")


@dataclass(frozen=True)
class Segmenter:
    """Draws masks into `output`.

    Args:
        model: the generator.
        output: the folder for masks.
        overlay: also write pictures into `output/overlays`.
        truth: hand-made masks to compare with.
        cleanup: fill holes and drop specks.
        read: what the readers accept.
        correct_polarity: make dark bones bright.
        hash_names: call each mask by the first 16 digits of the SHA-256 of its radiograph's file, and name no file.
    """

    model: LoadedModel
    output: Path
    overlay: bool = False
    truth: MaskFiles | None = None
    cleanup: bool = True
    read: ReadOptions = DEFAULTS
    correct_polarity: bool = True
    hash_names: bool = False

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """Segment one job after the other; a job that fails gives a row with the reason."""
        for job in jobs:
            started = time.perf_counter()
            shown, drawn = f"file {job.number}" if self.hash_names else str(job.source), job.mask
            try:
                if self.hash_names:
                    shown = _hashed(job)
                    drawn = Path(f"{shown}.png")
                yield self._segment(job, shown, drawn, started)
            except ImageError as error:
                yield _failure(shown, error, started)
            except OSError as error:  # the mask could not be written
                reason = f"{self.output / drawn}: cannot be written: {error.strerror or error}"
                yield _failure(shown, ImageError(reason, "Check the free space and the permissions."), started)

    def _segment(self, job: Job, shown: str, drawn: Path, started: float) -> Row:
        try:
            radiograph = read_radiograph(job.source, self.read)
        except ImageError as error:
            raise ImageError(error.message.replace(str(job.source), shown), error.hint) from error
        content = Letterbox(*radiograph.shape, self.model.detail).content
        image, notes = standardized(radiograph, self.correct_polarity, content)
        mask = predict_mask(self.model, image, self.cleanup, radiograph.shape)
        truth, reason = self._read_truth(job, mask)
        write_mask(self.output / drawn, mask)
        if self.overlay:
            whole = normalize(radiograph.inverted() if DARK_BONES in notes else radiograph)
            write_picture(self.output / OVERLAYS / drawn, draw_overlay(whole, mask, truth))
        return Row(
            file=shown,
            mask=str(drawn),
            status=WRITTEN,
            reason=reason,
            warnings=notes,
            width=mask.shape[1],
            height=mask.shape[0],
            lung_area_px=int(np.count_nonzero(mask)),
            lung_area_cm2=_area_cm2(mask, radiograph),
            spacing_source=radiograph.spacing_source,
            dice=None if truth is None else overlap(mask, truth).dice,
            seconds=time.perf_counter() - started,
        )

    def _read_truth(self, job: Job, mask: Mask) -> tuple[Mask | None, str]:
        """The hand-made mask, or None and why there is none to compare with; the drawn one is good either way."""
        if self.truth is None:
            return None, ""
        paths = self.truth.find(job.mask.with_suffix("").as_posix())
        if paths is None:
            return None, f"no Dice: {self.truth.folder} has no mask of this name"
        try:
            truth = read_files(paths).lungs
        except ImageError as error:
            return None, "no Dice: its hand-made mask is broken" if self.hash_names else f"no Dice: {error.message}"
        if truth.shape != mask.shape:
            named = "its hand-made mask" if self.hash_names else next(iter(paths.values()))
            return None, f"no Dice: the radiograph has {size_text(mask)} pixels, {named} {size_text(truth)}"
        return truth, ""


def _area_cm2(mask: Mask, radiograph: Radiograph) -> float | None:
    if radiograph.spacing_mm is None:
        return None
    row_mm, column_mm = radiograph.spacing_mm
    return int(np.count_nonzero(mask)) * row_mm * column_mm / 100


def _hashed(job: Job) -> str:
    try:
        return hashed_name(job.source)
    except OSError as error:
        raise ImageError(f"file {job.number}: cannot be read: {error.strerror or error}") from error


def _failure(shown: str, error: ImageError, started: float) -> Row:
    seconds = time.perf_counter() - started
    return Row(shown, "", FAILED, error.message, (), None, None, None, None, "", None, seconds, error.hint)


def to_csv(rows: list[Row]) -> str:
    """The rows as CSV text."""
    return csv_text(_COLUMNS, map(_cells, rows))


def _cells(row: Row) -> list[object]:
    cells = {name: getattr(row, name) for name in _COLUMNS}
    cells["warnings"] = "; ".join(row.warnings)
    for name, form in (("lung_area_cm2", ".2f"), ("dice", ".10g"), ("seconds", ".3f")):
        if cells[name] is not None:
            cells[name] = f"{cells[name]:{form}}"
    return list(cells.values())

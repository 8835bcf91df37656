import io
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.batch import gallery
from lungmask_cli.batch.gallery import draw_thumbnail, thumbnail_side, write_gallery
from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.outputs import Outputs
from lungmask_cli.batch.rows import FAILED, WRITTEN, Row
from lungmask_cli.gallery.picture import LEFT_LUNG, RIGHT_LUNG, Picture
from lungmask_cli.inference.options import InferenceOptions
from tests.gallery.cards import tiny_picture
from tests.gallery.test_page import page_data, parsed
from tests.phantoms import draw_phantom, save_grey, save_mask

GOOD = Row(
    file="x/a.png",
    mask="a.png",
    status=WRITTEN,
    lung_area_px=300,
    right_area_px=200,
    left_area_px=100,
    quality="good",
    quality_score=0.97,
    confidence=0.9,
)
DOUBTFUL = replace(GOOD, file="x/b.png", mask="b.png", quality="doubtful", quality_score=0.7, doubts=("one lung only",))
BROKEN = Row(file="x/c.png", status=FAILED, reason="x/c.png: is empty")


def cards_of(folder, *rows, pictures=None) -> list[dict]:
    """The cards of a page, each with its values by the names of the columns."""
    path = folder / "g.html"
    write_gallery(path, "Title", rows, pictures or (tiny_picture() if row.mask else None for row in rows))
    data = page_data(path)
    names = [column["name"] for column in data["columns"]]
    return [card | {"values": dict(zip(names, card["values"], strict=True))} for card in data["cards"]]


def pixels_of(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """RGBA of the contours, and the grey radiograph beneath."""
    with Image.open(io.BytesIO(picture.overlay)) as overlay, Image.open(io.BytesIO(picture.backdrop)) as backdrop:
        return np.asarray(overlay.convert("RGBA")), np.asarray(backdrop)


def centre_of(pixels: np.ndarray, colour: tuple[int, int, int]) -> float:
    """The mean column of the pixels of this colour, as a share of the width."""
    contour = (pixels[..., :3] == colour).all(-1) & (pixels[..., 3] > 0)
    return float(np.nonzero(contour)[1].mean() / pixels.shape[1])


@pytest.fixture
def files(tmp_path):
    """A radiograph of 160 x 200 pixels and its mask."""
    phantom = draw_phantom(160, 200)
    return save_grey(tmp_path / "image.png", phantom.image), save_mask(tmp_path / "mask.png", phantom.lungs)


def test_a_thumbnail_has_the_right_lung_on_the_left_and_the_radiograph_beneath(files):
    picture = draw_thumbnail(*files, InferenceOptions(), 100)
    assert (picture.width, picture.height) == (100, 80)
    contours, grey = pixels_of(picture)
    assert centre_of(contours, RIGHT_LUNG) < 0.4
    assert centre_of(contours, LEFT_LUNG) > 0.6
    assert grey.shape == (80, 100)
    assert grey[40, 50] > grey[40, 30] + 50  # the spine, and a lung


def test_labels_in_the_mask_identify_the_lungs(files, tmp_path):
    phantom = draw_phantom(160, 200)
    swapped = phantom.right * np.uint8(2) + phantom.left * np.uint8(1)
    Image.fromarray(swapped).save(tmp_path / "labels.png")
    contours, _ = pixels_of(draw_thumbnail(files[0], tmp_path / "labels.png", InferenceOptions(), 100))
    assert centre_of(contours, LEFT_LUNG) < 0.4
    assert centre_of(contours, RIGHT_LUNG) > 0.6


def test_an_empty_mask_is_a_radiograph_without_contours(files, tmp_path):
    save_mask(tmp_path / "empty.png", np.zeros((160, 200), bool))
    contours, grey = pixels_of(draw_thumbnail(files[0], tmp_path / "empty.png", InferenceOptions(), 100))
    assert not contours[..., 3].any()
    assert np.ptp(grey) > 100


@pytest.mark.parametrize("polarity", [True, False])
def test_dark_bones_are_made_bright_only_with_polarity(files, tmp_path, monkeypatch, polarity):
    # The classifier was not fitted to phantoms.
    monkeypatch.setattr("lungmask_cli.imaging.polarity.has_dark_bones", lambda image: image[40, 50] < image[40, 30])
    inverted = save_grey(tmp_path / "inverted.png", 1 - draw_phantom(160, 200).image)
    _, grey = pixels_of(draw_thumbnail(inverted, files[1], InferenceOptions(polarity=polarity), 100))
    assert (grey[40, 50] > grey[40, 30]) == polarity


@pytest.mark.parametrize("lost", ["image.png", "mask.png"])
@pytest.mark.parametrize("damage", ["deleted", "truncated", "of another size"])
def test_files_that_can_no_longer_be_read_have_no_thumbnail(files, tmp_path, lost, damage):
    if damage == "deleted":
        (tmp_path / lost).unlink()
    elif damage == "truncated":
        (tmp_path / lost).write_bytes((tmp_path / lost).read_bytes()[:200])
    else:
        save_grey(tmp_path / lost, np.eye(50, dtype=np.float32))
    assert draw_thumbnail(*files, InferenceOptions(), 100) is None


def test_the_more_radiographs_the_smaller_their_thumbnails():
    sides = [thumbnail_side(count) for count in (1, 200, 201, 2000, 10_000)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == sides[1] > sides[2]


def test_a_card_says_good_doubtful_or_failed_and_why(tmp_path):
    good, doubtful, failed = cards_of(tmp_path, GOOD, DOUBTFUL, BROKEN)
    assert [card["status"] for card in (good, doubtful, failed)] == ["good", "doubtful", "failed"]
    assert [card["note"] for card in (good, doubtful, failed)] == ["", "one lung only", "is empty"]
    assert [card["picture"] for card in (good, doubtful, failed)] == [0, 1, None]
    assert page_data(tmp_path / "g.html")["summary"] == "3 radiographs: 1 doubtful, 1 failed, 1 good"


def test_doubts_come_before_reasons_and_warnings(tmp_path):
    row = replace(
        DOUBTFUL, doubts=("one lung only", "unsure"), reason="no Dice: no mask", warnings=("bones were dark",)
    )
    assert cards_of(tmp_path, row)[0]["note"] == "one lung only; unsure; no Dice: no mask; bones were dark"


def test_a_mask_without_quality_shows_its_status(tmp_path):
    rows = (replace(GOOD, quality="", quality_score=None), replace(GOOD, quality="", status="skipped"))
    assert [card["status"] for card in cards_of(tmp_path, *rows)] == ["written", "skipped"]


def test_a_missing_picture_is_noted(tmp_path):
    (lost,) = cards_of(tmp_path, DOUBTFUL, pictures=[None])
    assert lost["picture"] is None
    assert lost["note"] == "one lung only; no picture: its radiograph or mask cannot be read any more"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/data/in/a.png", "/data/in/b/c.png"], ["a.png", "b/c.png"]),
        (["in/a.png"], ["a.png"]),
        (["a.png", "in/a.png"], ["a.png", "in/a.png"]),
        (["/data/a.png", "b.png"], ["/data/a.png", "b.png"]),
        (["file 1", "0123456789abcdef"], ["file 1", "0123456789abcdef"]),
    ],
)
def test_names_are_relative_to_the_common_folder(tmp_path, files, names):
    cards = cards_of(tmp_path, *(replace(GOOD, file=file) for file in files))
    assert [card["name"] for card in cards] == names


def test_important_values_come_first_and_unknown_ones_are_missing(tmp_path):
    (values,) = (card["values"] for card in cards_of(tmp_path, GOOD))
    assert values == {
        "quality_score": 0.97,
        "confidence": 0.9,
        "lung_area_px": 300,
        "right_to_left": 2,
        "right_area_px": 200,
        "left_area_px": 100,
    }
    assert list(values)[:3] == ["quality_score", "confidence", "lung_area_px"]
    assert list(cards_of(tmp_path, replace(GOOD, dice=0.95))[0]["values"])[:3] == [
        "quality_score",
        "confidence",
        "dice",
    ]


def test_areas_are_in_pixels_only_if_some_are_unknown_in_cm2(tmp_path):
    known = replace(GOOD, lung_area_cm2=30.0, right_area_cm2=20.0, left_area_cm2=10.0)
    areas = {"lung_area_cm2", "right_area_cm2", "left_area_cm2"}
    (alone, _) = cards_of(tmp_path, known, BROKEN)
    assert {name for name in alone["values"] if "area" in name} == areas
    first, second = cards_of(tmp_path, known, GOOD)
    assert first["values"]["lung_area_cm2"] == 30
    assert second["values"]["lung_area_cm2"] is None
    assert first["values"]["lung_area_px"] == second["values"]["lung_area_px"] == 300


@pytest.mark.parametrize(("right", "left", "ratio"), [(300, 100, 3), (100, 0, "Infinity"), (0, 100, 0), (0, 0, None)])
def test_a_single_lung_has_a_ratio_too(tmp_path, right, left, ratio):
    (card,) = cards_of(tmp_path, replace(GOOD, right_area_px=right, left_area_px=left))
    assert card["values"].get("right_to_left") == ratio


def test_the_mean_dice_is_over_cards_with_a_dice(tmp_path):
    cards_of(tmp_path, *(replace(GOOD, dice=dice) for dice in (0.8, 0.9, None, None)))
    assert page_data(tmp_path / "g.html")["summary"] == "4 radiographs: 4 good; mean Dice 0.8500 of 2"


def test_notes_are_shown_only_if_there_are_any(tmp_path):
    cards_of(tmp_path, GOOD)
    assert page_data(tmp_path / "g.html")["showNotes"] is False
    cards_of(tmp_path, GOOD, DOUBTFUL)
    assert page_data(tmp_path / "g.html")["showNotes"] is True


def test_each_row_gets_its_own_picture(tmp_path):
    pictures = [Picture(1, 1, b"", b""), None, Picture(2, 2, b"", b"")]
    cards = cards_of(tmp_path, GOOD, BROKEN, DOUBTFUL, pictures=pictures)
    widths = [int(attrs["data-width"]) for _, attrs in parsed(tmp_path / "g.html").elements if "data-width" in attrs]
    assert [widths[card["picture"]] for card in (cards[0], cards[2])] == [1, 2]
    assert cards[1]["picture"] is None


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_pictures_leaves_no_page(tmp_path, count):
    with pytest.raises(ValueError, match="zip"):
        write_gallery(tmp_path / "g.html", "Title", [GOOD, DOUBTFUL], [None] * count)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_batch_has_an_empty_page(tmp_path):
    assert cards_of(tmp_path) == []


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    pictures = (Picture(512, 512, bytes(5_000), bytes(100_000)) for _ in range(100))
    tracemalloc.start()
    write_gallery(tmp_path / "g.html", "Title", [GOOD] * 100, pictures)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert (tmp_path / "g.html").stat().st_size > 10_000_000


def test_of_too_many_radiographs_the_worst_are_shown(files, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "MOST_RADIOGRAPHS", 2)
    jobs = {row: Job(files[0], Path(row.mask), number) for number, row in enumerate((GOOD, DOUBTFUL, BROKEN), start=1)}
    options = SegmentOptions(InferenceOptions(), Outputs(tmp_path))
    gallery.make_gallery(tmp_path / "g.html", options, {job: row for row, job in jobs.items()})
    page = (tmp_path / "g.html").read_text(encoding="utf-8")
    assert [card["name"] for card in page_data(tmp_path / "g.html")["cards"]] == ["c.png", "b.png"]
    assert "not shown: 1 radiograph of higher quality" in page

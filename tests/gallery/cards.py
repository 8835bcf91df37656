"""Small galleries with known values, for the tests."""

import math
from pathlib import Path

import numpy as np

from lungmask_cli.batch.gallery import write_gallery
from lungmask_cli.batch.rows import WRITTEN, Row
from lungmask_cli.gallery.page import Card, Column, open_gallery
from lungmask_cli.gallery.picture import OVER, UNDER, Picture, draw_errors, draw_lungs
from tests.phantoms import draw_phantom

HOSTILE = "</script><script>window.hacked=1</script>"
COLUMNS = [
    Column("dice", "Dice", "higher", 4),
    Column("hd95_mm", "HD95 (mm)", "lower", 1),
    Column("bias", "Bias (%)", "zero", 1),
    Column("area", "Area", "", 0),
]
LEGEND = [(OVER, "over"), (UNDER, "under")]
# name: dice, hd95_mm, bias, area
VALUES = {
    "a1": (0.90, math.inf, -9.0, 10),
    "a2": (0.99, 1.0, 0.5, 40),
    "a3": (0.95, 5.0, 3.0, 30),
    "a10": (0.97, 12.0, -1.0, 20),
}


def tiny_picture(seed: int = 0, with_image: bool = True) -> Picture:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.random((2, 24, 16)) < 0.5
    return draw_errors(predicted, truth, rng.random((24, 16)).astype(np.float32) if with_image else None, 24)


def write_small_page(path: Path) -> Path:
    """Four scored cards, an empty one, and a failed one with a hostile name."""
    with open_gallery(path, f"Small & {HOSTILE}") as gallery:
        cards = [
            Card(
                name,
                "scored",
                "resized" if name == "a3" else "",
                "north" if name in ("a1", "a2") else "south",
                dict(zip(("dice", "hd95_mm", "bias", "area"), values, strict=True)),
                gallery.add_picture(tiny_picture(seed, with_image=name != "a10")),
            )
            for seed, (name, values) in enumerate(VALUES.items())
        ]
        cards.append(Card("blank", "empty", "both masks are empty", "south", {"dice": math.nan}, None))
        cards.append(Card(HOSTILE, "failed", "x.png: is <b>damaged</b>", "", {}, None))
        gallery.finish(COLUMNS, cards, LEGEND, "4 scored, 1 empty, 1 failed")
    return path


def write_large_page(path: Path, count: int) -> Path:
    """Many cards, each with the same tiny picture in two layers."""
    picture = tiny_picture()
    with open_gallery(path, "Large") as gallery:
        cards = []
        for number in range(count):
            values = {"dice": (number * 7919 % count) / count, "hd95_mm": float(number)}
            cards.append(Card(f"case{number}", "scored", "", "", values, gallery.add_picture(picture)))
        gallery.finish(COLUMNS, cards, LEGEND, f"{count} scored")
    return path


LONG = "the left lung is a third of the right one; the network is unsure along most of the boundary; and a word more"


def write_lungs_page(path: Path) -> Path:
    """Two good masks, one with a warning; two doubtful masks; and one failure. The names contain the quality score."""
    rows = [
        lungs_row("good95", 0.95, 400),
        lungs_row("good97", 0.97, 600, warnings=("bones were dark",)),
        lungs_row("doubtful70", 0.70, 500, doubts=("only one lung was found",)),
        lungs_row("doubtful80", 0.80, 300, doubts=(LONG,)),
        Row("in/broken.png", reason="in/broken.png: is empty"),
    ]
    phantom = draw_phantom(64, 80)
    picture = draw_lungs(phantom.image, phantom.right, phantom.left, 64)
    write_gallery(path, "Lungs", rows, (picture if row.mask else None for row in rows))
    return path


def lungs_row(name: str, score: float, area: int, doubts: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> Row:
    return Row(
        file=f"in/{name}.png",
        mask=f"{name}.png",
        status=WRITTEN,
        warnings=warnings,
        lung_area_px=area * 100,
        lung_area_cm2=float(area),
        quality="doubtful" if doubts else "good",
        quality_score=score,
        confidence=0.9,
        doubts=doubts,
    )

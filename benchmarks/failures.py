"""Cases in which masks fail: heavily corrupted radiographs, and pictures that are not frontal chest radiographs.

For `quality_gate.py`. These corruptions are more severe than those of `robustness.py`, and random. Corruptions and
pictures are divided into two parts: the quality gate is fitted to one and tested on the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from robustness import CORRUPTIONS, Picture, from_image, moved, to_image
from scipy import ndimage

from lungmask_cli.imaging.geometry import resize

Lungs = NDArray[np.bool_]
Harsh = Callable[[Picture, Lungs, np.random.Generator], tuple[Picture, Lungs]]
FIT, TEST = "fit", "test"


@dataclass(frozen=True)
class Case:
    """A picture (H, W) in [0, 1], its lungs (None if it is not a radiograph), and the name of its corruption."""

    name: str
    picture: Picture
    lungs: Lungs | None


def _turned(picture: Picture, lungs: Lungs, turns: int) -> tuple[Picture, Lungs]:
    return np.rot90(picture, turns).copy(), np.rot90(lungs, turns).copy()


def _resized(picture: Picture, lungs: Lungs, height: int, width: int) -> tuple[Picture, Lungs]:
    return resize(picture, height, width), resize(lungs.astype(np.float32), height, width) > 0.5


def turn_left(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    return _turned(picture, lungs, 1)


def turn_right(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    return _turned(picture, lungs, 3)


def turn_over(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    return _turned(picture, lungs, 2)


def tilt(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """By 20 to 60 degrees, either way."""
    degrees = float(rng.uniform(20, 60) * rng.choice((-1, 1)))
    tilted = to_image(picture).rotate(degrees, Image.Resampling.BICUBIC)
    return from_image(tilted), from_image(to_image(lungs.astype(np.float32)).rotate(degrees)) > 0.5


def crop_side(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """A quarter to two thirds of one side is missing: most of a lung, or all of it."""
    kept = round(picture.shape[1] * (1 - rng.uniform(0.25, 0.67)))
    part = slice(0, kept) if rng.random() < 0.5 else slice(picture.shape[1] - kept, None)
    return picture[:, part], lungs[:, part]


def crop_end(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """A quarter to two thirds of the upper or the lower end is missing."""
    kept = round(picture.shape[0] * (1 - rng.uniform(0.25, 0.67)))
    part = slice(0, kept) if rng.random() < 0.5 else slice(picture.shape[0] - kept, None)
    return picture[part], lungs[part]


def crop_middle(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """A part of 0.3 to 0.7 of each side, anywhere."""
    height, width = (round(side * rng.uniform(0.3, 0.7)) for side in picture.shape)
    top, left = rng.integers(0, picture.shape[0] - height), rng.integers(0, picture.shape[1] - width)
    return picture[top : top + height, left : left + width], lungs[top : top + height, left : left + width]


def occlude(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """A rectangle of one grey, 0.25 to 0.6 of each side. Lungs beneath it are still lungs."""
    height, width = (round(side * rng.uniform(0.25, 0.6)) for side in picture.shape)
    top, left = rng.integers(0, picture.shape[0] - height), rng.integers(0, picture.shape[1] - width)
    covered = picture.copy()
    covered[top : top + height, left : left + width] = rng.choice((0.0, 0.5, 1.0))
    return covered, lungs


def whiten(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """Much of one lung as bright as its surroundings, as by fluid; it is still lung."""
    middle = round(np.nonzero(lungs)[1].mean()) if lungs.any() else lungs.shape[1] // 2
    one = lungs.copy()
    one[:, slice(middle, None) if rng.random() < 0.5 else slice(0, middle)] = False
    rows = np.flatnonzero(one.any(1))
    if rows.size:
        one[: round(rows[0] + rng.uniform(0, 0.5) * np.ptp(rows))] = False
    share = ndimage.gaussian_filter(one.astype(np.float32), 0.03 * max(lungs.shape)) * np.float32(rng.uniform(0.8, 1))
    return picture * (1 - share) + np.float32(np.percentile(picture, 75)) * share, lungs


def blur(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    return ndimage.gaussian_filter(picture, rng.uniform(0.02, 0.06) * max(picture.shape)), lungs


def drown(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """Noise of 0.2 to 0.8 of the range."""
    return picture + rng.normal(0, rng.uniform(0.2, 0.8), picture.shape).astype(np.float32), lungs


def flatten(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """Only some 3 to 12 of 255 grey values remain."""
    return rng.uniform(0.1, 0.9) + (picture - 0.5) * rng.uniform(0.012, 0.05), lungs


def squeeze(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """A wrong aspect ratio: 0.25 to 0.55 of the width remains."""
    return _resized(picture, lungs, picture.shape[0], round(picture.shape[1] * rng.uniform(0.25, 0.55)))


def flatten_shape(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """A wrong aspect ratio: 0.25 to 0.55 of the height remains."""
    return _resized(picture, lungs, round(picture.shape[0] * rng.uniform(0.25, 0.55)), picture.shape[1])


def shrink(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """The radiograph in a corner of a page of one grey, four to eight times as large."""
    grow = rng.uniform(2, 2.9)
    height, width = (round(side * grow) for side in picture.shape)
    page, page_lungs = (
        np.full((height, width), rng.choice((0.0, 0.5, 1.0)), np.float32),
        np.zeros((height, width), bool),
    )
    top, left = rng.integers(0, height - picture.shape[0]), rng.integers(0, width - picture.shape[1])
    page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    page_lungs[top : top + picture.shape[0], left : left + picture.shape[1]] = lungs
    return page, page_lungs


def posterize(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """Nearly black and white: all grey values within a tenth of the range are stretched."""
    middle = np.float32(np.percentile(picture, rng.uniform(15, 85)))
    return (picture - middle) * 20 + 0.5, lungs


def shear(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """Rows shifted by 0.3 to 0.7 of the height, more and more."""
    slope = float(rng.uniform(0.3, 0.7) * rng.choice((-1, 1)))
    numbers = (1, slope, -slope * picture.shape[0] / 2, 0, 1, 0)

    def sheared(image: Picture) -> Picture:
        size = to_image(image).size
        return from_image(to_image(image).transform(size, Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR))

    return sheared(picture), sheared(lungs.astype(np.float32)) > 0.5


def stripe(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """Lines of white or black across all, half as wide as their distance."""
    lines = np.sin(np.arange(picture.shape[0]) * 2 * np.pi / rng.uniform(0.02, 0.1) / picture.shape[0]) > 0
    return np.where(lines[:, None], np.float32(rng.choice((0.0, 1.0))), picture), lungs


def double(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """A double exposure: the same picture, shifted by 0.15 to 0.4 of the side."""
    shift = round(picture.shape[1] * rng.uniform(0.15, 0.4))
    return (picture + np.roll(picture, (shift // 2, shift), (0, 1))) / 2, lungs


def mix(picture: Picture, lungs: Lungs, rng: np.random.Generator) -> tuple[Picture, Lungs]:
    """Tiles of a fifth of the side, one row of them in another order."""
    size = picture.shape[0] // 5
    mixed, top = picture.copy(), int(rng.integers(1, 4)) * size
    mixed[top : top + size] = np.roll(picture[top : top + size], picture.shape[1] // 2, 1)
    return mixed, lungs


HARSH: dict[str, dict[str, Harsh]] = {
    FIT: {
        "turned left": turn_left,
        "turned right": turn_right,
        "turned over": turn_over,
        "tilted": tilt,
        "side cropped": crop_side,
        "end cropped": crop_end,
        "part of it": crop_middle,
        "occluded": occlude,
        "one lung white": whiten,
        "blurred": blur,
        "drowned in noise": drown,
        "flat": flatten,
        "squeezed": squeeze,
        "pressed flat": flatten_shape,
        "small in a corner": shrink,
        "nearly black and white": posterize,
    }
}
# Corruptions that only the test contains.
UNSEEN: dict[str, Harsh] = {"sheared": shear, "striped": stripe, "exposed twice": double, "a row shifted": mix}
HARSH[TEST] = HARSH[FIT] | UNSEEN


def changed(whole: Case, number: int, part: str, count: int, rng: np.random.Generator) -> Iterator[Case]:
    """Radiograph `number` unchanged, and with `count` corruptions each from `robustness.py` and from this file."""
    yield whole
    mild = [(corruption, severity) for corruption in CORRUPTIONS for severity in corruption.severities]
    for index in range(number * count, (number + 1) * count):
        corruption, severity = mild[index % len(mild)]
        picture = corruption.change(whole.picture, whole.lungs, severity, rng)
        yield Case(f"{corruption.name} {severity:g}", picture, moved(whole.lungs, corruption, severity))
        name, change = list(HARSH[part].items())[index % len(HARSH[part])]
        picture, lungs = change(whole.picture, whole.lungs, rng)
        yield Case(name, picture, lungs if lungs.any() else None)


def without_lungs(whole: Case, rng: np.random.Generator) -> Iterator[Case]:
    """Crops of a radiograph without lungs, such as abdomen and neck; and a folded one, similar to a lateral view."""
    picture, lungs = whole.picture, whole.lungs
    rows, columns = np.flatnonzero(lungs.any(1)), np.flatnonzero(lungs.any(0))
    height, width = picture.shape
    parts = {
        "abdomen": picture[rows[-1] - height // 30 :],
        "neck": picture[: rows[0] + height // 30],
        "right side": picture[:, : columns[0]],
        "left side": picture[:, columns[-1] :],
        "mediastinum": picture[rows[0] :, width * 9 // 20 : width * 11 // 20],
    }
    large = {name: part for name, part in parts.items() if min(part.shape) >= min(height, width) // 12}
    for name in rng.permutation(sorted(large))[:2]:
        yield Case(f"radiograph's {name}", large[name], None)
    half = width // 2
    folded = (picture[:, :half] + picture[:, width - half :][:, ::-1]) / 2
    yield Case("folded radiograph", folded, None)


def synthetic(rng: np.random.Generator) -> Iterator[Case]:
    """Gradients, checkerboards, discs and pages of text, each once."""
    height, width = (int(side) for side in rng.integers(200, 900, 2))
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    slope = rng.uniform(-1, 1, 2)
    yield Case("gradient", np.float32(0.5) + (slope[0] * (y - 0.5) + slope[1] * (x - 0.5)).astype(np.float32), None)
    count = int(rng.integers(2, 12))
    yield Case("checkerboard", ((y * count).astype(int) + (x * count).astype(int)) % 2 * np.float32(1), None)
    down, across, radius = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.45)
    ring = ((y - down) ** 2 + (x - across) ** 2 < radius**2).astype(np.float32)
    yield Case("disc", ndimage.gaussian_filter(ring if rng.random() < 0.5 else 1 - ring, 3), None)
    blobs = ndimage.gaussian_filter(
        rng.normal(size=(height, width)).astype(np.float32), rng.uniform(0.02, 0.15) * height
    )
    yield Case("clouds", (blobs - blobs.min()) / np.ptp(blobs), None)
    page = Image.new("L", (width, height), 255)
    words = "".join(rng.choice(list("abcdefghiklmnoprstuvw   "), 4000))
    lines = "\n".join(words[start : start + 60] for start in range(0, len(words), 60))
    ImageDraw.Draw(page).text((20, 20), lines, fill=0, font=ImageFont.load_default(int(rng.integers(10, 40))))
    yield Case("page of text", from_image(page), None)


def noise(rng: np.random.Generator) -> Iterator[Case]:
    """White, uniform and pink noise, each once."""
    shape = tuple(int(side) for side in rng.integers(200, 900, 2))
    yield Case("white noise", rng.normal(0.5, 0.2, shape).astype(np.float32), None)
    yield Case("uniform noise", rng.random(shape, np.float32), None)
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    frequency[0, 0] = 1
    phases = np.exp(2j * np.pi * rng.random(frequency.shape)) / frequency
    pink = np.fft.irfft2(phases, shape).astype(np.float32)
    yield Case("pink noise", (pink - pink.min()) / np.ptp(pink), None)


def photographs(part: str) -> list[Case]:
    """The pictures that come with scikit-image and Matplotlib: every second one to fit, the others to test."""
    import matplotlib as mpl
    import skimage.data

    folders = (Path(skimage.data.__file__).parent, Path(mpl.get_data_path()) / "sample_data")
    paths = sorted(path for folder in folders for path in folder.iterdir() if path.suffix in {".png", ".jpg", ".tif"})
    # Otherwise, a pair of one scene and a duplicate would be in both parts.
    paths = [path for path in paths if path.stem not in {"chessboard_GRAY", "motorcycle_right", "multipage_rgb"}]
    with_parts = zip(paths, [FIT, TEST] * len(paths), strict=False)
    return [
        Case("photograph", from_image(Image.open(path).convert("L")), None) for path, kind in with_parts if kind == part
    ]

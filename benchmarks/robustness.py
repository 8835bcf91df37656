"""Dice on corrupted radiographs: corruptions that a mask should survive, each in three severities.

    python benchmarks/robustness.py DATA [--split FILE.csv:COLUMN --part test] [--weights general ...] [--keep FOLDER]
        [--json FILE]

DATA is a folder that `lungmask preprocess` accepts, whose masks have the size of their images. Each radiograph is
corrupted at its own size and written with 8 bits; if the lungs move, its mask is moved as well. `lungmask segment` and
`lungmask score` compute the Dice. Only the noise and the positions of labels are random, with seed 0. Prints a Markdown
table for each of the weights; --keep keeps images, masks and scores for inspection.
"""

import argparse
import csv
import io
import json
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy import kept_or_temporary, lungmask
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lungmask_cli.datasets.layouts import Pair, find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.formats.masks import read_masks
from lungmask_cli.formats.png import write_mask
from lungmask_cli.formats.radiographs import read_radiograph

Picture = NDArray[np.float32]  # (H, W) in [0, 1]
Change = Callable[[Picture, NDArray[np.bool_], float, np.random.Generator], Picture]


@dataclass(frozen=True)
class Corruption:
    """An image corruption: its name, its row in the table, its severities, and whether it moves the lungs."""

    name: str
    label: str
    severities: tuple[float, ...]
    change: Change
    moves: bool = False


def to_image(picture: Picture) -> Image.Image:
    return Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))


def from_image(image: Image.Image) -> Picture:
    return np.asarray(image, np.float32) / 255


def fade(picture: Picture, lungs: NDArray[np.bool_], share: float, rng: np.random.Generator) -> Picture:
    return 0.5 + (picture - 0.5) * share


def change_gamma(picture: Picture, lungs: NDArray[np.bool_], gamma: float, rng: np.random.Generator) -> Picture:
    return picture**gamma


def invert(picture: Picture, lungs: NDArray[np.bool_], share: float, rng: np.random.Generator) -> Picture:
    return 1 - share * picture


def add_noise(picture: Picture, lungs: NDArray[np.bool_], deviation: float, rng: np.random.Generator) -> Picture:
    return picture + rng.normal(0, deviation, picture.shape).astype(np.float32)


def collimate(picture: Picture, lungs: NDArray[np.bool_], share: float, rng: np.random.Generator) -> Picture:
    """Make the image black around the lungs, `share` of the way from its edges to them."""
    rows, columns = np.nonzero(lungs)
    height, width = picture.shape
    top, left = int(rows.min() * share), int(columns.min() * share)
    bottom, right = height - int((height - 1 - rows.max()) * share), width - int((width - 1 - columns.max()) * share)
    framed = np.zeros_like(picture)
    framed[top:bottom, left:right] = picture[top:bottom, left:right]
    return framed


def add_border(picture: Picture, lungs: NDArray[np.bool_], share: float, rng: np.random.Generator) -> Picture:
    """Put the whole radiograph, reduced, on a white page."""
    height, width = picture.shape
    across, down = round(width * (1 - 2 * share)), round(height * (1 - 2 * share))
    page = Image.new("L", (width, height), 255)
    page.paste(
        to_image(picture).resize((across, down), Image.Resampling.BOX), ((width - across) // 2, (height - down) // 2)
    )
    return from_image(page)


def rotate(picture: Picture, lungs: NDArray[np.bool_], degrees: float, rng: np.random.Generator) -> Picture:
    return from_image(to_image(picture).rotate(degrees, Image.Resampling.BICUBIC))


def label(picture: Picture, lungs: NDArray[np.bool_], count: float, rng: np.random.Generator) -> Picture:
    """Burn in white text, a twelfth of the image high, anywhere. Lungs beneath it are still lungs."""
    image = to_image(picture)
    draw, size = ImageDraw.Draw(image), min(image.size) // 12
    for number in range(int(count)):
        position = (int(rng.integers(0, image.width - 4 * size)), int(rng.integers(0, image.height - size)))
        draw.text(position, ("PA R", "ERECT", "12:34")[number % 3], fill=255, font=ImageFont.load_default(size))
    return from_image(image)


def lower_resolution(picture: Picture, lungs: NDArray[np.bool_], side: float, rng: np.random.Generator) -> Picture:
    image = to_image(picture)
    scale = side / max(image.size)
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
    return from_image(small.resize(image.size, Image.Resampling.BICUBIC))


def compress(picture: Picture, lungs: NDArray[np.bool_], quality: float, rng: np.random.Generator) -> Picture:
    file = io.BytesIO()
    to_image(picture).save(file, "JPEG", quality=int(quality))
    return from_image(Image.open(file))


CORRUPTIONS = (
    Corruption("contrast", "contrast, remaining fraction", (0.5, 0.25, 0.1), fade),
    Corruption("darker", "darkening, gamma", (1.5, 2.0, 3.0), change_gamma),
    Corruption("brighter", "brightening, gamma", (0.7, 0.5, 0.33), change_gamma),
    Corruption("inverted", "inversion, remaining contrast", (1.0, 0.5, 0.25), invert),
    Corruption("noise", "noise, standard deviation", (0.02, 0.05, 0.1), add_noise),
    Corruption("black collimation", "black collimation, fraction of the way to the lungs", (0.3, 0.6, 0.9), collimate),
    Corruption("white border", "white border, fraction of the image side", (0.05, 0.1, 0.2), add_border, moves=True),
    Corruption("rotation", "rotation, degrees", (5.0, 10.0, 15.0), rotate, moves=True),
    Corruption("rotation back", "rotation in the other direction, degrees", (-5.0, -10.0, -15.0), rotate, moves=True),
    Corruption("text labels", "text labels, number", (1.0, 3.0, 6.0), label),
    Corruption("low resolution", "low resolution, pixels on the long side", (256.0, 128.0, 64.0), lower_resolution),
    Corruption("JPEG", "JPEG compression, quality", (30.0, 10.0, 5.0), compress),
)


def folder_of(corruption: Corruption, severity: float) -> str:
    return f"{corruption.name} {severity:g}"


def moved(lungs: NDArray[np.bool_], corruption: Corruption, severity: float) -> NDArray[np.bool_]:
    """The lungs after the corruption."""
    if not corruption.moves:
        return lungs
    page = 1 - lungs if corruption.change is add_border else lungs  # of a white page, which is not lung
    changed = corruption.change(page.astype(np.float32), lungs, severity, np.random.default_rng(0)) > 0.5
    return ~changed if corruption.change is add_border else changed


def write_all(pairs: list[Pair], folder: Path) -> None:
    """Write images/ and truth/, with a folder for each corruption and severity, and `as it is` for the originals."""
    for number, pair in enumerate(pairs):
        values = read_radiograph(pair.image).pixels.astype(np.float32)
        picture = (values - values.min()) / max(np.ptp(values), 1)
        lungs = np.any(read_masks(pair.masks), axis=0)
        todo = [("as it is", picture, lungs)]
        for corruption in CORRUPTIONS:
            for severity in corruption.severities:
                changed = corruption.change(picture, lungs, severity, np.random.default_rng(number))
                todo.append((folder_of(corruption, severity), changed, moved(lungs, corruption, severity)))
        for name, changed, truth in todo:
            path = folder / "images" / name / f"{pair.id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            to_image(changed).save(path)
            write_mask(folder / "truth" / name / f"{pair.id}.png", truth)


def measure(folder: Path, weights: str) -> dict[str, list[float]]:
    """The Dice of each image, by corruption and severity."""
    masks, scores = folder / "masks" / Path(weights).name, folder / f"{Path(weights).name}.csv"
    lungmask("segment", folder / "images", "-o", masks, "--weights", weights, "--device", "cpu")
    lungmask("score", masks, folder / "truth", "-o", scores)
    dices: dict[str, list[float]] = {}
    for row in csv.DictReader(scores.open(encoding="utf-8")):
        if row["dice"]:
            dices.setdefault(str(Path(row["file"]).parent), []).append(float(row["dice"]))
    return dices


def table(dices: dict[str, list[float]]) -> str:
    """Mean Dice, and the worst image's in brackets, by corruption and severity."""

    def cell(name: str) -> str:
        return f"{statistics.mean(dices[name]):.4f} ({min(dices[name]):.3f})"

    lines = ["| | mild | | medium | | severe | |", "|---|---|---|---|---|---|---|"]
    lines.append(f"| unchanged | | {cell('as it is')} | | | | |")
    for corruption in CORRUPTIONS:
        cells = (f"{severity:g} | {cell(folder_of(corruption, severity))}" for severity in corruption.severities)
        lines.append(f"| {corruption.label} | {' | '.join(cells)} |")
    changed = [statistics.mean(values) for name, values in dices.items() if name != "as it is"]
    return "\n".join([*lines, "", f"Mean over all corruptions: {statistics.mean(changed):.4f}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", help="as in lungmask preprocess")
    parser.add_argument("--part", default="test")
    parser.add_argument("--weights", nargs="+", default=["general"])
    parser.add_argument("--keep", type=Path, help="a new folder for everything")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    pairs = find_pairs(options.data).pairs
    method = "all images"
    if options.split:
        split, method = resolve_split([pair.id for pair in pairs], options.split, seed=0)
        pairs = [pair for pair in pairs if split[pair.id] == options.part]
        method = f"{options.part} of {method}"
    figures: dict[str, object] = {"data": options.data.name, "part": method, "images": len(pairs)}
    figures["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    with kept_or_temporary(options.keep) as folder:
        write_all(list(pairs), folder)
        for weights in options.weights:
            figures[weights] = dices = measure(folder, weights)
            print(f"\n{weights}, {options.data.name}, {method}, {len(pairs)} images\n\n{table(dices)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

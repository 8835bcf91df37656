"""Dice of a model on a data set at the images' own size, by `lungmask segment` and `lungmask score`.

    python benchmarks/accuracy.py DATA [--split FILE.csv:COLUMN --part test] [--weights jsrt] [--json FILE]

DATA is a folder that `lungmask preprocess` accepts, whose masks have the size of their images. The scores are checked
against the ten lines of NumPy in `check_dice.py`.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from check_dice import largest_difference

from lungmask_cli.datasets.layouts import Pairing, find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.imaging.masks import read_masks
from lungmask_cli.imaging.write import write_mask


def lungmask(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "lungmask_cli", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def lay_out(pairing: Pairing, chosen: set[str], folder: Path) -> None:
    """Copies of the chosen radiographs in images/, unions of their masks in truth/."""
    (folder / "images").mkdir()
    for pair in pairing.pairs:
        if pair.id in chosen:
            shutil.copy(pair.image, folder / "images" / f"{pair.id}{pair.image.suffix}")
            write_mask(folder / "truth" / f"{pair.id}.png", np.any(read_masks(pair.masks), axis=0))


def measure(pairing: Pairing, chosen: set[str], weights: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lay_out(pairing, chosen, folder)
        lungmask("segment", folder / "images", "-o", folder / "masks", "--weights", weights, "--device", "cpu")
        lungmask("score", folder / "masks", folder / "truth", "-o", folder / "dice.csv")
        difference = largest_difference(folder / "masks", folder / "truth", folder / "dice.csv")
        rows = list(csv.DictReader((folder / "dice.csv").open()))
        seconds = [float(row["seconds"]) for row in csv.DictReader((folder / "masks" / "segment.csv").open())]
    dices = {row["file"]: float(row["dice"]) for row in rows}
    worst = min(dices, key=dices.__getitem__)
    return {
        "images": len(dices),
        "mean_dice": round(statistics.mean(dices.values()), 6),
        "sd_dice": round(statistics.stdev(dices.values()), 6),
        "median_dice": round(statistics.median(dices.values()), 6),
        "worst_dice": round(dices[worst], 6),
        "worst_image": worst,
        "mean_iou": round(statistics.mean(float(row["iou"]) for row in rows), 6),
        "largest_difference_from_numpy": difference,
        "median_seconds_per_image": round(statistics.median(seconds), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", help="as in lungmask preprocess")
    parser.add_argument("--part", default="test")
    parser.add_argument("--weights", default="jsrt")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    pairing = find_pairs(options.data)
    names = [pair.id for pair in pairing.pairs]
    chosen, method = set(names), "all images"
    if options.split:
        split, method = resolve_split(names, options.split, seed=0)
        chosen = {name for name in names if split[name] == options.part}
        method = f"{options.part} of {method}"
    figures = measure(pairing, chosen, options.weights)
    figures = {"data": options.data.name, "part": method, "weights": options.weights, **figures}
    figures["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

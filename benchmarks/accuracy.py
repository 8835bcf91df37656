"""Dice of a model on a data set at the images' own size, by `lungmask segment` and `lungmask score`.

    python benchmarks/accuracy.py DATA [--split FILE.csv:COLUMN --part test] [--weights general] [--spacing MM]
        [--json FILE] [--keep FOLDER] [-- OPTIONS OF lungmask segment]

DATA is a folder that `lungmask preprocess` accepts, whose masks have the size of their images. The scores are checked
against the ten lines of NumPy in `check_dice.py`. Intervals are those of `lungmask score`: 95 %, bootstrap over images.
The groups follow from the file names of JSRT (nodule or not), Montgomery and Shenzhen (tuberculosis or not). --spacing,
the pixel spacing in millimetres, adds HD95; --keep keeps images, masks and scores for inspection.
"""

import argparse
import contextlib
import csv
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from check_dice import largest_difference

from lungmask_cli.datasets.layouts import Pairing, find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.files import json_text
from lungmask_cli.formats.masks import read_masks
from lungmask_cli.formats.png import write_mask
from lungmask_cli.scoring.statistics import bootstrap_intervals

# The publishers' file names state the finding. Many of the radiographs normal_1xxxx are of children.
GROUPS = {
    "nodule": r"JPCLN",
    "no nodule": r"JPCNN",
    "tuberculosis": r"(MCUCXR|CHNCXR)_\d+_1",
    "no tuberculosis": r"(MCUCXR|CHNCXR)_\d+_0",
    "COVID-19": r"covid_\d+",
    "other pneumonia": r"noncovid_\d+",
    "normal": r"normal_\d+",
    "normal, many children": r"normal_1\d{4}$",
}

METRICS = "dice,iou,raggedness_drawn,raggedness_truth"


def lungmask(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "lungmask_cli", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def lay_out(pairing: Pairing, chosen: set[str], folder: Path) -> None:
    """Copies of the chosen radiographs in images/, unions of their masks in truth/."""
    (folder / "images").mkdir()
    for pair in pairing.pairs:
        if pair.id in chosen:
            shutil.copy(pair.image, folder / "images" / f"{pair.id}{pair.image.suffix}")
            write_mask(folder / "truth" / f"{pair.id}.png", np.any(read_masks(pair.masks), axis=0))


@contextlib.contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    """A new folder: `folder`, or a temporary one."""
    if folder:
        folder.mkdir(parents=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def interval(values: list[float]) -> list[float]:
    """The 95 % bootstrap interval of the mean, with one image per patient."""
    (ends,) = bootstrap_intervals(np.asarray(values)[:, None], np.arange(len(values)), seed=0)
    return [round(float(end), 6) for end in ends]


def members(names: Iterable[str], groups: Mapping[str, str] = GROUPS) -> dict[str, list[str]]:
    """The images of each group that has any; `groups` are regular expressions."""
    found = {group: [name for name in names if re.match(regex, Path(name).name)] for group, regex in groups.items()}
    return {group: some for group, some in found.items() if some}


def mean_of(rows: Iterable[Mapping[str, str]], column: str) -> float | None:
    """The mean of a column's values; None if there is none."""
    values = [float(row[column]) for row in rows if row[column]]
    return round(statistics.mean(values), 6) if values else None


def by_group(dices: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Count, mean and interval of each group."""
    groups = {group: [dices[name] for name in names] for group, names in members(dices).items()}
    return {
        group: {"images": len(some), "mean_dice": round(statistics.mean(some), 6), "interval": interval(some)}
        for group, some in groups.items()
    }


def measure(
    pairing: Pairing,
    chosen: set[str],
    weights: str,
    spacing: float | None = None,
    keep: Path | None = None,
    others: Sequence[str] = (),
) -> dict[str, object]:
    with kept_or_temporary(keep) as folder:
        lay_out(pairing, chosen, folder)
        options = ("--weights", weights, "--device", "cpu", *others)
        lungmask("segment", folder / "images", "-o", folder / "masks", *options)
        extra = ("--metrics", f"{METRICS},hd95", "--spacing", spacing) if spacing else ("--metrics", METRICS)
        lungmask("score", folder / "masks", folder / "truth", "-o", folder / "dice.csv", *extra)
        difference = largest_difference(folder / "masks", folder / "truth", folder / "dice.csv")
        rows = list(csv.DictReader((folder / "dice.csv").open()))
        seconds = [float(row["seconds"]) for row in csv.DictReader((folder / "masks" / "segment.csv").open())]
    dices = {row["file"]: float(row["dice"]) for row in rows if row["dice"]}
    counts: dict[str, object] = {"images": len(dices), "undefined": len(rows) - len(dices)}
    if not dices:
        return counts
    worst = min(dices, key=dices.__getitem__)
    figures = {
        **counts,
        "mean_dice": round(statistics.mean(dices.values()), 6),
        "interval": interval(list(dices.values())),
        "sd_dice": round(statistics.stdev(dices.values()), 6),
        "median_dice": round(statistics.median(dices.values()), 6),
        "worst_dice": round(dices[worst], 6),
        "worst_image": worst,
        "below_0.9": sum(dice < 0.9 for dice in dices.values()),
        "mean_iou": mean_of(rows, "iou"),
        "mean_raggedness": mean_of(rows, "raggedness_drawn"),
        "mean_raggedness_of_references": mean_of(rows, "raggedness_truth"),
        "groups": by_group(dices),
        "largest_difference_from_numpy": difference,
        "median_seconds_per_image": round(statistics.median(seconds), 4),
    }
    if spacing:
        figures["mean_hd95_mm"] = mean_of(rows, "hd95_mm")
    return figures


def split_arguments() -> tuple[list[str], list[str]]:
    """The arguments before and after `--`, which argparse would mix if there are options in between."""
    arguments = [*sys.argv[1:], "--"]
    own = arguments[: arguments.index("--")]
    return own, arguments[len(own) + 1 : -1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", help="as in lungmask preprocess")
    parser.add_argument("--part", default="test")
    parser.add_argument("--weights", default="general")
    parser.add_argument("--spacing", type=float, help="pixel spacing in millimetres: adds HD95")
    parser.add_argument("--keep", type=Path, help="a new folder for all files")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    own, others = split_arguments()
    options = parser.parse_args(own)
    pairing = find_pairs(options.data)
    names = [pair.id for pair in pairing.pairs]
    chosen, method = set(names), "all images"
    if options.split:
        split, method = resolve_split(names, options.split, seed=0)
        chosen = {name for name in names if split[name] == options.part}
        # Without the number of rows that are of other data.
        method = f"{options.part} of {method.partition(' (')[0].removesuffix(':split')}"
    figures = measure(pairing, chosen, options.weights, options.spacing, options.keep, others)
    named = {"options": " ".join(others)} if others else {}
    figures = {"data": options.data.name, "part": method, "weights": options.weights, **named, **figures}
    figures["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    text = json_text(figures)
    print(text, end="")
    if options.json:
        options.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

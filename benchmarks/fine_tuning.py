"""The gain of `lungmask train --init` with a few radiographs of a data set that the weights were not trained on.

    python benchmarks/fine_tuning.py DATA [--images 20] [--seeds 0 1 2] [--weights jsrt] [--epochs 20] [--json FILE]

DATA is a folder that `lungmask preprocess` accepts, whose masks have the size of their images. For each seed, this
number of images is drawn: a fifth is for validation, the others are for training. All other images are segmented with
the original and with the fine-tuned weights, and scored at their own size. The images that a run has used are read from
its run folder, and the scored images from the scores: if an image is in both or in neither, the exit code is 1.
The default of --epochs was chosen on `val` alone.
"""

import argparse
import contextlib
import csv
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import lay_out, lungmask

from lungmask_cli.datasets.layouts import Pairing, find_pairs
from lungmask_cli.datasets.splits import TRAIN, VAL, Ratios, draw_split
from lungmask_cli.scoring.statistics import bootstrap_intervals

Dices = dict[str, tuple[float, float]]  # of each image: with the original and with the fine-tuned weights


def draw(names: Sequence[str], images: int, seed: int, path: Path) -> None:
    """Write a random split: of `images` images, a fifth is val and the others are train; the rest is test."""
    val = max(1, images // 5)
    split = draw_split(names, Ratios(images - val, val, len(names) - images), seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", f"seed_{seed}"), *sorted(split.items())])


def seen_by(run: Path) -> dict[str, list[str]]:
    """The training and validation images of a run, from its run folder."""
    rows = list(csv.DictReader((run / "split.csv").open(encoding="utf-8")))
    return {part: sorted(row["id"] for row in rows if row["split"] == part) for part in (TRAIN, VAL)}


def names_in(seen: dict[str, list[str]]) -> set[str]:
    return {name for part in seen.values() for name in part}


def score(pairing: Pairing, seen: dict[str, list[str]], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare fine-tuned and original weights on all images that the run in `folder` was not trained on."""
    rest = {pair.id for pair in pairing.pairs} - names_in(seen)
    lay_out(pairing, rest, folder)
    for name, weights in (("zero_shot", options.weights), ("fine_tuned", folder / "run")):
        lungmask("segment", folder / "images", "-o", folder / name, "--weights", weights, "--device", "cpu")
    outputs = ("-o", folder / "dice.csv", "--summary", folder / "summary.json", "--metrics", "dice")
    lungmask("score", folder / "fine_tuned", folder / "truth", "--compare", folder / "zero_shot", *outputs)
    compared: dict[str, Any] = json.loads((folder / "summary.json").read_text())["comparison"]["dice"]
    return compared


def read_dices(path: Path) -> Dices:
    rows = csv.DictReader(path.open(encoding="utf-8"))
    known = (row for row in rows if row["other_dice"] and row["dice"])
    return {row["file"]: (float(row["other_dice"]), float(row["dice"])) for row in known}


def worst(dices: Dices, index: int) -> tuple[str, float, float]:
    """The image with the lowest Dice of the original (0) or fine-tuned (1) weights, and its Dice with both."""
    name = min(dices, key=lambda name: dices[name][index])
    return name, *dices[name]


def measure(pairing: Pairing, seed: int, options: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], Dices]:
    """The results of one seed, and the Dice of each scored image."""
    names = [pair.id for pair in pairing.pairs]
    draw(names, options.images, seed, folder / "split.csv")
    command = ("train", options.data, "--init", options.weights, "--split", f"{folder / 'split.csv'}:seed_{seed}")
    started = time.monotonic()
    lungmask(*command, "--epochs", options.epochs, "--seed", seed, "--device", "cpu", "-o", folder / "run")
    minutes = (time.monotonic() - started) / 60
    seen, run = seen_by(folder / "run"), json.loads((folder / "run" / "summary.json").read_text())
    compared = score(pairing, seen, options, folder)
    dices = read_dices(folder / "dice.csv")
    return {
        "seed": seed,
        "seen": seen,
        "images_scored": len(dices),
        "seen_and_scored": sorted(names_in(seen) & set(dices)),
        "neither_seen_nor_scored": sorted(set(names) - names_in(seen) - set(dices)),
        "best_epoch": run["best_epoch"],
        "val_dice": run["val_dice"],
        "minutes_of_training": round(run["seconds"] / 60, 2),
        "minutes_of_the_command": round(minutes, 2),
        "zero_shot_dice": round(compared["other_mean"], 6),
        "fine_tuned_dice": round(compared["mean"], 6),
        "difference": round(compared["difference"], 6),
        "interval_95": [round(limit, 6) for limit in compared["interval"]],
        "better_on": compared["better"][0],
        "worse_on": compared["better"][1],
        "worst_zero_shot": worst(dices, 0),
        "worst_fine_tuned": worst(dices, 1),
    }, dices


def overall(seeds: Sequence[dict[str, Any]], dices: Sequence[Dices]) -> dict[str, Any]:
    """All seeds together. The bootstrap resamples images, each with all its scores, and not the random draws."""
    numbers = {name: number for number, name in enumerate(sorted(set().union(*dices)))}
    units = np.array([numbers[name] for found in dices for name in found], np.intp)
    gains = np.array([after - before for found in dices for before, after in found.values()])
    interval = bootstrap_intervals(gains[:, None], units, seed=0)[0]
    return {
        "zero_shot_dice": round(statistics.mean(seed["zero_shot_dice"] for seed in seeds), 6),
        "fine_tuned_dice": round(statistics.mean(seed["fine_tuned_dice"] for seed in seeds), 6),
        "difference": round(float(gains.mean()), 6),
        "interval_95": [round(limit, 6) for limit in interval],
        "differences_of_seeds": [seed["difference"] for seed in seeds],
        "better_on": int((gains > 0).sum()),
        "worse_on": int((gains < 0).sum()),
        "different_images": len(numbers),
    }


@contextlib.contextmanager
def seed_folder(seed: int, keep: Path | None) -> Iterator[Path]:
    """A new folder for the files of a seed; a temporary one, unless they are to be kept."""
    if keep is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    (keep / f"seed_{seed}").mkdir(parents=True)
    yield keep / f"seed_{seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=20, help="drawn for training and validation, at least 2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--weights", default="jsrt")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument("--keep", type=Path, help="keep the runs, the masks and the scores in this folder")
    options = parser.parse_args()
    pairing = find_pairs(options.data)
    if not 2 <= options.images < len(pairing.pairs):
        parser.error(f"--images {options.images}: is not 2 to {len(pairing.pairs) - 1}")
    seeds, dices = [], []
    for seed in options.seeds:
        with seed_folder(seed, options.keep) as folder:
            figures, found = measure(pairing, seed, options, folder)
        print(f"seed {seed}: {figures['zero_shot_dice']} to {figures['fine_tuned_dice']}", file=sys.stderr)
        seeds.append(figures)
        dices.append(found)
    text = json.dumps(
        {
            "data": options.data.name,
            "images": len(pairing.pairs),
            "drawn": options.images,
            "weights": options.weights,
            "epochs": options.epochs,
            "seeds": seeds,
            "all": overall(seeds, dices),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        },
        indent=2,
    )
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    sys.exit(any(seed["seen_and_scored"] or seed["neither_seen_nor_scored"] for seed in seeds))


if __name__ == "__main__":
    main()

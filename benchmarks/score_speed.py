"""Compares the speed of `lungmask score` with MONAI, surface-distance and bare decoding, on masks of 2048 x 2048.

    pip install monai surface-distance
    python benchmarks/score_speed.py PREDS TRUTH [--pairs 100] [--rounds 3]

PREDS and TRUTH are folders of masks as for `lungmask score`. The first hundred pairs are enlarged to 2048 x 2048 by
bilinear interpolation. First, Dice, HD95 and ASSD of decoded masks are timed in one process; the libraries take turns
on every pair. Then the time from files to scores is measured, in one thread and as the complete command, including its
start-up, with one thread per core.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.imaging.radiograph import LungMask, Mask
from lungmask_cli.scoring.evaluate import Case, evaluate_all
from lungmask_cli.scoring.options import ScoreOptions
from lungmask_cli.scoring.pairing import PREDICTED, TRUTH, MaskPair, find_masks, pair_masks, read_mask_files
from lungmask_cli.scoring.scores import score_masks

SIDE = 2048
METRICS = ("dice", "hd95", "assd")


def prepare_pairs(preds: Path, truth: Path, folder: Path, count: int) -> list[tuple[Path, Path]]:
    """The first pairs, enlarged, as 8-bit PNG files with the default settings of Pillow."""
    written = []
    for pair in complete_pairs(preds, truth)[:count]:
        paths = []
        for name, files in pair.files.items():
            mask = Image.fromarray(read_mask_files(files).lungs.astype(np.uint8) * np.uint8(255))
            large = np.asarray(mask.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) > 127
            paths.append(folder / name / f"{pair.key.replace('/', '-')}.png")
            paths[-1].parent.mkdir(exist_ok=True)
            Image.fromarray(large.astype(np.uint8) * np.uint8(255)).save(paths[-1])
        written.append((paths[0], paths[1]))
    return written


def complete_pairs(preds: Path, truth: Path) -> list[MaskPair]:
    pairs = pair_masks({PREDICTED: find_masks(preds), TRUTH: find_masks(truth)}).pairs
    return [pair for pair in pairs if all(pair.files.values())]


def decode(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def bare_decoding(pairs: list[tuple[Path, Path]]) -> None:
    for pair in pairs:
        for path in pair:
            decode(path)


def lungmask(pairs: list[tuple[Path, Path]], metrics: tuple[str, ...]) -> None:
    options = ScoreOptions(pairs[0][0].parent, pairs[0][1].parent, metrics=metrics)
    cases = [Case(pair) for pair in complete_pairs(options.predicted, options.truth)]
    outcomes = evaluate_all(cases, options)
    assert all(len(outcome.score.values) == len(metrics) for outcome in outcomes)


def command(pairs: list[tuple[Path, Path]], metrics: tuple[str, ...]) -> None:
    folders = (str(pairs[0][0].parent), str(pairs[0][1].parent))
    arguments = ["-m", "lungmask_cli", "score", *folders, "--metrics", ",".join(metrics)]
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def lungmask_metrics(predicted: Mask, truth: Mask) -> float:
    values = score_masks("", LungMask(predicted), LungMask(truth), metrics=METRICS).values
    return next(iter(values.values()))


def monai(predicted: Mask, truth: Mask) -> float:
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    one, other = (torch.from_numpy(mask)[None, None] for mask in (predicted, truth))
    compute_hausdorff_distance(one, other, include_background=True, percentile=95)
    compute_average_surface_distance(one, other, include_background=True, symmetric=True)
    return float(compute_dice(one, other))


def surface_distance(predicted: Mask, truth: Mask) -> float:
    import surface_distance as library

    distances = library.compute_surface_distances(truth, predicted, spacing_mm=(1.0, 1.0))
    library.compute_robust_hausdorff(distances, 95)
    library.compute_average_surface_distance(distances)
    return float(library.compute_dice_coefficient(truth, predicted))


LIBRARIES = {"lungmask": lungmask_metrics, "MONAI": monai, "surface-distance": surface_distance}


def time_metrics(pairs: list[tuple[Path, Path]]) -> dict[str, float]:
    """Seconds of each library for all decoded pairs; the libraries take turns on every pair."""
    seconds = dict.fromkeys(LIBRARIES, 0.0)
    for number, pair in enumerate([pairs[0], *pairs]):
        predicted, truth = (decode(path) > 127 for path in pair)
        dices = []
        for name, library in LIBRARIES.items():
            started = time.perf_counter()
            dices.append(library(predicted, truth))
            if number:  # the first pass loads the libraries
                seconds[name] += time.perf_counter() - started
        if not np.allclose(dices, dices[0]):
            sys.exit(f"the libraries do not compute the same Dice: {dices}")
    return seconds


def time_from_files(pairs: list[tuple[Path, Path]], rounds: int) -> dict[str, float]:
    """Median seconds from files to scores for each method, taking turns."""
    calls: dict[str, Callable[[], object]] = {
        "bare decoding": partial(bare_decoding, pairs),
        "lungmask, one thread, Dice": partial(lungmask, pairs, ("dice",)),
        "lungmask, one thread, Dice + HD95 + ASSD": partial(lungmask, pairs, METRICS),
        "lungmask score, Dice": partial(command, pairs, ("dice",)),
        "lungmask score, Dice + HD95 + ASSD": partial(command, pairs, METRICS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if number:  # the first round loads files and libraries into memory
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preds", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = prepare_pairs(options.preds, options.truth, Path(folder), options.pairs)
        metrics, files = time_metrics(pairs), time_from_files(pairs, options.rounds)
    bare, whole = files["bare decoding"], files["lungmask score, Dice + HD95 + ASSD"]
    ratios = {
        f"{name}: metrics, of lungmask's": metrics[name] / metrics["lungmask"] for name in ("MONAI", "surface-distance")
    }
    for name in ("MONAI", "surface-distance"):
        ratios[f"{name}: decoding and metrics, of lungmask score"] = (bare + metrics[name]) / whole
    for name in ("lungmask, one thread, Dice", "lungmask score, Dice"):
        ratios[f"{name}, of bare decoding"] = files[name] / bare
    figures = {
        "pairs": len(pairs),
        "side": SIDE,
        "seconds for the metrics": {name: round(value, 3) for name, value in metrics.items()},
        "seconds from files": {name: round(value, 3) for name, value in files.items()},
        "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

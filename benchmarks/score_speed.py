"""`lungmask score` beside MONAI, surface-distance and bare decoding, on masks of 2048 x 2048.

    pip install monai surface-distance
    python benchmarks/score_speed.py PREDS TRUTH [--pairs 100] [--rounds 3]

PREDS and TRUTH are folders of masks such as `lungmask score` compares; the first hundred pairs are enlarged to 2048 x
2048 first, smoothly. Dice, HD95 and ASSD of masks that are decoded already are timed first, in one process, pair by
pair in turn; then the way from files to scores, in one process and as the whole command, with its start-up and a
process for each core.
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

from lungmask_cli.formats.masks import DEFAULT_MASKS
from lungmask_cli.imaging.radiograph import LungMask, Mask
from lungmask_cli.scoring.compare import Measure, score_masks
from lungmask_cli.scoring.evaluate import PREDICTED, TRUTH, Case, Evaluation, evaluate_all
from lungmask_cli.scoring.pairing import find_masks, pair_masks, read_files

SIDE = 2048
SURFACES = ("dice", "hd95", "assd")


def lay_out(preds: Path, truth: Path, folder: Path, count: int) -> list[tuple[Path, Path]]:
    """The first pairs, enlarged, as 8-bit PNG files with Pillow's own settings."""
    pairs = [pair for pair in pair_masks(find_masks(preds), find_masks(truth)) if pair.drawn and pair.truth][:count]
    laid = []
    for pair in pairs:
        paths = []
        for name, files in (("preds", pair.drawn), ("truth", pair.truth)):
            mask = Image.fromarray(read_files(files).lungs.astype(np.uint8) * np.uint8(255))
            large = np.asarray(mask.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) > 127
            paths.append(folder / name / f"{pair.key.replace('/', '-')}.png")
            paths[-1].parent.mkdir(exist_ok=True)
            Image.fromarray(large.astype(np.uint8) * np.uint8(255)).save(paths[-1])
        laid.append((paths[0], paths[1]))
    return laid


def decode(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def bare_decoding(pairs: list[tuple[Path, Path]]) -> None:
    for pair in pairs:
        for path in pair:
            decode(path)


def lungmask(pairs: list[tuple[Path, Path]], metrics: tuple[str, ...]) -> None:
    folders = {PREDICTED: pairs[0][0].parent, TRUTH: pairs[0][1].parent}
    cases = [Case(pair) for pair in pair_masks(*map(find_masks, folders.values()))]
    how = Evaluation(Measure(metrics), dict.fromkeys(folders, DEFAULT_MASKS), folders)
    outcomes = evaluate_all(cases, how, jobs=1)
    assert all(len(outcome.score.values) == len(metrics) for outcome in outcomes)


def command(pairs: list[tuple[Path, Path]], metrics: tuple[str, ...]) -> None:
    folders = (str(pairs[0][0].parent), str(pairs[0][1].parent))
    arguments = ["-m", "lungmask_cli", "score", *folders, "--metrics", ",".join(metrics)]
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def lungmask_metrics(drawn: Mask, truth: Mask) -> float:
    values = score_masks("", LungMask(drawn), LungMask(truth), Measure(SURFACES)).values
    return next(iter(values.values()))


def monai(drawn: Mask, truth: Mask) -> float:
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    one, other = (torch.from_numpy(mask)[None, None] for mask in (drawn, truth))
    compute_hausdorff_distance(one, other, include_background=True, percentile=95)
    compute_average_surface_distance(one, other, include_background=True, symmetric=True)
    return float(compute_dice(one, other))


def surface_distance(drawn: Mask, truth: Mask) -> float:
    import surface_distance as library

    distances = library.compute_surface_distances(truth, drawn, spacing_mm=(1.0, 1.0))
    library.compute_robust_hausdorff(distances, 95)
    library.compute_average_surface_distance(distances)
    return float(library.compute_dice_coefficient(truth, drawn))


LIBRARIES = {"lungmask": lungmask_metrics, "MONAI": monai, "surface-distance": surface_distance}


def on_decoded(pairs: list[tuple[Path, Path]]) -> dict[str, float]:
    """Seconds of each library for all pairs, without decoding; they take turns on every pair."""
    taken = dict.fromkeys(LIBRARIES, 0.0)
    for number, pair in enumerate([pairs[0], *pairs]):
        drawn, truth = (decode(path) > 127 for path in pair)
        dices = []
        for name, library in LIBRARIES.items():
            started = time.perf_counter()
            dices.append(library(drawn, truth))
            if number:  # the first time, libraries are loaded
                taken[name] += time.perf_counter() - started
        if not np.allclose(dices, dices[0]):
            sys.exit(f"the libraries do not compute the same Dice: {dices}")
    return taken


def with_files(pairs: list[tuple[Path, Path]], rounds: int) -> dict[str, float]:
    """Median seconds of each way from files to scores, in turn."""
    calls: dict[str, Callable[[], object]] = {
        "bare decoding": partial(bare_decoding, pairs),
        "lungmask, one process, Dice": partial(lungmask, pairs, ("dice",)),
        "lungmask, one process, Dice + HD95 + ASSD": partial(lungmask, pairs, SURFACES),
        "lungmask score, Dice": partial(command, pairs, ("dice",)),
        "lungmask score, Dice + HD95 + ASSD": partial(command, pairs, SURFACES),
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for place in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if place:  # the first round brings files and libraries into memory
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preds", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = lay_out(options.preds, options.truth, Path(folder), options.pairs)
        metrics, files = on_decoded(pairs), with_files(pairs, options.rounds)
    bare, whole = files["bare decoding"], files["lungmask score, Dice + HD95 + ASSD"]
    ratios = {
        f"{name}: metrics, of lungmask's": metrics[name] / metrics["lungmask"] for name in ("MONAI", "surface-distance")
    }
    for name in ("MONAI", "surface-distance"):
        ratios[f"{name}: decoding and metrics, of lungmask score"] = (bare + metrics[name]) / whole
    for name in ("lungmask, one process, Dice", "lungmask score, Dice"):
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

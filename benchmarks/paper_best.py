"""What each choice is worth that the paper leaves open, and the best of them together, on validation images only.

    python benchmarks/paper_best.py JSRT [-o runs/paper_best] [--trials base jitter ...] [--seeds 0] [--split FILE.csv]
        [--no-train]

Each file of benchmarks/paper_best/ is a trial: a configuration for `lungmask train`. Its first line says what the trial
changes, and which other trial it is compared with; a line `# parts: NAME, ...` names parts of `pix2pix_parts.py`, which
the package does not have. The test images are removed from the split, so that no trial can use them. If the command is
killed, the same command resumes it.

Each trial segments the validation images at their own size; some weights are also measured with the batch statistics of
the test image, or with dropout at test time, as pix2pix does. The output is a Markdown table of the Dice values and of
the paired difference from the other trial with its 95 % bootstrap interval over images, in which an image has the mean
Dice of all seeds. OUT/paper_best.json contains the same numbers.
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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from adversary import average
from pix2pix_parts import parts
from recipe import Trial, blind_split, make_parser, read_trial
from table1 import SPLIT, difference, span

from lungmask_cli.datasets.layouts import Pair, find_pairs
from lungmask_cli.datasets.splits import VAL, resolve_split
from lungmask_cli.files import write_text
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.inference.segmenter import Segmenter
from lungmask_cli.models.network import build_network
from lungmask_cli.models.weights import load_model
from lungmask_cli.scoring.overlap import overlap

TRIALS = Path(__file__).parent / "paper_best"
# Weights of a trial that are measured again: with the batch statistics of each image, and with dropout.
AS_PIX2PIX = {
    "base-statistics": ("base", "statistics of the test image", True, False),
    "dropout-test": ("dropout", "dropout at test time, too", False, True),
    "dropout-both": ("dropout", "dropout at test time and statistics of the test image", True, True),
    "together-statistics": ("together-cosine", "statistics of the test image", True, False),
}
Dices = dict[str, float]  # of each image


def part_names(trial: Trial) -> list[str]:
    lines = trial.configuration.read_text(encoding="utf-8").splitlines()
    line = next((line for line in lines if line.startswith("# parts: ")), "# parts: ")
    return [name for name in line.removeprefix("# parts: ").split(", ") if name]


def train(trial: Trial, seed: int, split: Path, options: argparse.Namespace) -> Path:
    folder: Path = options.output / "runs" / f"{trial.name}-{seed}"
    if (folder / "summary.json").exists() or not options.train:
        return folder
    script = [sys.executable, str(Path(__file__).parent / "pix2pix_parts.py"), ",".join(part_names(trial)), "train"]
    if (folder / "run.json").exists():
        script += ["--resume", str(folder)]
    else:
        shutil.rmtree(folder, ignore_errors=True)
        script += [*map(str, options.data), "--config", str(trial.configuration), "--split", str(split)]
        script += ["--seed", str(seed), "-o", str(folder)]
    print(f"{trial.name}, seed {seed}", file=sys.stderr)
    subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
    return folder


def measure(kept: Path, pairs: list[Pair], segmenter: Callable[[], Segmenter]) -> Dices:
    """The Dice of each validation image, at its own size."""
    if not kept.exists():
        segment = segmenter().segment
        dices = {pair.id: measure_one(pair, segment) for pair in pairs}
        write_text(kept, json.dumps(dices, indent=1) + "\n")
    found: Dices = json.loads(kept.read_text())
    return found


def measure_one(pair: Pair, segment: Callable[[Path], Any]) -> float:
    truth = np.logical_or.reduce([read_lung_mask(path).lungs for path in pair.masks])
    return overlap(segment(pair.image).lungs, truth).dice


def as_pix2pix(run: Path, statistics_of_test: bool, dropout: bool) -> Segmenter:
    """A segmenter whose network uses the batch statistics of each image, or its dropout, or both."""
    model = load_model(run / "best.weights.h5")
    for layer in model.generator._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = statistics_of_test
        if isinstance(layer, keras.layers.Dropout) and not dropout:
            layer.rate = 0.0

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(model.generator(images[..., None], training=True))

    segmenter = Segmenter(run, runtime="keras", device="cpu")
    object.__setattr__(segmenter, "networks", (build_network(predict, model.manifest),))
    return segmenter


def figures(name: str, tried: str, against: str, runs: list[Path], scores: dict[str, Dices]) -> dict[str, Any]:
    summaries = [json.loads((run / "summary.json").read_text()) for run in runs]
    row: dict[str, Any] = {
        "trial": name,
        "tried": tried,
        "against": against,
        "seeds": len(runs),
        "epochs": summaries[0]["epochs"],
        "best_epochs": [summary["best_epoch"] for summary in summaries],
        "train_dice": statistics.mean(last_train_dice(run) for run in runs),
        "val_dice": statistics.mean(scores[name].values()),
    }
    if against in scores:
        row["gain"], row["gain_interval"] = difference(scores[name], scores[against])
    return row


def last_train_dice(run: Path) -> float:
    rows = list(csv.DictReader((run / "metrics.csv").open(encoding="utf-8")))
    return float(rows[-1]["dice"])


def table(rows: list[dict[str, Any]]) -> str:
    heads = ["trial", "change", "seeds", "epochs", "Dice in training", "val Dice", "against", "gain [95 %]"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        gain = f"{row['gain']:+.4f} {span(row['gain_interval'])}" if "gain" in row else ""
        cells = [f"`{row['trial']}`", row["tried"], str(row["seeds"]), str(row["epochs"])]
        cells += [f"{row['train_dice']:.4f}", f"{row['val_dice']:.4f}", row["against"], gain]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def measure_all(
    runs: dict[str, list[Path]], trials: dict[str, Trial], pairs: list[Pair], kept: Path
) -> list[dict[str, Any]]:
    """The rows of the table, one for each trial, and for some of them one for how pix2pix predicts."""
    scores = {}
    for name, each in runs.items():
        with parts(part_names(trials[name])):
            found = [measure(kept / f"{run.name}.json", pairs, partial(Segmenter, run)) for run in each]
            scores[name] = average(found)
            for variant, (trained, _, *how) in AS_PIX2PIX.items():
                if trained == name:
                    files = {run: kept / f"{variant}-{run.name}.json" for run in each}
                    found = [measure(files[run], pairs, partial(as_pix2pix, run, *how)) for run in each]
                    scores[variant] = average(found)
    described = {name: (name, trials[name].tried, trials[name].against) for name in runs}
    described |= {v: (name, tried, name) for v, (name, tried, *_) in AS_PIX2PIX.items() if name in runs}
    return [figures(name, tried, against, runs[run], scores) for name, (run, tried, against) in described.items()]


def main() -> None:
    options = read_options()
    trials = {path.stem: read_trial(path) for path in sorted(TRIALS.glob("*.toml"))}
    split = blind_split(options)
    runs = {}
    for name in options.trials or trials:
        each = [train(trials[name], seed, split, options) for seed in options.seeds]
        if all((run / "summary.json").exists() for run in each):
            runs[name] = each
    pairs = find_pairs(*options.data).pairs
    part_of, _ = resolve_split([pair.id for pair in pairs], str(split), seed=0)
    pairs = [pair for pair in pairs if part_of[pair.id] == VAL]
    rows = measure_all(runs, trials, pairs, options.output / "scores")
    rows.sort(key=lambda row: (row["against"], -row.get("gain", 0)))
    facts = {"split": options.split.name, "part": VAL, "seeds": options.seeds, "images": len(pairs)}
    facts["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    write_text(options.output / "paper_best.json", json.dumps({**facts, "trials": rows}, indent=2) + "\n")
    print(table(rows))


def read_options() -> argparse.Namespace:
    parser = make_parser(__doc__, TRIALS, SPLIT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Trials for ill lungs and other hospitals, compared on validation images of each kind.

    python benchmarks/outward.py JSRT SHENZHEN COVID_QU_EX [-o runs/outward] [--trials base balance ...] [--no-train]
        [--weights general ...]

Each file of benchmarks/outward/ is a trial: a configuration for `lungmask train`. Its first line says what the trial
changes, and which other trial it is compared with; a line `# without: ORIGIN` leaves a data set out of training, and
`# without: FILE.csv` the images that the file lists. All trials have the same seed and, apart from that, the same
training images. The test images are removed from the split, so that no trial can use them. `contradicted.csv` lists the
training images of COVID-QU-Ex on which the Dice of `base` is below 0.9 (`lungmask segment` and `score`). If the command
is killed, the same command resumes it. --weights are measured as well.

The validation images are segmented and scored at their own size. The output is a Markdown table: for each kind of
radiographs the mean Dice, the number of masks below 0.90 and the mean raggedness, and the paired difference of the Dice
from the other trial with its 95 % bootstrap interval. A trial is judged by its worst difference. OUT/outward.json
contains the same numbers, those of the references' raggedness, and those of the normal radiographs of which many are of
children.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import statistics
from pathlib import Path
from typing import Any

from accuracy import GROUPS, lay_out, lungmask, members
from recipe import Trial, make_parser, read_trial, train
from table1 import difference, span

from lungmask_cli.datasets.layouts import Pairing, find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.files import csv_text, write_text

TRIALS = Path(__file__).parent / "outward"
SPLIT = Path(__file__).parent / "splits" / "jsrt_shenzhen_covid_qu_ex.csv"
COLUMNS = ("JSRT", "Shenzhen", "COVID-19", "other pneumonia", "normal")
KINDS = {"JSRT": r"JPC", "Shenzhen": r"CHNCXR", **GROUPS}
METRICS = ("dice", "raggedness_drawn", "raggedness_truth")
Scores = dict[str, dict[str, float]]  # by metric and image


def left_out(trial: Trial, pairing: Pairing) -> set[str]:
    """The images that the trial is not trained on."""
    lines = trial.configuration.read_text(encoding="utf-8").splitlines()
    without = next((line.removeprefix("# without: ") for line in lines if line.startswith("# without: ")), "")
    if without.endswith(".csv"):
        with (TRIALS / without).open(encoding="utf-8") as file:
            return {row["id"] for row in csv.DictReader(file)}
    names = {pair.id for pair in pairing.pairs if pair.origin == without}
    if without and not names:
        raise SystemExit(f"{trial.configuration}: leaves out {without}, but there is no data set of this name")
    return names


def write_split(trial: Trial, pairing: Pairing, parts: dict[str, str], folder: Path) -> Path:
    """The split of a trial: test images, and training images that it leaves out, are not used."""
    without = left_out(trial, pairing)
    rows = []
    for name in (pair.id for pair in pairing.pairs):
        is_used = parts[name] == "val" or (parts[name] == "train" and name not in without)
        rows.append((name, parts[name] if is_used else "unused"))
    path = folder / "splits" / f"{trial.name}.csv"
    write_text(path, csv_text(("id", "split"), rows))
    return path


def measure(weights: str, name: str, again: bool, options: argparse.Namespace) -> Scores:
    """Dice and raggedness of each validation image; those that are undefined are missing."""
    masks, scores = options.output / "masks" / name, options.output / "scores" / f"{name}.csv"
    images, truth = (options.output / "val" / folder for folder in ("images", "truth"))
    if again or not scores.exists():
        lungmask("segment", images, "-o", masks, "--weights", weights, "--device", "cpu", "--overwrite")
        lungmask("score", masks, truth, "--metrics", ",".join(METRICS), "-o", scores)
    rows = list(csv.DictReader(scores.open(encoding="utf-8")))
    return {metric: {row["file"]: float(row[metric]) for row in rows if row[metric]} for metric in METRICS}


def mean(values: dict[str, float], names: list[str]) -> float:
    """The mean of those that are defined."""
    return statistics.mean(values[name] for name in names if name in values)


def figures(scores: Scores, against: Scores | None) -> dict[str, dict[str, Any]]:
    """The figures of each group of validation images."""
    found = {}
    for group, names in members(scores["dice"], KINDS).items():
        dices = {name: scores["dice"][name] for name in names}
        found[group] = {
            "images": len(names),
            "mean_dice": statistics.mean(dices.values()),
            "worst_dice": min(dices.values()),
            "below_0.9": sum(dice < 0.9 for dice in dices.values()),
            **{metric: mean(scores[metric], names) for metric in METRICS[1:]},
        }
        if against:
            found[group]["gain"], found[group]["interval"] = difference(dices, against["dice"])
    return found


def table(rows: dict[str, dict[str, dict[str, Any]]], trials: dict[str, Trial]) -> str:
    heads = ["trial", "change", *COLUMNS, "worst gain [95 %]"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, groups in rows.items():
        shown = [groups[column] for column in COLUMNS]
        cells = [f"`{name}`", trials[name].tried if name in trials else "weights"]
        cells += [f"{each['mean_dice']:.4f}, {each['below_0.9']}, {each['raggedness_drawn']:.3f}" for each in shown]
        gains = [each for each in shown if "gain" in each]
        worst = min(gains, key=lambda each: each["gain"]) if gains else None
        cells.append(f"{worst['gain']:+.4f} {span(worst['interval'])}" if worst else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = make_parser(__doc__, TRIALS, SPLIT)
    parser.add_argument("--weights", nargs="*", default=[], help="other weights to measure, by name or run folder")
    options = parser.parse_args()
    trials = {path.stem: read_trial(path) for path in sorted(TRIALS.glob("*.toml"))}
    pairing = find_pairs(*options.data)
    parts, _ = resolve_split([pair.id for pair in pairing.pairs], str(options.split), seed=0)
    validation = options.output / "val"
    if not (validation / "complete").exists():
        shutil.rmtree(validation, ignore_errors=True)
        validation.mkdir(parents=True)
        lay_out(pairing, {name for name, part in parts.items() if part == "val"}, validation)
        (validation / "complete").touch()
    chosen = [trials[name] for name in options.trials or trials]
    if options.train:
        for trial in chosen:
            train(trial, write_split(trial, pairing, parts, options.output), options)
    runs = {trial.name: options.output / "runs" / trial.name for trial in chosen}
    finished = {name: str(run) for name, run in runs.items() if (run / "summary.json").exists()}
    weights = finished | {Path(name).name: name for name in options.weights}
    scores = {name: measure(path, name, name not in finished, options) for name, path in weights.items()}
    rows = {
        name: figures(scores[name], scores.get(trials[name].against) if name in trials else None) for name in scores
    }
    facts = {"split": options.split.name, "part": "val", "seed": options.seed}
    facts["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    write_text(options.output / "outward.json", json.dumps({**facts, "trials": rows}, indent=2) + "\n")
    print(table(rows, trials))


if __name__ == "__main__":
    main()

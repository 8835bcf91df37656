"""The trials that led to the recipe of the shipped weights, trained and compared on validation images only.

    python benchmarks/recipe.py JSRT [-o runs/recipe] [--trials base wide ...] [--split FILE.csv] [--no-train]

Each file of benchmarks/recipe/ is a trial: a configuration for `lungmask train`. Its first line says what the trial
changes, and which other trial it is compared with. All trials use the same training images and the same seed. The test
images are removed from the split, so that no trial can use them. If the command is killed, the same command resumes it.

Each trial segments the validation images, without and with all corruptions of `robustness.py`. The output is a Markdown
table of both Dice values, and of the paired difference from the other trial with its 95 % bootstrap interval.
OUT/recipe.json contains the same numbers.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import robustness
from table1 import SPLIT, difference, finish_run, parameters, span

from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.files import csv_text, write_text

TRIALS = Path(__file__).parent / "recipe"
UNCHANGED = "as it is"


@dataclass(frozen=True)
class Trial:
    """A configuration, a description of the change, and the name of the trial that it is compared with."""

    configuration: Path
    tried: str
    against: str

    @property
    def name(self) -> str:
        return self.configuration.stem


def read_trial(path: Path) -> Trial:
    """Read the first line, `# AGAINST: CHANGE`, or `# CHANGE` for the trial that all others start from."""
    line = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    against, separator, tried = line.partition(": ")
    return Trial(path, tried, against) if separator else Trial(path, line, "")


def blind_split(options: argparse.Namespace) -> Path:
    """Write the split to a file, with the test images as unused."""
    names = sorted(pair.id for pair in find_pairs(*options.data).pairs)
    split, _ = resolve_split(names, str(options.split), seed=0)
    rows = [(name, "unused" if split[name] == "test" else split[name]) for name in names]
    path: Path = options.output / "split.csv"
    write_text(path, csv_text(("id", "split"), rows))
    return path


def train(trial: Trial, split: Path, options: argparse.Namespace) -> None:
    terms = ("--config", trial.configuration, "--split", split, "--seed", options.seed)
    finish_run(options.output / "runs" / trial.name, *options.data, *terms)


def lay_out_validation(split: Path, options: argparse.Namespace) -> Path:
    folder: Path = options.output / "val"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        pairs = find_pairs(*options.data).pairs
        parts, _ = resolve_split([pair.id for pair in pairs], str(split), seed=0)
        robustness.write_all([pair for pair in pairs if parts[pair.id] == "val"], folder)
        (folder / "complete").touch()
    return folder


def measure(trial: Trial, validation: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """The Dice of each validation image, for each corruption."""
    cache = options.output / "scores" / f"{trial.name}.json"
    if not cache.exists():
        dices = robustness.measure(validation, str(options.output / "runs" / trial.name))
        shutil.rmtree(validation / "masks")
        write_text(cache, json.dumps(dices) + "\n")
    scores: dict[str, list[float]] = json.loads(cache.read_text())
    return scores


def figures(trial: Trial, scores: dict[str, dict[str, list[float]]], options: argparse.Namespace) -> dict[str, Any]:
    run = options.output / "runs" / trial.name
    summary = json.loads((run / "summary.json").read_text())
    row: dict[str, Any] = {
        "trial": trial.name,
        "tried": trial.tried,
        "against": trial.against,
        "parameters": parameters(run),
        "epochs": summary["epochs"],
        "best_epoch": summary["best_epoch"],
        "val_dice": statistics.mean(scores[trial.name][UNCHANGED]),
        "changed_dice": statistics.mean(changed_means(scores[trial.name])),
    }
    if trial.against in scores:
        one, other = (by_image(scores[name][UNCHANGED]) for name in (trial.name, trial.against))
        row["gain"], row["gain_interval"] = difference(one, other)
        one, other = (by_image(changed_by_image(scores[name])) for name in (trial.name, trial.against))
        row["changed_gain"], row["changed_gain_interval"] = difference(one, other)
    return row


def by_image(values: Sequence[float]) -> dict[str, float]:
    return {str(number): value for number, value in enumerate(values)}


def changed_means(dices: dict[str, list[float]]) -> list[float]:
    return [statistics.mean(values) for name, values in dices.items() if name != UNCHANGED]


def changed_by_image(dices: dict[str, list[float]]) -> list[float]:
    """The mean of each image over all corruptions."""
    return [statistics.mean(each) for each in zip(*(v for n, v in dices.items() if n != UNCHANGED), strict=True)]


def table(rows: list[dict[str, Any]]) -> str:
    heads = ["trial", "change", "epochs", "parameters", "val Dice", "corrupted", "against", "gain [95 %]"]
    heads += ["gain, corrupted [95 %]"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        gains = ["", ""]
        if "gain" in row:
            gains = [f"{row[key]:+.4f} {span(row[f'{key}_interval'])}" for key in ("gain", "changed_gain")]
        cells = [f"`{row['trial']}`", row["tried"], str(row["epochs"]), f"{row['parameters']:,}"]
        cells += [f"{row['val_dice']:.4f}", f"{row['changed_dice']:.4f}", row["against"], *gains]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    options = make_parser(__doc__, TRIALS, SPLIT).parse_args()
    trials = {path.stem: read_trial(path) for path in sorted(TRIALS.glob("*.toml"))}
    chosen = [trials[name] for name in options.trials or trials]
    split = blind_split(options)
    if options.train:
        for trial in chosen:
            train(trial, split, options)
    chosen = [trial for trial in chosen if (options.output / "runs" / trial.name / "summary.json").exists()]
    validation = lay_out_validation(split, options)
    scores = {trial.name: measure(trial, validation, options) for trial in chosen}
    rows = [figures(trial, scores, options) for trial in chosen]
    facts = {
        "split": options.split.name,
        "part": "val",
        "seed": options.seed,
        "images": len(by_image(next(iter(scores.values()))[UNCHANGED])),
    }
    facts["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    write_text(options.output / "recipe.json", json.dumps({**facts, "trials": rows}, indent=2) + "\n")
    print(table(rows))


def make_parser(description: str | None, trials: Path, split: Path) -> argparse.ArgumentParser:
    """The options of a command that trains and compares the trials of a folder."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs") / trials.name)
    parser.add_argument("--trials", nargs="*", help=f"names of files in benchmarks/{trials.name}/; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", type=Path, default=split)
    parser.add_argument(
        "--no-train", dest="train", action="store_false", help="evaluate only the trials that are finished"
    )
    return parser


if __name__ == "__main__":
    main()

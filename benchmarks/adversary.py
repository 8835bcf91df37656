"""What an adversary is worth with radiographs that have no masks, compared with other ways to use them.

    python benchmarks/adversary.py JSRT COVID_QU_EX [--test SHENZHEN MONTGOMERY ...] [-o runs/adversary]
        [--trials alone adversary ...] [--seeds 0 1 2] [--no-train] [--small]

Each file of benchmarks/adversary/ is a trial: a configuration for `lungmask train`. Its first line says what the trial
is, and which other trial it is compared with. All trials have the masks of JSRT's training images. Trials whose second
line is `# unlabelled` also have the training images of COVID-QU-Ex, without masks; those with `# masks` have them with
their masks. All take about 1,430 steps of 8 images, and see 40 validation images of JSRT alone. The trials `ill-...`
train the paper's networks on COVID-QU-Ex alone, which chooses their epoch, too. Settings were chosen by the trials
`tried-...`, with seed 0, on the validation images of COVID-QU-Ex alone; they run only if they are named. If the command
is killed, the same command resumes it.

Weights are measured on the validation images of COVID-QU-Ex, by which settings were chosen, and on all images of the
--test sets, at their own size. The output is a Markdown table: the mean Dice over images and seeds, the number of masks
below 0.90 per seed, and the paired difference from the trial `alone` with its 95 % bootstrap interval over images, in
which an image has the mean Dice of all seeds. OUT/adversary.json contains the same numbers for each group of
radiographs, and those of each seed, and OUT/curves.png shows the losses. --small trains for a single epoch, to try the
command.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import lay_out, lungmask, members
from matplotlib.figure import Figure
from recipe import Trial, read_trial
from table1 import difference, finish_run, interval, span

from lungmask_cli.datasets.layouts import Pairing, find_pairs
from lungmask_cli.datasets.splits import TRAIN, UNUSED, VAL, resolve_split
from lungmask_cli.files import csv_text, write_text

TRIALS = Path(__file__).parent / "adversary"
SPLIT = Path(__file__).parent / "splits" / "jsrt_shenzhen_covid_qu_ex.csv"
TRIED = "tried-"
Dices = dict[str, float]  # of each image


def how_used(trial: Trial) -> str:
    """How the trial uses the images of COVID-QU-Ex: `unlabelled`, `masks`, `ill` for these alone, or not at all."""
    line = trial.configuration.read_text(encoding="utf-8").splitlines()[1].removeprefix("# ")
    return line if line in ("unlabelled", "masks", "ill") else ""


def write_splits(home: Pairing, others: Pairing, parts: dict[str, str], folder: Path) -> None:
    """A split for trials with the masks of JSRT alone, and one with all masks. Test images are not used."""
    with_masks = {pair.id for pair in home.pairs}
    names = [pair.id for pairing in (home, others) for pair in pairing.pairs]
    for kind in ("home", "masks"):
        known = {name for name in names if name in with_masks or (kind == "masks" and parts[name] == TRAIN)}
        rows = ((name, parts[name] if name in known and parts[name] in (TRAIN, VAL) else UNUSED) for name in names)
        write_text(folder / f"{kind}.csv", csv_text(("id", "split"), rows))


def prepare_once(pairing: Pairing, chosen: Iterable[str], folder: Path) -> Path:
    """A folder with images/ and truth/ of the chosen images."""
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        lay_out(pairing, set(chosen), folder)
        (folder / "complete").touch()
    return folder


def prepare_all(data: Path, output: Path) -> Path:
    pairing = find_pairs(data)
    return prepare_once(pairing, {pair.id for pair in pairing.pairs}, output / "sets" / data.name)


def train(trial: Trial, seed: int, options: argparse.Namespace) -> Path:
    used = how_used(trial)
    data = {"masks": options.data, "ill": options.data[1:]}.get(used, options.data[:1])
    split = {"masks": options.output / "masks.csv", "ill": SPLIT}.get(used, options.output / "home.csv")
    more = ("--unlabelled", options.output / "sets" / "unlabelled" / "images") if used == "unlabelled" else ()
    small = ("--epochs", 1) if options.small else ()
    folder: Path = options.output / "runs" / f"{trial.name}-{seed}"
    terms = ("--config", trial.configuration, "--split", split, "--seed", seed, "--device", "cpu")
    finish_run(folder, *data, *more, *terms, *small)
    return folder


def measure(weights: Path | str, data: Path, output: Path) -> Dices:
    """The Dice of each image of a set, with the weights of a run, or with shipped weights."""
    scores = output / "scores" / Path(weights).name / f"{data.name}.csv"
    if not scores.exists():
        masks = output / "masks"
        shutil.rmtree(masks, ignore_errors=True)
        lungmask("segment", data / "images", "-o", masks, "--weights", weights, "--device", "cpu")
        lungmask("score", masks, data / "truth", "--metrics", "dice", "-o", scores)
        shutil.rmtree(masks)
    rows = csv.DictReader(scores.open(encoding="utf-8"))
    return {row["file"]: float(row["dice"]) for row in rows if row["dice"]}


def figures(seeds: list[Dices], base: list[Dices] | None) -> dict[str, Any]:
    """The figures of one set, or of one group of it."""
    means = average(seeds)
    row: dict[str, Any] = {
        "images": len(means),
        "dice": statistics.mean(means.values()),
        "dice_of_seeds": [statistics.mean(one.values()) for one in seeds],
        "interval": interval(list(means.values())),
        "below_0.9_of_seeds": [sum(dice < 0.9 for dice in one.values()) for one in seeds],
    }
    if base is not None:
        row["gain"], row["gain_interval"] = difference(means, average(base))
        row["gain_of_seeds"] = [difference(one, other)[0] for one, other in zip(seeds, base, strict=True)]
    return row


def average(seeds: list[Dices]) -> Dices:
    return {name: statistics.mean(one[name] for one in seeds) for name in seeds[0]}


def all_figures(
    found: dict[str, dict[str, list[Dices]]], trials: dict[str, Trial]
) -> dict[str, dict[str, dict[str, Any]]]:
    """The figures of each trial, by set, and by set and group."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for trial, sets in found.items():
        rows[trial] = {}
        for data, seeds in sets.items():
            base = found.get(trials[trial].against, {}).get(data)
            groups = {data: list(seeds[0])} | {f"{data}: {g}": own for g, own in members(seeds[0]).items()}
            for group, names in groups.items():
                own, other = ([{n: one[n] for n in names} for one in some] for some in (seeds, base or []))
                rows[trial][group] = figures(own, other or None)
    return rows


def table(rows: dict[str, dict[str, dict[str, Any]]], trials: dict[str, Trial], columns: list[str]) -> str:
    heads = ["trial", "", *columns]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, sets in rows.items():
        cells = [f"`{name}`", trials[name].tried]
        for column in columns:
            row = sets[column]
            below = "/".join(map(str, row["below_0.9_of_seeds"]))
            gain = f"; {row['gain']:+.4f} {span(row['gain_interval'])}" if "gain" in row else ""
            cells.append(f"{row['dice']:.4f}, {below}{gain}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw_curves(found: Iterable[str], options: argparse.Namespace) -> None:
    """Validation Dice and losses of each trial over the course of training, as means over seeds."""
    panels = {
        "val_dice": "validation Dice, JSRT",
        "discriminator_loss": "discriminator loss (dashed: ln 2)",
        "unlabelled_adversarial_loss": "adversarial loss without masks",
        "consistency_loss": "consistency loss",
    }
    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, (column, title) in zip(figure.subplots(2, 2, sharex=True).flat, panels.items(), strict=True):
        for number, trial in enumerate(found):
            runs = [options.output / "runs" / f"{trial}-{seed}" / "metrics.csv" for seed in options.seeds]
            rows = [[float(row.get(column, 0)) for row in csv.DictReader(run.open(encoding="utf-8"))] for run in runs]
            values = np.mean(rows, axis=0)
            if values.any():
                share = np.linspace(1 / len(values), 1, len(values))
                axes.plot(share, values, f"C{number}" + ("" if len(values) > 9 else ".-"), label=trial)
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.axes[0].set_ylim(0.96, 0.982)
    figure.axes[1].axhline(np.log(2), color="grey", linestyle="--")
    for axes in figure.axes[2:]:
        axes.set_xlabel("share of the steps")
    figure.savefig(options.output / "curves.png", dpi=100)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs=2, help="JSRT, and COVID-QU-Ex")
    parser.add_argument("--test", type=Path, nargs="*", default=[], help="sets to measure on, too")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/adversary"))
    parser.add_argument("--trials", nargs="*", help="names of files in benchmarks/adversary/; default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--small", action="store_true", help="train for a single epoch")
    parser.add_argument("--no-train", dest="train", action="store_false", help="only trials that are finished")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    trials = {path.stem: read_trial(path) for path in sorted(TRIALS.glob("*.toml"))}
    named = sorted((name for name in trials if not name.startswith(TRIED)), key=lambda name: trials[name].tried)
    chosen = [trials[name] for name in options.trials or named]
    home, others = (find_pairs(folder) for folder in options.data)
    parts, _ = resolve_split([pair.id for pairing in (home, others) for pair in pairing.pairs], str(SPLIT), seed=0)
    write_splits(home, others, parts, options.output)
    by_part = {part: {pair.id for pair in others.pairs if parts[pair.id] == part} for part in (TRAIN, VAL)}
    prepare_once(others, by_part[TRAIN], options.output / "sets" / "unlabelled")
    sets = [prepare_once(others, by_part[VAL], options.output / "sets" / f"{options.data[1].name}-val")]
    sets += [prepare_all(folder, options.output) for folder in options.test]
    for seed in options.seeds if options.train else ():
        for trial in chosen:
            train(trial, seed, options)
    found: dict[str, dict[str, list[Dices]]] = {}
    for trial in chosen:
        runs = [options.output / "runs" / f"{trial.name}-{seed}" for seed in options.seeds]
        if all((run / "summary.json").exists() for run in runs):
            found[trial.name] = {data.name: [measure(run, data, options.output) for run in runs] for data in sets}
    rows = all_figures(found, trials)
    facts = {"split": SPLIT.name, "seeds": options.seeds}
    facts["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    write_text(options.output / "adversary.json", json.dumps({**facts, "trials": rows}, indent=2) + "\n")
    draw_curves([name for name in found if how_used(trials[name]) != "ill"], options)
    print(table(rows, trials, [data.name for data in sets]))


if __name__ == "__main__":
    main()

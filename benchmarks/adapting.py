"""The gain of `lungmask train --init --unlabelled` on data sets whose masks it never sees.

    python benchmarks/adapting.py JSRT DATA... [--weights general tiny] [--seeds 0 1 2] [-o runs/adapting]

For each of the weights and each seed, `lungmask train JSRT --init WEIGHTS --unlabelled DATA` is run for each DATA, with
the defaults of that command and JSRT's split of 160, 40 and 40 images. All images of DATA are segmented with the
weights from before and with those from after, and scored at their own size. The output is a Markdown table: the mean
Dice before and after, the mean of all seeds, the paired gain with its 95 % bootstrap interval over images, the number
of masks below 0.90 before and after for each seed, and the minutes that a command took. OUT/adapting.json contains the
same numbers for each group of radiographs. If the command is killed, the same command resumes it.
"""

import argparse
import json
import os
import platform
import statistics
from pathlib import Path
from typing import Any

from accuracy import members
from adversary import Dices, figures, measure, prepare_all
from table1 import finish_run, span

from lungmask_cli.files import write_text

SPLIT = Path(__file__).parent / "splits" / "jsrt_160_40_40.csv"


def adapt(weights: str, data: Path, seed: int, options: argparse.Namespace) -> Path:
    folder: Path = options.output / "runs" / f"{weights}-{data.name}-{seed}"
    terms = ("--split", SPLIT, "--seed", seed, "--device", "cpu")
    finish_run(folder, options.labelled, "--init", weights, "--unlabelled", data / "images", *terms)
    return folder


def compare(weights: str, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of the weights before and after, for all images and for each group."""
    runs = [adapt(weights, data, seed, options) for seed in options.seeds]
    before = measure(weights, data, options.output)
    after = [measure(run, data, options.output) for run in runs]
    seconds = [json.loads((run / "summary.json").read_text(encoding="utf-8"))["seconds"] for run in runs]
    groups = {"all": list(before), **members(before)}
    rows = {group: gains(before, after, names) for group, names in groups.items()}
    return {"weights": weights, "data": data.name, "minutes": statistics.median(seconds) / 60, "groups": rows}


def gains(before: Dices, after: list[Dices], names: list[str]) -> dict[str, Any]:
    old, new = {name: before[name] for name in names}, [{name: one[name] for name in names} for one in after]
    return {"before": figures([old], None), "after": figures(new, [old] * len(new))}


def table(rows: list[dict[str, Any]]) -> str:
    heads = ["weights", "data", "images", "before", "after", "gain [95 %]", "below 0.9 before", "after", "minutes"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        old, new = row["groups"]["all"]["before"], row["groups"]["all"]["after"]
        gain = f"{new['gain']:+.4f} {span(new['gain_interval'])}"
        below = [str(old["below_0.9_of_seeds"][0]), "/".join(map(str, new["below_0.9_of_seeds"]))]
        cells = [row["weights"], row["data"], str(old["images"]), f"{old['dice']:.4f}", f"{new['dice']:.4f}", gain]
        lines.append("| " + " | ".join([*cells, *below, f"{row['minutes']:.0f}"]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path, help="JSRT")
    parser.add_argument("data", type=Path, nargs="+", help="sets whose masks are used for scores alone")
    parser.add_argument("--weights", nargs="+", default=["general", "tiny"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/adapting"))
    options = parser.parse_args()
    sets = [prepare_all(folder, options.output) for folder in options.data]
    rows = [compare(weights, data, options) for data in sets for weights in options.weights]
    facts = {"split": SPLIT.name, "seeds": options.seeds}
    facts["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    write_text(options.output / "adapting.json", json.dumps({**facts, "rows": rows}, indent=2) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()

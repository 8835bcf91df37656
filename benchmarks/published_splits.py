"""A preset trained on each published split of JSRT, for comparison with the published results.

    python benchmarks/published_splits.py JSRT [--preset compact] [-o runs/published_splits] [--seed 0] [--no-train]

The splits are those of REPORTED in benchmarks/splits/. If one has no validation images, `lungmask train` holds out a
fifth of the training images. If the command is killed, the same command resumes it. The output is a Markdown table: the
mean Dice of the test images with its 95 % bootstrap interval, IoU, HD95 in mm of the JSRT film (0.7 mm a pixel of 512),
the worst image, and the reported result.
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

from accuracy import lay_out
from table1 import interval, lungmask, read_scores, span

from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.files import write_text

SPLITS = Path(__file__).parent / "splits"
SPACING = "0.7"
REPORTED = {
    "jsrt_160_40_40": "",
    "jsrt_gaal_172_25_50": "0.975, Gaal et al. 2020; 0.982, Idiap's U-Net",
    "jsrt_hybridgnet_195_51": "0.981, U-Net of Gaggion et al.",
    "jsrt_acrn_197_50": "0.982, ACRN, Mansilla et al.",
}


def train(name: str, options: argparse.Namespace) -> Path:
    run: Path = options.output / name / "run"
    if options.train and not (run / "summary.json").exists():
        if (run / "run.json").exists():
            lungmask("train", "--resume", run)
        else:
            shutil.rmtree(run, ignore_errors=True)
            terms = ("--preset", options.preset, "--seed", options.seed, "--split", SPLITS / f"{name}.csv")
            lungmask("train", options.data, *terms, "-o", run)
    return run


def measure(name: str, run: Path, options: argparse.Namespace) -> dict[str, Any]:
    pairing = find_pairs(options.data)
    split, _ = resolve_split([pair.id for pair in pairing.pairs], str(SPLITS / f"{name}.csv"), seed=0)
    folder = options.output / name / "test"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    lay_out(pairing, {image for image, part in split.items() if part == "test"}, folder)
    lungmask("segment", folder / "images", "-o", folder / "masks", "--weights", run)
    metrics = ("--metrics", "dice,iou,hd95", "--spacing", SPACING)
    lungmask("score", folder / "masks", folder / "truth", "-o", folder / "scores.csv", *metrics)
    scores = read_scores(folder / "scores.csv")
    dices = scores["dice"]
    worst = min(dices, key=dices.__getitem__)
    return {
        "split": name,
        "images": {part: sum(other == part for other in split.values()) for part in ("train", "val", "test")},
        "dice": statistics.mean(dices.values()),
        "dice_interval": interval(list(dices.values())),
        "iou": statistics.mean(scores["iou"].values()),
        "hd95_mm": statistics.mean(scores["hd95_mm"].values()),
        "worst_dice": dices[worst],
        "worst_image": worst,
        "reported": REPORTED[name],
    }


def table(rows: list[dict[str, Any]]) -> str:
    heads = ["split", "train / val / test", "Dice [95 %]", "IoU", "HD95 mm", "worst image", "reported"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [row["split"], " / ".join(map(str, row["images"].values()))]
        cells += [f"{row['dice']:.4f} {span(row['dice_interval'])}", f"{row['iou']:.4f}", f"{row['hd95_mm']:.2f}"]
        cells += [f"{row['worst_dice']:.4f} ({row['worst_image']})", row["reported"]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--preset", default="compact")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/published_splits"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--no-train", dest="train", action="store_false", help="evaluate only the splits that are finished"
    )
    options = parser.parse_args()
    runs = {name: train(name, options) for name in REPORTED}
    done = {name: run for name, run in runs.items() if (run / "summary.json").exists()}
    rows = [measure(name, run, options) for name, run in done.items()]
    facts = {"preset": options.preset, "seed": options.seed, "splits": rows}
    write_text(options.output / "published_splits.json", json.dumps(facts, indent=2) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()

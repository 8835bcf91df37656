"""Figures of the kinds that the paper shows: the Dice over the epochs, and over- and under-segmentation.

    python benchmarks/paper_figures.py TABLE1_OUT [--systems paper paper-best] [--size 512] [--seeds 0 1 2] [-o FOLDER]

TABLE1_OUT is the output folder of `table1.py`, which has trained these systems at this size. FOLDER/dice_curve.png
shows the Dice of training and validation. FOLDER/segmentation_cases.png shows, for the first seed of each system, the
test image with the most missed lung, that with the most false positives, and that with the best Dice, without the
radiographs, which may not be redistributed: lung in grey, missed lung in blue, false positives in orange.
"""

import argparse
import csv
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from table1 import BY_NAME, CELL, Run, draw_cell

from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.scoring.overlap import Overlap, overlap

LINE = 16
CASES = ("under-segmentation", "over-segmentation", "best")


def draw_curves(options: argparse.Namespace) -> None:
    figure = Figure(figsize=(4.5 * len(options.systems), 3.6), layout="constrained")
    panels = figure.subplots(1, len(options.systems), sharey=True, squeeze=False)[0]
    for axes, system in zip(panels, options.systems, strict=True):
        for seed in options.seeds:
            run = options.folder / "runs" / Run(BY_NAME[system], options.size, seed).name
            rows = list(csv.DictReader((run / "metrics.csv").open(encoding="utf-8")))
            for column, color, label in (("dice", "C0", "training"), ("val_dice", "C1", "validation")):
                values = [float(row[column]) for row in rows]
                axes.plot(range(1, len(rows) + 1), values, color, alpha=0.8, label="" if seed else label)
        axes.set_title(f"{system}, {options.size} px")
        axes.set_xlabel("epoch")
        axes.set_ylim(0.9, 1.0)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.axes[0].set_ylabel("mean Dice")
    figure.savefig(options.output / "dice_curve.png", dpi=100)


def compare_all(masks: Path, truth: Path) -> dict[str, Overlap]:
    images = [path.name for path in sorted(truth.iterdir())]
    pairs = {image: [read_lung_mask(folder / image).lungs for folder in (masks, truth)] for image in images}
    return {Path(image).stem: overlap(predicted, reference) for image, (predicted, reference) in pairs.items()}


def draw_cases(options: argparse.Namespace) -> None:
    home = options.folder / "data" / options.data
    page = Image.new("RGB", (len(CASES) * CELL, len(options.systems) * (CELL + LINE)), "black")
    for row, system in enumerate(options.systems):
        masks = options.folder / "masks" / Run(BY_NAME[system], options.size, options.seeds[0]).name / options.data
        found = compare_all(masks, home / "truth")
        shown = (
            max(found, key=lambda image: found[image].under_segmented),
            max(found, key=lambda image: found[image].over_segmented),
            max(found, key=lambda image: found[image].dice),
        )
        for column, (case, image) in enumerate(zip(CASES, shown, strict=True)):
            left, top = column * CELL, row * (CELL + LINE)
            page.paste(draw_cell(image, masks, home, radiographs=False), (left, top + LINE))
            ImageDraw.Draw(page).text((left + 3, top + 2), f"{case} {found[image].dice:.4f}", fill="white")
        print(system, *(f"{case}: {image}" for case, image in zip(CASES, shown, strict=True)), sep="\n  ")
    page.save(options.output / "segmentation_cases.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--systems", nargs="+", default=["paper", "paper-best"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", default="jsrt", help="the name of the folder of test images in TABLE1_OUT/data")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/figures"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    draw_curves(options)
    draw_cases(options)


if __name__ == "__main__":
    main()

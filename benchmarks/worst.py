"""The worst masks in the folder of `accuracy.py --keep FOLDER`, in one picture, worst first.

    python benchmarks/worst.py FOLDER -o worst.png [--count 10] [--outlines] [--after OTHER_FOLDER]

On the radiographs, the mask is drawn in blue and the reference mask in orange. --outlines leaves out the radiographs,
because some may not be redistributed: lung is grey, missed lung blue, and added area orange. --after shows below each
mask the one of other weights, in the folder of the same command with these weights.
"""

import argparse
import csv
import statistics
from pathlib import Path

from PIL import Image, ImageDraw
from table1 import CELL, draw_cell

COLUMNS = 5
LINE = 16
NAME_LENGTH = 22  # characters that fit beside the Dice


def read_dices(folder: Path) -> dict[str, float]:
    rows = csv.DictReader((folder / "dice.csv").open(encoding="utf-8"))
    return {row["file"]: float(row["dice"]) for row in rows if row["dice"]}


def draw_worst(folders: list[Path], count: int, radiographs: bool) -> Image.Image:
    """The worst masks of the first folder; below each, those of the other folders. Prints the means, and the gains."""
    dices = [read_dices(folder) for folder in folders]
    worst = sorted(dices[0], key=lambda image: dices[0][image])[:count]
    for folder, found in zip(folders, dices, strict=True):
        shown = statistics.mean(found[image] for image in worst)
        better = sum(found[image] > dice for image, dice in dices[0].items())
        print(f"{folder}: mean Dice {shown:.4f} of these {len(worst)}, better on {better} of {len(found)}")
    height = len(folders) * (CELL + LINE)
    page = Image.new("RGB", (COLUMNS * CELL, -(-len(worst) // COLUMNS) * height), "black")
    for index, image in enumerate(worst):
        for number, folder in enumerate(folders):
            left, top = index % COLUMNS * CELL, index // COLUMNS * height + number * (CELL + LINE)
            page.paste(draw_cell(image, folder / "masks", folder, radiographs), (left, top + LINE))
            caption = f"{Path(image).stem[:NAME_LENGTH]} {dices[number][image]:.4f}"
            ImageDraw.Draw(page).text((left + 3, top + 2), caption, fill="white")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--outlines", action="store_true", help="without the radiographs")
    parser.add_argument("--after", type=Path, nargs="*", default=[], help="folders of other weights")
    options = parser.parse_args()
    draw_worst([options.folder, *options.after], options.count, not options.outlines).save(options.output)


if __name__ == "__main__":
    main()

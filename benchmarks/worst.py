"""The worst masks in the folder of `accuracy.py --keep FOLDER`, in one picture, worst first.

    python benchmarks/worst.py FOLDER -o worst.png [--count 10] [--outlines]

On the radiographs, the mask is drawn in blue and the reference mask in orange. --outlines leaves out the radiographs,
because some may not be redistributed: lung is grey, missed lung blue, and added area orange.
"""

import argparse
import csv
from pathlib import Path

from PIL import Image, ImageDraw
from table1 import CELL, draw_cell

COLUMNS = 5
LINE = 16


def draw_worst(folder: Path, count: int, radiographs: bool) -> Image.Image:
    rows = csv.DictReader((folder / "dice.csv").open(encoding="utf-8"))
    worst = sorted((float(row["dice"]), row["file"]) for row in rows if row["dice"])[:count]
    page = Image.new("RGB", (COLUMNS * CELL, -(-len(worst) // COLUMNS) * (CELL + LINE)), "black")
    for index, (dice, image) in enumerate(worst):
        left, top = index % COLUMNS * CELL, index // COLUMNS * (CELL + LINE)
        page.paste(draw_cell(image, folder / "masks", folder, radiographs), (left, top + LINE))
        ImageDraw.Draw(page).text((left + 3, top + 2), f"{Path(image).stem} {dice:.4f}", fill="white")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--outlines", action="store_true", help="without the radiographs")
    options = parser.parse_args()
    draw_worst(options.folder, options.count, not options.outlines).save(options.output)


if __name__ == "__main__":
    main()

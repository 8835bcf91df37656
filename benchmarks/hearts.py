"""Hearts and cardiothoracic ratios: against hearts drawn by hand, on corrupted radiographs, and to look at.

    python benchmarks/hearts.py DATA [--split FILE.csv:COLUMN --part test] [--weights general] [--corrupt] [--json FILE]
        [--keep FOLDER]
    python benchmarks/hearts.py DATA --look 20 --sheet FILE.png [--split FILE.csv:COLUMN --part val] [--weights general]

DATA is a folder that `lungmask preprocess` accepts, whose masks have the size of their images. `lungmask segment
--heart` and `lungmask score` compute everything. The first form needs hearts in DATA, and prints the Dice of the heart,
and the bias, the mean absolute error and the limits of agreement of the ratio. With --corrupt it does so for each
corruption of `robustness.py`, too. The second form draws this many radiographs, taken at random with seed 0, with their
outlines and widths, for readers to count failures.
"""

import argparse
import csv
import os
import platform
import random
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import interval, kept_or_temporary, lungmask, members
from PIL import Image
from robustness import CORRUPTIONS, folder_of, moved, to_image

from lungmask_cli.datasets.layouts import Pair, find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.files import json_text
from lungmask_cli.formats.masks import read_masks
from lungmask_cli.formats.png import write_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.scoring.statistics import measure_agreement

AS_IT_IS, RATIO = "as it is", "cardiothoracic_ratio"
LARGE_ERROR = 0.05
CELL, COLUMNS = 300, 10


def write_all(pairs: list[Pair], folder: Path, corrupt: bool) -> None:
    """Write images/, and truth/ with heart/, with a folder for each corruption, and for the originals."""
    changes = [(corruption, severity) for corruption in CORRUPTIONS for severity in corruption.severities]
    for number, pair in enumerate(pairs):
        assert pair.heart is not None
        values = read_radiograph(pair.image).pixels.astype(np.float32)
        picture = (values - values.min()) / max(np.ptp(values), 1)
        *sides, heart = read_masks([*pair.masks, pair.heart])
        lungs = np.any(sides, axis=0)
        todo = [(AS_IT_IS, picture, lungs, heart)]
        for corruption, severity in changes if corrupt else ():
            changed = corruption.change(picture, lungs, severity, np.random.default_rng(number))
            masks = (moved(mask, corruption, severity) for mask in (lungs, heart))
            todo.append((folder_of(corruption, severity), changed, *masks))
        for name, changed, lung_mask, heart_mask in todo:
            path = folder / "images" / name / f"{pair.id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            to_image(changed).save(path)
            write_mask(folder / "truth" / name / f"{pair.id}.png", lung_mask)
            write_mask(folder / "truth" / "heart" / name / f"{pair.id}.png", heart_mask)


def describe(rows: list[dict[str, str]]) -> dict[str, Any]:
    """The figures of these rows of `lungmask score`."""
    dices = {row["file"]: float(row["heart_dice"]) for row in rows}
    differences = [float(row[f"{RATIO}_difference"] or "nan") for row in rows]
    agreement = measure_agreement(np.array(differences))
    worst = min(dices, key=dices.__getitem__)
    return {
        "images": len(rows),
        "heart_dice": round(statistics.mean(dices.values()), 6),
        "interval": interval(list(dices.values())),
        "worst_dice": round(dices[worst], 6),
        "worst_image": Path(worst).name,
        "below_0.9": sum(dice < 0.9 for dice in dices.values()),
        "ratios": agreement.count if agreement else 0,
        "bias": round(agreement.bias, 5) if agreement else None,
        "mean_absolute_error": round(agreement.mean_absolute_error, 5) if agreement else None,
        "limits_of_agreement": [round(limit, 5) for limit in agreement.limits] if agreement else None,
        f"errors_above_{LARGE_ERROR}": sum(abs(difference) > LARGE_ERROR for difference in differences),
    }


def measure(pairs: list[Pair], weights: str, corrupt: bool, keep: Path | None) -> dict[str, Any]:
    with kept_or_temporary(keep) as folder:
        write_all(pairs, folder, corrupt)
        lungmask("segment", folder / "images", "-o", folder / "masks", "--heart", "--weights", weights)
        lungmask("score", folder / "masks", folder / "truth", "-o", folder / "scores.csv")
        with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    by_name: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_name.setdefault(Path(row["file"]).parent.name if corrupt else AS_IT_IS, []).append(row)
    originals = {Path(row["file"]).name: row for row in by_name[AS_IT_IS]}
    groups = {name: describe([originals[one] for one in some]) for name, some in members(originals).items()}
    corrupted = {name: describe(some) for name, some in by_name.items() if name != AS_IT_IS}
    return {**describe(by_name[AS_IT_IS]), "groups": groups, **({"corrupted": corrupted} if corrupt else {})}


def draw_sheet(pairs: list[Pair], weights: str, path: Path, keep: Path | None) -> None:
    """Draw the overlays of the radiographs side by side."""
    with kept_or_temporary(keep) as folder:
        listed = folder / "list.txt"
        listed.write_text("".join(f"{pair.image.resolve()}\n" for pair in pairs), encoding="utf-8")
        lungmask("segment", "--list", listed, "-o", folder / "masks", "--heart", "--overlay", "--weights", weights)
        overlays = sorted((folder / "masks" / "overlays").rglob("*.png"))
        sheet = Image.new("RGB", (CELL * min(COLUMNS, len(overlays)), CELL * -(-len(overlays) // COLUMNS)))
        for number, overlay in enumerate(overlays):
            cell = Image.open(overlay)
            cell.thumbnail((CELL, CELL))
            sheet.paste(cell, (number % COLUMNS * CELL, number // COLUMNS * CELL))
    sheet.save(path)
    print(f"{path}: {len(overlays)} radiographs")


def table(figures: dict[str, Any]) -> str:
    lines = ["| | images | heart Dice | worst | ratios | bias | mean absolute error | limits of agreement | > 0.05 |"]
    lines.append("|---" * 9 + "|")
    parts = {AS_IT_IS: figures, **figures["groups"], **figures.get("corrupted", {})}
    for name, one in parts.items():
        low, high = one["limits_of_agreement"] or (np.nan, np.nan)
        error = "-" if one["bias"] is None else f"{one['bias']:+.4f} | {one['mean_absolute_error']:.4f}"
        lines.append(
            f"| {name} | {one['images']} | {one['heart_dice']:.4f} | {one['worst_dice']:.3f} | {one['ratios']} | "
            f"{error} | {low:+.4f} to {high:+.4f} | {one[f'errors_above_{LARGE_ERROR}']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", help="as in lungmask preprocess")
    parser.add_argument("--part", default="test")
    parser.add_argument("--weights", default="general")
    parser.add_argument("--corrupt", action="store_true", help="also corrupt the radiographs")
    parser.add_argument("--look", type=int, help="the number of radiographs on the sheet")
    parser.add_argument("--sheet", type=Path, help="the picture of --look")
    parser.add_argument("--keep", type=Path, help="a new folder for everything")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    pairs, method = list(find_pairs(options.data).pairs), "all images"
    if options.split:
        split, method = resolve_split([pair.id for pair in pairs], options.split, seed=0)
        pairs = [pair for pair in pairs if split[pair.id] == options.part]
        method = f"{options.part} of {method.partition(' (')[0]}"
    if options.look:
        chosen = random.Random(0).sample(pairs, options.look)
        draw_sheet(chosen, options.weights, options.sheet, options.keep)
        return
    figures: dict[str, Any] = {"data": options.data.name, "part": method, "weights": options.weights}
    figures |= measure([pair for pair in pairs if pair.heart], options.weights, options.corrupt, options.keep)
    figures["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    print(table(figures))
    if options.json:
        options.json.write_text(json_text(figures), encoding="utf-8")


if __name__ == "__main__":
    main()

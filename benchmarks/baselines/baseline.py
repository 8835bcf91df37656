"""What the baselines share: their images, their scores and their command line.

A baseline is a function `fit(train, val, seed)`, which returns a function that predicts a mask. Settings are chosen on
`val`. All baselines see images of 256 x 256 pixels, prepared as for `lungmask train`. Of what they predict the two
largest components are kept and filled, as in `lungmask segment`. The scores of `paper`, with which they are compared,
are those in benchmarks/table1.
"""

import argparse
import importlib
import inspect
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import table1

from lungmask_cli.datasets.cache import open_or_prepare
from lungmask_cli.datasets.preparation import PrepareOptions
from lungmask_cli.datasets.prepared import PreparedSet
from lungmask_cli.datasets.splits import TRAIN, VAL
from lungmask_cli.files import csv_rows, write_text
from lungmask_cli.formats.png import write_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.components import clean
from lungmask_cli.imaging.geometry import Letterbox, resize
from lungmask_cli.imaging.polarity import to_network_input
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.scoring.overlap import overlap

SIZE, PREPARED_SIZE = 256, 512
PAPER = Path(table1.__file__).parent / "table1" / "paper-256.csv"
NAMES = ("rules", "pixels", "shape", "mask_rcnn")


@dataclass(frozen=True)
class Example:
    """A radiograph (S, S) in [0, 1] with bright bones, and the mask of both lungs (S, S)."""

    image: FloatImage
    lungs: Mask


def require(module: str) -> Any:
    """Import a module of the extra."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise SystemExit(f'{error}. The baselines need an extra: pip install ".[baselines]"') from error


Predict = Callable[[FloatImage], Mask]
Fit = Callable[[list[Example], list[Example], int], Predict]


def load_examples(prepared: PreparedSet, part: str) -> list[Example]:
    """The images of one part of the split."""
    examples = []
    for entry in prepared.entries_in(part):
        image, *masks = prepared.read_pair(entry)
        lungs = np.any([resize(mask, SIZE, SIZE) >= 0.5 for mask in masks], axis=0)
        examples.append(Example(resize(image, SIZE, SIZE), lungs))
    return examples


def mean_dice(predict: Predict, examples: Sequence[Example]) -> float:
    """The mean Dice of the predicted masks, cleaned."""
    return statistics.mean(overlap(clean(predict(e.image)), e.lungs).dice for e in examples)


def choose(candidates: Sequence[Predict], val: Sequence[Example]) -> Predict:
    """The one with the best mean Dice on `val`."""
    return max(candidates, key=lambda predict: mean_dice(predict, val))


def segment(predict: Predict, images: Path, masks: Path) -> float:
    """Write the masks of a folder, and return the median seconds of an image, with reading and writing."""
    seconds = []
    masks.mkdir(parents=True, exist_ok=True)
    for path in sorted(images.iterdir()):
        started = time.perf_counter()
        radiograph = read_radiograph(path)
        box = Letterbox(*radiograph.pixels.shape, SIZE)
        square = box.apply(to_network_input(radiograph, shape=box.content)[0])
        lungs = clean(predict(square)).astype(np.float32)
        write_mask(masks / f"{path.stem}.png", box.invert(lungs) > 0.5)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def name_run(name: str, options: argparse.Namespace) -> table1.Run:
    return table1.Run(table1.System(name, preset=""), SIZE, options.seed)


def run(name: str, fit: Fit) -> None:
    """The command line of a baseline."""
    options = read_options(inspect.getdoc(inspect.getmodule(fit)))
    prepared = open_or_prepare([options.data], PrepareOptions(PREPARED_SIZE), str(options.split), seed=0)
    train, val = (load_examples(prepared, part) for part in (TRAIN, VAL))
    started = time.perf_counter()
    predict = fit(train, val, options.seed)
    fitted = time.perf_counter() - started
    seconds = []
    for number, (data, folder) in enumerate(table1.lay_out_all(options).items()):
        masks = options.output / "masks" / name_run(name, options).name / data
        seconds.append(segment(predict, folder / "images", masks))
        spacing = ("--spacing", options.spacing) if number == 0 else ()
        metrics = ("--metrics", "dice,iou,hd95")
        table1.lungmask("score", masks, folder / "truth", "-o", masks.with_suffix(".csv"), *metrics, *spacing)
    facts = {"val_dice": mean_dice(predict, val), "fitting_seconds": fitted, "milliseconds": seconds[0] * 1000}
    write_text(options.output / f"{name}.json", json.dumps(facts, indent=2) + "\n")
    write_all(options)


def write_all(options: argparse.Namespace) -> None:
    """The table and pictures of all baselines that have been measured."""
    folders = table1.lay_out_all(options)
    home = next(iter(folders))
    found, rows = [], []
    for name in NAMES:
        masks = options.output / "masks" / name_run(name, options).name
        tables = {data: masks / f"{data}.csv" for data in folders}
        facts = options.output / f"{name}.json"
        if not facts.exists() or not all(path.exists() for path in tables.values()):
            continue
        scores = {data: table1.read_scores(path) for data, path in tables.items()}
        means = {data: [statistics.mean(of["dice"].values())] for data, of in scores.items()}
        measured = table1.Measured([name_run(name, options)], scores, means, 0.0, 0.0, 0, [])
        rows.append(figures(measured, home) | json.loads(facts.read_text()))
        found.append(measured)
        table1.write_scores(measured, options.output / "scores")
    for radiographs, picture in ((True, "overlays.png"), (False, "errors.png")):
        table1.draw_page(found, folders[home], options, radiographs).save(options.output / picture)
    write_text(options.output / "baselines.json", json.dumps(rows, indent=2) + "\n")
    print(table(rows, list(folders)[1:]))


def figures(found: table1.Measured, home: str) -> dict[str, Any]:
    row = table1.figures(found, None, home, 0)
    kept = ("system", "dice", "dice_interval", "iou", "hd95_mm", "worst_dice", "worst_image", "unseen_dice")
    shown = {key: row[key] for key in kept}
    rows = csv_rows(PAPER.read_text(encoding="utf-8").splitlines())
    paper = {row["image"]: float(row["dice"]) for row in rows if row["data"] == home}
    if paper.keys() == found.scores[home]["dice"].keys():
        shown["to_paper"] = table1.difference(found.scores[home]["dice"], paper)
    return shown if math.isfinite(shown["hd95_mm"]) else shown | {"hd95_mm": None}  # with an empty mask


def table(rows: list[dict[str, Any]], unseen: Sequence[str]) -> str:
    heads = ["baseline", "val Dice", "Dice [95 %]", "minus `paper` [95 %]", "IoU", "HD95 mm", "worst image"]
    heads += [f"{name}, unseen" for name in unseen] + ["fitting s", "ms per image"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [f"`{row['system']}`", f"{row['val_dice']:.4f}"]
        cells += [f"{row['dice']:.4f} {table1.span(row['dice_interval'])}"]
        cells += [f"{row['to_paper'][0]:+.4f} {table1.span(row['to_paper'][1])}" if "to_paper" in row else ""]
        cells += [f"{row['iou']:.4f}"]
        cells += ["" if row["hd95_mm"] is None else f"{row['hd95_mm']:.2f}"]
        cells += [f"{row['worst_dice']:.4f} ({row['worst_image']})"]
        cells += [f"{row['unseen_dice'][name]:.4f}" for name in unseen]
        cells += [f"{row['fitting_seconds']:.0f}", f"{row['milliseconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def read_options(text: str | None) -> argparse.Namespace:
    """The options that all baselines have."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="JSRT")
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], help="sets to measure on, too")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/baselines"))
    parser.add_argument("--split", type=Path, default=table1.SPLIT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spacing", default="0.7", help="of the JSRT images in mm; 0.7 for 512 pixels")
    return parser.parse_args()

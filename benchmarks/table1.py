"""Table 1 of the paper for real: every published system and ours, trained and measured on equal terms.

    python benchmarks/table1.py JSRT [--unseen ./montgomery ./shenzhen] [-o runs/table1] [--size 256] [--epochs 40]
        [--seeds 0] [--once unet] [--systems unet fcn ...] [--also-at 512] [--ablation 128 256 512] [--split FILE.csv]
        [--no-train]

JSRT and the unseen sets are folders that `lungmask preprocess` accepts, whose masks have the size of their images. All
systems see the training images of the split equally often, at the same size, from the same seeds; the validation images
choose the epoch; batch size, optimiser and losses are each preset's own. `paper` and `compact-mild` are also trained
at `--also-at`, and the paper's generator with and without its adversary at the sizes of `--ablation`. At `--size`, all
but the systems of `--once` are trained with each seed; the others, and all at other sizes, with the first seed.

The interval of a mean is that over images, each with the mean of its seeds; the range is that of the seeds' means. Of
two systems one is better, and the difference is bold, if its interval excludes zero and all seeds of one system are
above all seeds of the other; if both have one seed only, none is.

Run after run is trained by `lungmask train`; killed, the same command goes on where it was. Then every run segments
the JSRT test images and all unseen sets with `lungmask segment`, and `lungmask score` compares them. The seconds of
training are those of a step (`step_time.py`) times the images shown. They and those of an image are of the first seed,
and should be measured with nothing else running: delete OUT/masks, and measure anew with --no-train. OUT/table1.md
holds the tables, OUT/table1.json the same as numbers, OUT/scores/ a CSV per system with the scores of each image,
OUT/overlays.png each system's best, median and worst test image with the first seed, and OUT/errors.png the same
without the radiographs, for where these may not be shown.
"""

import argparse
import csv
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import lay_out
from PIL import Image, ImageDraw

from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.files import csv_rows, csv_text, write_text
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.gallery.picture import draw_errors
from lungmask_cli.imaging.overlay import draw_overlay
from lungmask_cli.imaging.radiograph import Mask
from lungmask_cli.networks.parts import NO_DISCRIMINATOR
from lungmask_cli.networks.presets import PRESETS
from lungmask_cli.scoring.statistics import bootstrap_intervals

SPLIT = Path(__file__).parent / "splits" / "jsrt_160_40_40.csv"
REFERENCE, BEST_OF_OURS = "paper", "compact-mild"
METRICS = ("dice", "iou", "hd95_mm")
CELL, SHOWN = 192, ("best", "median", "worst")


@dataclass(frozen=True)
class System:
    """A row of the table: a preset, and what is changed in it."""

    name: str
    preset: str
    discriminator: str = ""

    @property
    def reported_dice(self) -> float | None:
        """In the paper's table."""
        return PRESETS[self.preset].reported_dice if self.preset in PRESETS else None


SYSTEMS = [System(name, name) for name in ("fcn", "unet", "scan", "slgan", "adv-attn", "paper")]
SYSTEMS += [System("paper, image discriminator", "paper", "image")]
SYSTEMS += [System(name, name) for name in ("paper-stable", "paper-best")]
SYSTEMS += [System("compact", "compact"), System(BEST_OF_OURS, BEST_OF_OURS)]
ALONE = System("paper, no adversary", "paper", NO_DISCRIMINATOR)
BY_NAME = {system.name: system for system in [*SYSTEMS, ALONE]}


@dataclass(frozen=True)
class Run:
    """One training."""

    system: System
    size: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.system.name.replace(', ', '-').replace(' ', '-')}-{self.size}-{self.seed}"


@dataclass(frozen=True)
class Measured:
    """What all seeds of one system at one size reached: by data set and metric one value per image, the seeds' mean."""

    runs: list[Run]
    scores: dict[str, dict[str, dict[str, float]]]
    means: dict[str, list[float]]  # by data set, the mean Dice of each seed
    step_seconds: float  # of training, per image
    milliseconds: float
    parameters: int
    best_epochs: list[int]


def lungmask(*arguments: object, check: bool = True) -> int:
    command = [sys.executable, "-m", "lungmask_cli", *map(str, arguments)]
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    if check and code:
        raise SystemExit(f"{' '.join(command)}: exit code {code}")
    return code


# Training.


def plan(options: argparse.Namespace) -> list[Run]:
    wanted = [(BY_NAME[name], options.size) for name in options.systems]
    for size in options.also_at:
        wanted += [(BY_NAME[name], size) for name in (REFERENCE, BEST_OF_OURS)]
    for size in options.ablation:
        wanted += [(BY_NAME[REFERENCE], size), (ALONE, size)]
    return [
        Run(system, size, seed)
        for seed in options.seeds
        for system, size in dict.fromkeys(wanted)
        if seed == options.seeds[0] or (size == options.size and system.name not in options.once)
    ]


def finish_run(folder: Path, *arguments: object) -> None:
    """Train with these arguments of `lungmask train`; resume the run if it was begun, and skip it if it is finished."""
    if (folder / "summary.json").exists():
        return
    if (folder / "run.json").exists():
        lungmask("train", "--resume", folder)
        return
    shutil.rmtree(folder, ignore_errors=True)  # killed before there was anything to go on with
    lungmask("train", *arguments, "-o", folder)


def train(run: Run, options: argparse.Namespace) -> None:
    changes = ("--discriminator", run.system.discriminator) if run.system.discriminator else ()
    terms = ("--image-size", run.size, "--epochs", options.epochs, "--seed", run.seed, "--split", options.split)
    folder = options.output / "runs" / run.name
    finish_run(folder, options.data, "--preset", run.system.preset, *changes, *terms)


# Measuring.


def lay_out_all(options: argparse.Namespace) -> dict[str, Path]:
    """A folder with images/ and truth/ for the test images of the split, and for each unseen set."""
    folders = {}
    for number, data in enumerate([options.data, *options.unseen]):
        pairing = find_pairs(data)
        chosen = {pair.id for pair in pairing.pairs}
        if number == 0:
            split, _ = resolve_split(sorted(chosen), str(options.split), seed=0)
            chosen = {name for name in chosen if split[name] == "test"}
        folders[data.name] = folder = options.output / "data" / data.name
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            lay_out(pairing, chosen, folder)
            (folder / "complete").touch()
    return folders


def measure(run: Run, folders: dict[str, Path], options: argparse.Namespace) -> None:
    """Masks and scores of a run on every set."""
    weights = options.output / "runs" / run.name
    for number, (name, data) in enumerate(folders.items()):
        masks, scores = options.output / "masks" / run.name / name, options.output / "masks" / run.name / f"{name}.csv"
        if scores.exists() and scores.stat().st_mtime > (weights / "summary.json").stat().st_mtime:
            continue
        shutil.rmtree(masks, ignore_errors=True)
        lungmask("segment", data / "images", "-o", masks, "--weights", weights, "--device", "cpu")
        spacing = ("--spacing", options.spacing) if number == 0 else ()
        metrics = ("--metrics", "dice,iou,hd95")
        lungmask("score", masks, data / "truth", "-o", scores, *metrics, *spacing, check=False)


def step_seconds(run: Run, options: argparse.Namespace) -> float:
    """Of training, per image. Runs may have been paused or had company, so that how long they took says little."""
    kept = options.output / "masks" / run.name / "step_time.json"
    if not kept.exists():
        script = [sys.executable, str(Path(__file__).parent / "step_time.py"), str(options.output / "runs" / run.name)]
        kept.write_bytes(subprocess.run(script, check=True, stdout=subprocess.PIPE).stdout)
    seconds: float = json.loads(kept.read_text())["seconds_per_image"]
    return seconds


def read_scores(path: Path) -> dict[str, dict[str, float]]:
    """By metric, the value of each image; a mask that could not be scored is an error."""
    found: dict[str, dict[str, float]] = {}
    for row in csv_rows(path.open(encoding="utf-8")):
        if row["status"] != "scored":
            raise SystemExit(f"{path}: {row['file']}: {row['status']}: {row['reason']}")
        for name in ("dice", "iou", "hd95_mm", "hd95_px"):
            if row.get(name):
                found.setdefault(name, {})[str(row["file"])] = float(str(row[name]))
    return found


def gather(runs: list[Run], folders: dict[str, Path], options: argparse.Namespace) -> Measured:
    """What the runs of one system at one size reached, one for each seed."""
    each = [
        {name: read_scores(options.output / "masks" / run.name / f"{name}.csv") for name in folders} for run in runs
    ]
    scores = {
        name: {
            metric: {image: statistics.mean(seed[name][metric][image] for seed in each) for image in values}
            for metric, values in each[0][name].items()
        }
        for name in folders
    }
    means = {name: [statistics.mean(seed[name]["dice"].values()) for seed in each] for name in folders}
    summaries = [json.loads((options.output / "runs" / run.name / "summary.json").read_text()) for run in runs]
    return Measured(
        runs,
        scores,
        means,
        step_seconds(runs[0], options),
        seconds(options, runs[0], next(iter(folders))) * 1000,
        parameters(options.output / "runs" / runs[0].name),
        [summary["best_epoch"] for summary in summaries],
    )


def shown_images(run: Run, options: argparse.Namespace) -> int:
    """Training images times epochs."""
    rows = csv.DictReader((options.output / "runs" / run.name / "split.csv").open(encoding="utf-8"))
    return sum(row["split"] == "train" for row in rows) * options.epochs


def seconds(options: argparse.Namespace, run: Run, data: str) -> float:
    """The median time of an image, with reading and writing."""
    rows = csv.DictReader((options.output / "masks" / run.name / data / "segment.csv").open(encoding="utf-8"))
    return statistics.median(float(row["seconds"]) for row in rows)


def parameters(run: Path) -> int:
    """Of the generator."""
    command = [sys.executable, "-m", "lungmask_cli", "info", "model", str(run), "--json"]
    count: int = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["generator"]["parameters"]
    return count


# Writing.


def interval(values: Sequence[float]) -> tuple[float, float]:
    return bootstrap_intervals(np.array(values)[:, None], np.arange(len(values)), seed=0)[0]


def difference(one: dict[str, float], other: dict[str, float]) -> tuple[float, tuple[float, float]]:
    """The mean of one minus other over the same images, and its 95 % interval."""
    gains = [one[image] - other[image] for image in sorted(one)]
    return statistics.mean(gains), interval(gains)


def compare(one: Measured, other: Measured, data: str) -> dict[str, Any]:
    """The difference on one set, and whether it is beyond chance and seeds."""
    gain, limits = difference(one.scores[data]["dice"], other.scores[data]["dice"])
    seeds, others = one.means[data], other.means[data]
    apart = len(seeds + others) > 2 and (min(seeds) > max(others) or max(seeds) < min(others))
    return {"difference": gain, "interval": limits, "is_beyond": apart and not limits[0] <= 0 <= limits[1]}


def figures(found: Measured, reference: Measured | None, home: str, presentations: int) -> dict[str, Any]:
    """One row of the table as numbers."""
    scores = found.scores[home]
    worst = min(scores["dice"], key=scores["dice"].__getitem__)
    row: dict[str, Any] = {
        "system": found.runs[0].system.name,
        "size": found.runs[0].size,
        "seeds": [run.seed for run in found.runs],
        "reported_dice": found.runs[0].system.reported_dice,
        "dice": statistics.mean(scores["dice"].values()),
        "dice_interval": interval(list(scores["dice"].values())),
        "dice_of_seeds": found.means[home],
        "iou": statistics.mean(scores["iou"].values()),
        "hd95_mm": statistics.mean(scores["hd95_mm"].values()),
        "worst_dice": scores["dice"][worst],
        "worst_image": worst,
        "unseen_dice": {name: statistics.mean(found.scores[name]["dice"].values()) for name in found.scores},
        "unseen_interval": {name: interval(list(found.scores[name]["dice"].values())) for name in found.scores},
        "parameters": found.parameters,
        "training_seconds": found.step_seconds * presentations,
        "milliseconds": found.milliseconds,
        "best_epochs": found.best_epochs,
    }
    del row["unseen_dice"][home], row["unseen_interval"][home]
    if reference and reference is not found:
        row["to_paper"] = compare(found, reference, home)
    return row


def span(limits: Sequence[float], digits: int = 4) -> str:
    return f"[{limits[0]:.{digits}f}, {limits[1]:.{digits}f}]"


def compared(found: dict[str, Any]) -> str:
    text = f"{found['difference']:+.4f} {span(found['interval'])}"
    return f"**{text}**" if found["is_beyond"] else text


def ranged(means: Sequence[float]) -> str:
    """The range of the seeds' means; nothing for one seed."""
    return f"{min(means):.4f} to {max(means):.4f}" if len(means) > 1 else ""


def mean_and_range(means: Sequence[float]) -> str:
    return f"{statistics.mean(means):.4f}" + (f" ({ranged(means)})" if len(means) > 1 else "")


def table(rows: list[dict[str, Any]], unseen: Sequence[str]) -> str:
    """Markdown."""
    heads = [
        "system",
        "px",
        "reported",
        "Dice [95 %]",
        "seeds",
        "IoU",
        "HD95 mm",
        "worst image",
        "minus `paper` [95 %]",
    ]
    heads += [f"{name}, unseen" for name in unseen] + ["parameters", "training s", "ms per image"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        reported = f"{row['reported_dice']:g}" if row["reported_dice"] else ""
        cells = [row["system"], str(row["size"]), reported, f"{row['dice']:.4f} {span(row['dice_interval'])}"]
        cells += [
            ranged(row["dice_of_seeds"]),
            f"{row['iou']:.4f}",
            f"{row['hd95_mm']:.2f}",
            f"{row['worst_dice']:.4f} ({row['worst_image']})",
        ]
        cells += [
            compared(row["to_paper"]) if "to_paper" in row else "",
            *(f"{row['unseen_dice'][name]:.4f}" for name in unseen),
        ]
        cells += [f"{row['parameters']:,}", f"{row['training_seconds']:.0f}", f"{row['milliseconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def ablation_rows(found: dict[tuple[str, int], Measured], sizes: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for size in sizes:
        with_it, without = found[REFERENCE, size], found[ALONE.name, size]
        for name in with_it.scores:
            rows.append(
                {
                    "size": size,
                    "data": name,
                    "images": len(with_it.scores[name]["dice"]),
                    "with": with_it.means[name],
                    "without": without.means[name],
                    **compare(with_it, without, name),
                }
            )
    return rows


def ablation_table(rows: list[dict[str, Any]]) -> str:
    lines = ["| px | seeds | data | images | with adversary | without | difference [95 %] |", "|" + "---|" * 7]
    for row in rows:
        cells = [str(row["size"]), str(len(row["with"])), row["data"], str(row["images"])]
        cells += [mean_and_range(row[kind]) for kind in ("with", "without")]
        lines.append("| " + " | ".join([*cells, compared(row)]) + " |")
    return "\n".join(lines) + "\n"


def contest_rows(found: dict[tuple[str, int], Measured], others: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """Our best preset against each other system of the same size, on every set."""
    rows = []
    for name, size in others:
        ours, other = found[BEST_OF_OURS, size], found[name, size]
        gains = {data: compare(ours, other, data) for data in ours.scores}
        rows.append({"system": name, "size": size, "differences": gains})
    return rows


def contest_table(rows: list[dict[str, Any]], data: Sequence[str]) -> str:
    lines = [f"| `{BEST_OF_OURS}` minus | px | " + " | ".join(data) + " |", "|" + "---|" * (2 + len(data))]
    for row in rows:
        gains = [compared(row["differences"][name]) for name in data]
        lines.append("| " + " | ".join([row["system"], str(row["size"]), *gains]) + " |")
    return "\n".join(lines) + "\n"


def draw_page(rows: Sequence[Measured], home: Path, options: argparse.Namespace, radiographs: bool) -> Image.Image:
    """Best, median and worst test image of each system, two systems side by side."""
    line = 16
    deep = -(-len(rows) // 2)
    page = Image.new("RGB", (2 * len(SHOWN) * CELL, deep * (CELL + line)), "black")
    for place, found in enumerate(rows):
        dices = found.scores[home.name]["dice"]
        ordered = sorted(dices, key=dices.__getitem__, reverse=True)
        for column, image in enumerate((ordered[0], ordered[len(ordered) // 2], ordered[-1])):
            left, top = (place // deep * len(SHOWN) + column) * CELL, place % deep * (CELL + line)
            masks = options.output / "masks" / found.runs[0].name / home.name
            page.paste(draw_cell(image, masks, home, radiographs), (left, top + line))
            title = f"{found.runs[0].system.name}: " if column == 0 else ""
            title += f"{SHOWN[column]} {dices[image]:.4f}"
            ImageDraw.Draw(page).text((left + 3, top + 2), title, fill="white")
    return page


def draw_cell(image: str, masks: Path, home: Path, radiographs: bool) -> Image.Image:
    """On the radiograph the mask in blue and the truth in orange; without, missed lung in blue and added in orange."""
    drawn, truth = (resized(read_lung_mask(folder / f"{image}.png").lungs) for folder in (masks, home / "truth"))
    if not radiographs:
        errors = Image.open(io.BytesIO(draw_errors(drawn, truth, None, CELL).overlay)).convert("RGBA")
        cell = Image.new("RGB", errors.size, "black")
        cell.paste(errors, mask=errors)
        return cell
    source = next((home / "images").glob(f"{image}.*"))
    pixels = np.asarray(Image.open(source).convert("L").resize((2 * CELL, 2 * CELL)), np.float32) / 255
    return draw_overlay(pixels, drawn, truth).resize((CELL, CELL), Image.Resampling.LANCZOS)


def resized(mask: Mask) -> Mask:
    enlarged = Image.fromarray(mask.astype(np.uint8)).resize((2 * CELL, 2 * CELL), Image.Resampling.NEAREST)
    return np.asarray(enlarged) > 0


def write_scores(found: Measured, folder: Path) -> None:
    """The scores of each image, the mean of the seeds."""
    rows = [
        (name, image, *(f"{metrics[metric][image]:.6f}" for metric in ("dice", "iou")), _hd95(metrics, image))
        for name, metrics in found.scores.items()
        for image in sorted(metrics["dice"])
    ]
    run = found.runs[0]
    write_text(folder / f"{run.name.rsplit('-', 1)[0]}.csv", csv_text(("data", "image", *METRICS), rows))


def _hd95(metrics: dict[str, dict[str, float]], image: str) -> str | None:
    return f"{metrics['hd95_mm'][image]:.4f}" if "hd95_mm" in metrics else None


def main() -> None:
    options = read_options()
    runs = plan(options)
    for number, run in enumerate(runs, start=1):
        print(f"run {number} of {len(runs)}: {run.name}", file=sys.stderr)
        if options.train:
            train(run, options)
    runs = [run for run in runs if (options.output / "runs" / run.name / "summary.json").exists()]
    folders = lay_out_all(options)
    for run in runs:
        measure(run, folders, options)
    write_all(runs, folders, options)


def write_all(runs: list[Run], folders: dict[str, Path], options: argparse.Namespace) -> None:
    by_system: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        by_system.setdefault((run.system.name, run.size), []).append(run)
    found = {key: gather(own, folders, options) for key, own in by_system.items()}
    home, unseen = next(iter(folders)), list(folders)[1:]
    shown = [(name, options.size) for name in options.systems]
    shown += [(name, size) for size in options.also_at for name in (REFERENCE, BEST_OF_OURS)]
    shown = [key for key in shown if key in found]
    presentations = shown_images(runs[0], options)
    rows = [figures(found[key], found.get((REFERENCE, key[1])), home, presentations) for key in shown]
    pairs = [size for size in options.ablation if {(REFERENCE, size), (ALONE.name, size)} <= set(found)]
    ablated = ablation_rows(found, pairs)
    others = [(name, size) for name, size in shown if name != BEST_OF_OURS and (BEST_OF_OURS, size) in found]
    contest = contest_rows(found, others)
    facts = {
        "split": options.split.name,
        "seeds": options.seeds,
        "epochs": options.epochs,
        "images_shown": presentations,
        "test_images": len(next(iter(found.values())).scores[home]["dice"]),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    tables = [table(rows, unseen), contest_table(contest, list(folders)), ablation_table(ablated)]
    write_text(options.output / "table1.md", "\n".join(tables))
    numbers = {**facts, "table": rows, "contest": contest, "ablation": ablated}
    write_text(options.output / "table1.json", json.dumps(numbers, indent=2) + "\n")
    for measured in found.values():
        write_scores(measured, options.output / "scores")
    pictured = [found[key] for key in shown if key[1] == options.size]
    draw_page(pictured, folders[home], options, radiographs=True).save(options.output / "overlays.png")
    draw_page(pictured, folders[home], options, radiographs=False).save(options.output / "errors.png")
    print((options.output / "table1.md").read_text())


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], help="sets that are never trained on")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/table1"))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    names = [system.name for system in SYSTEMS]
    parser.add_argument("--once", nargs="*", default=[], choices=names, metavar="NAME", help="with one seed")
    parser.add_argument("--systems", nargs="*", default=names, choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--also-at", type=int, nargs="*", default=[512], help="sizes for `paper` and `compact-mild`, too"
    )
    parser.add_argument("--ablation", type=int, nargs="*", default=[128, 256, 512], help="sizes of the ablation")
    parser.add_argument("--split", type=Path, default=SPLIT)
    parser.add_argument("--spacing", default="0.7", help="of the JSRT images in mm; 0.7 for 512 pixels")
    parser.add_argument("--no-train", dest="train", action="store_false", help="measure the runs that are done")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Cross-validation: one run per fold, so that each image is tested by weights that were not trained on it.

RUN/fold-1 ...        the runs, each with the files of a single run
RUN/split.csv         the part of each image in each fold
RUN/test_dice.csv     the Dice of each image, by the weights of the fold in which it is a test image
RUN/summary.json      a summary
RUN/run.json, config.toml   as for a single run; `lungmask train --resume RUN` trains the remaining folds
"""

import csv
import json
import logging
import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from lungmask_cli.datasets.prepared import PreparedSet
from lungmask_cli.datasets.splits import draw_folds, read_split
from lungmask_cli.files import csv_text, write_json, write_text
from lungmask_cli.networks.backend import Device
from lungmask_cli.scoring.overlap import mean_dice
from lungmask_cli.text import format_dice
from lungmask_cli.training.plan import (
    PLAN,
    SPLIT,
    SUMMARY,
    TEST_DICE,
    RunPlan,
    record_data,
    refuse_other_run,
    write_plan,
)
from lungmask_cli.training.run import CPU, Report, train

_COLUMN = "fold_{}"  # of split.csv


@dataclass(frozen=True)
class FoldsResult:
    """The result of a cross-validation: the mean Dice of all images, and the lowest and highest mean of a fold.

    Images whose Dice is undefined, because both masks are empty, are in no mean, but are counted. Means are NaN if
    there is no other image.
    """

    test_dice: float
    lowest: float
    highest: float
    images: int
    undefined: int
    seconds: float


def train_folds(
    plan: RunPlan,
    prepared: PreparedSet,
    report: Report = print,
    device: Device = CPU,
    unlabelled: PreparedSet | None = None,
) -> FoldsResult:
    """Train and test each fold that is not finished, and fill the folder.

    Args:
        plan: the plan of the cross-validation.
        prepared: the data; their split does not matter.
        report: is called with each line for the user.
        device: the device that `choose_device` has chosen.
        unlabelled: radiographs without masks, from which each fold learns.

    Raises:
        UsageError: fewer than two folds, or more folds than images; or as in `train`.
    """
    folds = _read_folds(prepared, plan) if plan.resume else _split_folds(prepared, plan.folds, plan.config.seed)
    plan = plan.with_data(folds[0], unlabelled)
    if plan.resume:
        record_data(plan)
    else:
        refuse_other_run(plan.folder)
        write_plan(plan, prepared, {_COLUMN.format(number): fold.split() for number, fold in enumerate(folds, 1)})
    # TensorFlow would warn that it traces the same functions again, which each fold needs.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for number, fold in enumerate(folds, 1):
        title = f"fold {number} of {len(folds)}"
        folder = plan.folder / f"fold-{number}"
        if (folder / SUMMARY).exists():
            report(f"{title}: finished before")
            continue
        report(title)
        keras.utils.clear_session()  # frees the memory of the previous fold
        fold_plan = replace(
            plan,
            folder=folder,
            folds=0,
            split_method=fold.split_method,
            manifest_sha256=fold.manifest_sha256(),
            resume=(folder / PLAN).exists(),
        )
        result = train(fold_plan, fold, report, device, unlabelled)
        report(f"{title}: val Dice {format_dice(result.val_dice)}, test Dice {format_dice(result.test_dice)}")
    return _summarize(plan.folder, len(folds))


def _split_folds(prepared: PreparedSet, count: int, seed: int) -> list[PreparedSet]:
    """The set with the split of each fold."""
    splits = draw_folds({entry.id: entry.origin for entry in prepared.entries}, count, seed)
    return [prepared.with_split(split, _describe(number, count, seed)) for number, split in enumerate(splits, 1)]


def _read_folds(prepared: PreparedSet, plan: RunPlan) -> list[PreparedSet]:
    """The set with the splits of a resumed run; drawn again, they would depend on the names of the data folders."""
    ids, numbers = [entry.id for entry in prepared.entries], range(1, plan.folds + 1)
    files = (read_split(plan.folder / SPLIT, _COLUMN.format(number)) for number in numbers)
    return [
        prepared.with_split(file.resolve(ids)[0], _describe(number, plan.folds, plan.config.seed))
        for number, file in zip(numbers, files, strict=True)
    ]


def _describe(number: int, count: int, seed: int) -> str:
    return f"fold {number} of {count}, seed {seed}"


def _summarize(folder: Path, count: int) -> FoldsResult:
    rows: list[dict[str, str]] = []
    means: list[float] = []
    seconds = 0.0
    for number in range(1, count + 1):
        fold = folder / f"fold-{number}"
        summary = json.loads((fold / SUMMARY).read_text(encoding="utf-8"))
        means.append(math.nan if summary["test_dice"] is None else float(summary["test_dice"]))
        seconds += float(summary["seconds"])
        with (fold / TEST_DICE).open(newline="", encoding="utf-8") as file:
            rows += [{**row, "fold": str(number)} for row in csv.DictReader(file)]
    dices, heart_dices = ([float(row.get(name) or math.nan) for row in rows] for name in ("dice", "heart_dice"))
    mean, undefined = mean_dice(dices)
    defined = [dice for dice in dices if not math.isnan(dice)]
    write_text(folder / TEST_DICE, csv_text(list(rows[0]), (row.values() for row in rows)))
    facts = {
        "folds": count,
        "test_dice": round(mean, 6),
        "test_dice_sd": round(statistics.stdev(defined), 6) if len(defined) > 1 else None,
        "test_dice_of_folds": means,
        "test_images": len(rows),
        "test_undefined": undefined,
        "test_heart_dice": round(mean_dice(heart_dices)[0], 6),
        "seconds": round(seconds, 1),
    }
    write_json(folder / SUMMARY, facts)
    known = [value for value in means if not math.isnan(value)] or [math.nan]
    return FoldsResult(mean, min(known), max(known), len(rows), undefined, seconds)

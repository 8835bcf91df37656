"""Cross-validation: one run per fold, so that each image is tested by weights that were not trained on it.

RUN/fold-1 ...        the runs, each with the files of a single run
RUN/split.csv         the part of each image in each fold
RUN/test_dice.csv     the Dice of each image, by the weights of the fold in which it is a test image
RUN/summary.json      a summary
RUN/run.json, config.toml   as for a single run; `lungmask train --resume RUN` trains the remaining folds
"""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from lungmask_cli.datasets.prepared import PreparedSet
from lungmask_cli.datasets.splits import draw_folds
from lungmask_cli.files import csv_text, write_json, write_text
from lungmask_cli.networks.backend import Device
from lungmask_cli.training.plan import PLAN, SUMMARY, TEST_DICE, RunPlan, refuse_other_run, write_plan
from lungmask_cli.training.run import CPU, Report, train


@dataclass(frozen=True)
class FoldsResult:
    """The result of a cross-validation: the mean Dice of all images, and the lowest and highest mean of a fold."""

    test_dice: float
    lowest: float
    highest: float
    images: int
    seconds: float


def train_folds(plan: RunPlan, prepared: PreparedSet, report: Report = print, device: Device = CPU) -> FoldsResult:
    """Train and test each fold that is not finished, and fill the folder.

    Args:
        plan: the plan of the cross-validation.
        prepared: the data; their split does not matter.
        report: is called with each line for the user.
        device: the device that `choose_device` has chosen.

    Raises:
        UsageError: fewer than two folds, or more folds than images; or as in `train`.
    """
    folds = _split_folds(prepared, plan.folds, plan.config.seed)
    plan = plan.with_data(folds[0])
    if not plan.resume:
        refuse_other_run(plan.folder)
        write_plan(plan, _split_csv(folds))
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
        result = train(fold_plan, fold, report, device)
        report(f"{title}: val Dice {result.val_dice:.4f}, test Dice {result.test_dice:.4f}")
    return _summarize(plan.folder, len(folds))


def _split_folds(prepared: PreparedSet, count: int, seed: int) -> list[PreparedSet]:
    """The set with the split of each fold."""
    splits = draw_folds({entry.id: entry.origin for entry in prepared.entries}, count, seed)
    return [
        prepared.with_split(split, f"fold {number} of {count}, seed {seed}") for number, split in enumerate(splits, 1)
    ]


def _split_csv(folds: list[PreparedSet]) -> str:
    splits = [fold.split() for fold in folds]
    names = [f"fold_{number}" for number in range(1, len(folds) + 1)]
    return csv_text(["id", *names], ([key, *(split[key] for split in splits)] for key in splits[0]))


def _summarize(folder: Path, count: int) -> FoldsResult:
    rows: list[tuple[str, str, int]] = []
    means: list[float] = []
    seconds = 0.0
    for number in range(1, count + 1):
        fold = folder / f"fold-{number}"
        summary = json.loads((fold / SUMMARY).read_text(encoding="utf-8"))
        means.append(float(summary["test_dice"]))
        seconds += float(summary["seconds"])
        with (fold / TEST_DICE).open(newline="", encoding="utf-8") as file:
            rows += [(row["id"], row["dice"], number) for row in csv.DictReader(file)]
    dices = [float(dice) for _, dice, _ in rows]
    mean = float(np.mean(dices))
    write_text(folder / TEST_DICE, csv_text(("id", "dice", "fold"), rows))
    facts = {
        "folds": count,
        "test_dice": round(mean, 6),
        "test_dice_sd": round(float(np.std(dices, ddof=1)), 6),
        "test_dice_of_folds": means,
        "test_images": len(dices),
        "seconds": round(seconds, 1),
    }
    write_json(folder / SUMMARY, facts)
    return FoldsResult(mean, min(means), max(means), len(dices), seconds)

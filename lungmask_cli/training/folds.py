"""Cross-validation: a run for each fold, so that every image is drawn by weights that have not seen it.

RUN/fold-1 ...        the runs, each as any other
RUN/split.csv         which image was in which part of which fold
RUN/test_dice.csv     Dice of each image, by the weights of the fold that it tests
RUN/summary.json      the figures in short
RUN/run.json, config.toml   as of a run; `lungmask train --resume RUN` goes on with the folds that are left
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from lungmask_cli.config import TrainConfig
from lungmask_cli.datasets.prepared import PreparedSet
from lungmask_cli.datasets.splits import draw_folds
from lungmask_cli.files import csv_text, write_json, write_text
from lungmask_cli.training.plan import CONFIG, RECORD, SPLIT, SUMMARY, TEST_DICE, Record, refuse_other_run, write_record
from lungmask_cli.training.run import Conditions, train


@dataclass(frozen=True)
class FoldsResult:
    """What a cross-validation found: mean Dice of all images, and the lowest and highest mean of a fold."""

    test_dice: float
    lowest: float
    highest: float
    images: int
    seconds: float


def with_folds(prepared: PreparedSet, count: int, seed: int) -> list[PreparedSet]:
    """The set split anew for each fold, whatever its split was.

    Raises:
        UsageError: fewer than two folds, or more than there are images.
    """
    splits = draw_folds({entry.id: entry.origin for entry in prepared.entries}, count, seed)
    named = (replace(prepared, split_method=f"fold {fold} of {count}, seed {seed}") for fold in range(1, count + 1))
    return [fold.with_split(split) for fold, split in zip(named, splits, strict=True)]


def train_folds(
    config: TrainConfig,
    folds: list[PreparedSet],
    folder: Path,
    say: Callable[[str], None],
    record: Record,
    resume: bool,
    init: Path | None,
    conditions: Conditions,
) -> FoldsResult:
    """Train and test each fold that is not finished, and fill the folder.

    Args:
        config: of every run.
        folds: the data, split for each.
        folder: of the cross-validation.
        say: takes one line for the user at a time.
        record: what all are started with.
        resume: go on with what the folder holds.
        init: a weight file to start from.
        conditions: the device and the like.

    Raises:
        UsageError: as `train`.
    """
    if not resume:
        refuse_other_run(folder)
        write_text(folder / CONFIG, config.to_toml())
        write_text(folder / SPLIT, _split_text(folds))
        write_record(folder, record)
    for number, fold in enumerate(folds, 1):
        place = folder / f"fold-{number}"
        if (place / SUMMARY).exists():
            say(f"fold {number} of {len(folds)}: finished before")
            continue
        say(f"fold {number} of {len(folds)}")
        keras.utils.clear_session()  # what the fold before left in memory
        own = replace(record, split_method=fold.split_method, manifest_sha256=fold.manifest_sha256(), folds=0)
        result = train(config, fold, place, say, own, (place / RECORD).exists(), init, conditions)
        say(f"fold {number} of {len(folds)}: val Dice {result.val_dice:.4f}, test Dice {result.test_dice:.4f}")
    return _summarize(folder, len(folds))


def _split_text(folds: list[PreparedSet]) -> str:
    splits = [fold.split() for fold in folds]
    names = [f"fold_{number}" for number in range(1, len(folds) + 1)]
    return csv_text(["id", *names], ([key, *(split[key] for split in splits)] for key in splits[0]))


def _summarize(folder: Path, count: int) -> FoldsResult:
    rows: list[tuple[str, str, int]] = []
    means: list[float] = []
    seconds = 0.0
    for number in range(1, count + 1):
        place = folder / f"fold-{number}"
        facts = json.loads((place / SUMMARY).read_text(encoding="utf-8"))
        means.append(float(facts["test_dice"]))
        seconds += float(facts["seconds"])
        with (place / TEST_DICE).open(newline="", encoding="utf-8") as file:
            rows += [(row["id"], row["dice"], number) for row in csv.DictReader(file)]
    dices = [float(dice) for _, dice, _ in rows]
    write_text(folder / TEST_DICE, csv_text(("id", "dice", "fold"), rows))
    summary = {
        "folds": count,
        "test_dice": round(float(np.mean(dices)), 6),
        "test_dice_sd": round(float(np.std(dices, ddof=1)), 6),
        "test_dice_of_folds": means,
        "test_images": len(dices),
        "seconds": round(seconds, 1),
    }
    write_json(folder / SUMMARY, summary)
    return FoldsResult(float(np.mean(dices)), min(means), max(means), len(dices), seconds)

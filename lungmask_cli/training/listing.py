"""The runs in a folder and their progress, read without Keras."""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungmask_cli.config import read_toml
from lungmask_cli.errors import ConfigError
from lungmask_cli.training.plan import CONFIG, METRICS, PLAN, SUMMARY


@dataclass(frozen=True)
class RunStatus:
    """The progress of one run.

    Args:
        folder: the run folder.
        preset: the name of its preset.
        done: the number of finished epochs; for a cross-validation, those of all folds.
        epochs: the number of epochs of the finished run.
        val_dice: the best validation Dice so far; None before the first epoch, and for a cross-validation, and if it is
            undefined.
        test_dice: the mean Dice of the test images; None if there are none, or the run is not finished, or if it is
            undefined.
        minutes: the duration of a finished run.
        state: `finished`, or `unfinished`: running, interrupted or killed.
    """

    folder: Path
    preset: str
    done: int
    epochs: int
    val_dice: float | None
    test_dice: float | None
    minutes: float | None
    state: str


def find_runs(folder: Path) -> Iterator[RunStatus]:
    """The runs in `folder` or anywhere below it, sorted by name; folders with damaged files are skipped."""
    for path in sorted(folder.rglob(CONFIG)):
        try:
            config = read_toml(path)
            yield _read_status(path.parent, str(config["preset"]), int(config["epochs"]))
        except (ConfigError, KeyError, ValueError, OSError):
            continue


def _read_status(folder: Path, preset: str, epochs: int) -> RunStatus:
    val_dices = _read_val_dices(folder / METRICS)
    summary, plan = (_read_json(folder / name) for name in (SUMMARY, PLAN))
    folds = int(plan.get("folds", 0))
    done = [len(_read_val_dices(folder / f"fold-{number}" / METRICS)) for number in range(1, folds + 1)]
    return RunStatus(
        folder=folder,
        preset=preset,
        done=len(val_dices) + sum(done),
        epochs=epochs * max(1, folds),
        val_dice=max((dice for dice in val_dices if not math.isnan(dice)), default=None),
        test_dice=summary.get("test_dice"),
        minutes=summary["seconds"] / 60 if summary else None,
        state="finished" if summary else "unfinished",
    )


def _read_val_dices(path: Path) -> list[float]:
    """The validation Dice of each epoch in a metrics.csv, NaN if undefined; empty if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row["val_dice"] or math.nan) for row in csv.DictReader(file)]


def _read_json(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8") if path.exists() else "{}"
    document: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)  # NaN, which earlier versions wrote
    return document

"""The runs below a folder, and how far each has come; read without Keras."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungmask_cli.config import read_toml
from lungmask_cli.errors import ConfigError
from lungmask_cli.training.plan import CONFIG, METRICS, RECORD, SUMMARY


@dataclass(frozen=True)
class RunState:
    """One run folder.

    Args:
        folder: of the run.
        preset: its recipe.
        done: finished epochs, of a cross-validation those of all folds.
        epochs: that were asked for.
        val_dice: the best so far; None before the first epoch, and of a cross-validation.
        test_dice: of a finished run that has test images.
        minutes: that a finished run took.
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


def find_runs(folder: Path) -> Iterator[RunState]:
    """The runs in `folder` or anywhere below it, sorted by name; folders whose files are broken are passed over."""
    for path in sorted(folder.rglob(CONFIG)):
        try:
            config = read_toml(path)
            yield _state(path.parent, str(config["preset"]), int(config["epochs"]))
        except (ConfigError, KeyError, ValueError, OSError):
            continue


def _state(folder: Path, preset: str, epochs: int) -> RunState:
    rows = _val_dices(folder / METRICS)
    facts, record = (_read_facts(folder / name) for name in (SUMMARY, RECORD))
    folds = int(record.get("folds", 0))
    of_folds = [len(_val_dices(folder / f"fold-{number}" / METRICS)) for number in range(1, folds + 1)]
    return RunState(
        folder=folder,
        preset=preset,
        done=len(rows) + sum(of_folds),
        epochs=epochs * max(1, folds),
        val_dice=max(rows, default=None),
        test_dice=facts.get("test_dice"),
        minutes=facts["seconds"] / 60 if facts else None,
        state="finished" if facts else "unfinished",
    )


def _val_dices(path: Path) -> list[float]:
    """Of each epoch in a metrics.csv; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row["val_dice"]) for row in csv.DictReader(file)]


def _read_facts(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return facts

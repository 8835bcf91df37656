"""The runs below a folder, and how far each has come; read without Keras."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.config import read_toml
from lungmask_cli.errors import ConfigError
from lungmask_cli.training.record import CONFIG, METRICS, SUMMARY


@dataclass(frozen=True)
class RunState:
    """One run folder.

    Args:
        folder: of the run.
        preset: its recipe.
        done: finished epochs.
        epochs: that were asked for.
        val_dice: the best so far; None before the first epoch.
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
    rows = []
    if (folder / METRICS).exists():
        with (folder / METRICS).open(newline="", encoding="utf-8") as file:
            rows = [float(row["val_dice"]) for row in csv.DictReader(file)]
    facts = {}
    if (folder / SUMMARY).exists():
        facts = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return RunState(
        folder=folder,
        preset=preset,
        done=len(rows),
        epochs=epochs,
        val_dice=max(rows, default=None),
        test_dice=facts.get("test_dice"),
        minutes=facts["seconds"] / 60 if facts else None,
        state="finished" if facts else "unfinished",
    )

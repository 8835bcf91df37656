"""The whole state of a run after an epoch, from which it goes on as if nothing had happened."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lungmask_cli.errors import UsageError
from lungmask_cli.files import atomic_write
from lungmask_cli.training.plan import CHECKPOINT

_FACTS = "facts"


@dataclass(frozen=True)
class Progressed:
    """What a run has done besides its numbers.

    Args:
        rows: of `metrics.csv`, one per finished epoch.
        best_epoch: the epoch of the best validation Dice, from 1; 0 before the first.
        seconds: that it has taken so far.
    """

    rows: tuple[dict[str, float], ...] = ()
    best_epoch: int = 0
    seconds: float = 0.0


class Checkpoint(keras.callbacks.Callback):
    """Keeps `checkpoint.npz` of a run folder: all weights, the optimiser with its averages, and what was recorded.

    The order of the data and its changes follow from the seed and the number of the epoch, and need no state. It must
    stand before the callback that swaps averaged weights in, and `write` be called when the epoch's files are there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / CHECKPOINT
        self._state: dict[str, NDArray[Any]] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Take a copy of all numbers while the model still has the weights that are trained."""
        numbers = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(self.model).items()}
        self._state = {name: array.copy() for name, array in numbers.items()}

    def write(self, done: Progressed) -> None:
        """Write the copy; the last one stays where that fails."""
        facts = json.dumps({"rows": done.rows, "best_epoch": done.best_epoch, "seconds": done.seconds})
        arrays: dict[str, Any] = {**self._state, _FACTS: np.frombuffer(facts.encode(), np.uint8)}
        with atomic_write(self._path) as partial:
            np.savez(partial, allow_pickle=False, **arrays)


def restore(model: keras.Model, folder: Path) -> Progressed:
    """Put the numbers of a checkpoint into a compiled model and its optimiser; nothing is done where there is none.

    Raises:
        UsageError: the checkpoint is broken, or of another network.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return Progressed()
    model.optimizer.build(model.trainable_variables)
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(stored[_FACTS].tobytes())
            for name, variable in _variables(model).items():
                variable.assign(stored[name])
        return Progressed(tuple(facts["rows"]), int(facts["best_epoch"]), float(facts["seconds"]))
    except Exception as error:  # damaged archives make NumPy and Keras raise anything
        raise UsageError(
            f"{path}: is damaged, or of another network ({type(error).__name__})", "Start the run again."
        ) from error


def _variables(model: keras.Model) -> dict[str, Any]:
    """All that changes in training, by a name that stays the same from one start to the next."""
    groups = {
        "trained": model.trainable_variables,
        "other": model.non_trainable_variables,
        "optimizer": model.optimizer.variables,
    }
    return {f"{group}/{place}": variable for group, found in groups.items() for place, variable in enumerate(found)}

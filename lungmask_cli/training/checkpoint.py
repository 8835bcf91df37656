"""The complete state of a run after an epoch, from which it resumes with the same results, bit for bit."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lungmask_cli.errors import UsageError
from lungmask_cli.files import atomic_write, json_text
from lungmask_cli.training.plan import CHECKPOINT

_FACTS = "facts"


@dataclass(frozen=True)
class TrainingState:
    """The progress of a run, apart from its weights and its optimiser.

    Args:
        rows: the rows of `metrics.csv`, one per finished epoch.
        best_epoch: the epoch with the best validation Dice, from 1; 0 before the first.
        before: the validation Dice of the weights that the run started from; empty for random weights.
        seconds: the time that the run has taken so far.
    """

    rows: tuple[dict[str, float], ...] = ()
    best_epoch: int = 0
    before: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Checkpoint(keras.callbacks.Callback):
    """Keeps `checkpoint.npz` of a run folder: all weights, the optimiser with its averages, and the training state.

    The order and the augmentations of the images follow from the seed and the epoch, and need no state. This callback
    must come before the one that swaps the averaged weights in. Call `write` when the other files of the epoch exist.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / CHECKPOINT
        self._arrays: dict[str, NDArray[Any]] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Copy all variables while the model still has the weights that are trained."""
        variables = _variables(self.model).items()
        self._arrays = {name: keras.ops.convert_to_numpy(variable).copy() for name, variable in variables}

    def write(self, state: TrainingState) -> None:
        """Write the copy; if that fails, the previous checkpoint remains."""
        facts = json_text(asdict(state))
        arrays: dict[str, Any] = {**self._arrays, _FACTS: np.frombuffer(facts.encode(), np.uint8)}
        with atomic_write(self._path) as partial:
            np.savez(partial, allow_pickle=False, **arrays)


def restore(model: keras.Model, folder: Path) -> TrainingState:
    """Load the checkpoint in the folder, if there is one, into a compiled model and its optimiser.

    Raises:
        UsageError: the checkpoint is damaged, or belongs to another network.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return TrainingState()
    model.optimizer.build(model.trainable_variables)
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(stored[_FACTS].tobytes())
            for name, variable in _variables(model).items():
                variable.assign(stored[name])
        before, *rows = (
            {name: _to_float(value) for name, value in row.items()} for row in (facts.get("before", {}), *facts["rows"])
        )
        return TrainingState(tuple(rows), int(facts["best_epoch"]), before, float(facts["seconds"]))
    except Exception as error:  # damaged archives make NumPy and Keras raise anything
        raise UsageError(
            f"{path}: is damaged, or belongs to another network ({type(error).__name__})", "Start the run again."
        ) from error


def _to_float(value: float | str | None) -> float:
    """A number as `json_text` has written it; None is undefined."""
    return math.nan if value is None else float(value)


def _variables(model: keras.Model) -> dict[str, Any]:
    """Everything that training changes, by names that are the same in each process."""
    groups = {
        "trained": model.trainable_variables,
        "other": model.non_trainable_variables,
        "optimizer": model.optimizer.variables,
    }
    return {
        f"{group}/{index}": variable for group, variables in groups.items() for index, variable in enumerate(variables)
    }

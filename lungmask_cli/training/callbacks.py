"""Keras callbacks: progress on the terminal, metrics, curves, and the best and last weights on disk."""

import math
import sys
import time
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from lungmask_cli.config import TrainConfig
from lungmask_cli.files import csv_text, write_text
from lungmask_cli.models.manifest import BEST
from lungmask_cli.models.weights import save_weights
from lungmask_cli.text import format_cell, format_dice
from lungmask_cli.training.batches import RadiographBatches
from lungmask_cli.training.checkpoint import Checkpoint, TrainingState
from lungmask_cli.training.curves import LOSS_COLUMNS, UNLABELLED_COLUMNS, plot_curves
from lungmask_cli.training.plan import METRICS

LAST = "last"
# Plotting the curves takes as long as a small epoch.
_SECONDS_BETWEEN_CURVES = 10.0
# Adapted weights are not kept if their validation Dice is lower than that from before by more.
TOLERANCE = 0.003
_COLUMNS = ("dice", "val_dice", *LOSS_COLUMNS, *UNLABELLED_COLUMNS, "loss", "val_loss")
_HEART_COLUMNS = ("heart_dice", "val_heart_dice")
_SCORES = ("val_dice", "val_heart_dice")  # in the manifest of the weights
_BAR_COLUMNS = ("dice", *LOSS_COLUMNS, *UNLABELLED_COLUMNS)
_BAR_LABELS = dict(zip(_BAR_COLUMNS, ("dice", "seg", "adv", "disc", "unlabelled", "cons"), strict=True))
Logs = dict[str, Any] | None


class EpochClock(keras.callbacks.Callback):
    """Sets the epoch of the batches, and switches on what begins later: the adversary, and unlabelled radiographs."""

    def __init__(self, batches: RadiographBatches, config: TrainConfig) -> None:
        super().__init__()
        self._batches = batches
        self._pretraining_epochs = round(config.loss.pretraining * config.epochs)
        self._unlabelled_start = config.unlabelled_start

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin a new order and new augmentations."""
        self._batches.epoch = epoch + 1  # not all versions of Keras count the epochs of a PyDataset at the same time
        self.model.adversary.assign(float(epoch >= self._pretraining_epochs))
        if self.model.unlabelled_config:
            self.model.unlabelled.assign(float(epoch >= self._unlabelled_start))


class ProgressBar(keras.callbacks.Callback):
    """Shows a tqdm bar during each epoch, on a terminal only, and prints a line after it; both on standard error."""

    def __init__(self, epochs: int, batch_size: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._batch_size = batch_size
        self._bar: tqdm[Any] = tqdm(disable=True)
        self._title = ""
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start a bar."""
        self._started = time.monotonic()
        self._title = f"epoch {epoch + 1}/{self._epochs}"
        images = self.params["steps"] * self._batch_size
        self._bar = tqdm(total=images, desc=self._title, unit=" images", leave=False, disable=not sys.stderr.isatty())

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Advance the bar."""
        self._bar.update(self._batch_size)
        if logs and not self._bar.disable:  # reading the values waits for the step
            self._bar.set_postfix(
                {short: format_dice(float(logs[name])) for name, short in _BAR_LABELS.items() if name in logs}
            )

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Print the line of the epoch."""
        self._bar.close()
        seconds = time.monotonic() - self._started
        logs = logs or {}
        minutes = (self._epochs - epoch - 1) * seconds / 60
        tqdm.write(
            f"{self._title}: train Dice {format_dice(logs['dice'])}, val Dice {format_dice(logs['val_dice'])}, "
            + (f"hearts {format_dice(logs['val_heart_dice'])}, " if "val_heart_dice" in logs else "")
            + f"{seconds:.0f} s, "
            f"{self.params['steps'] * self._batch_size / seconds:.1f} images/s"
            + (f", {minutes:.0f} min remaining" if minutes >= 1 else ""),
            file=sys.stderr,
        )
        sys.stderr.flush()


class RunRecorder(keras.callbacks.Callback):
    """Keeps `metrics.csv`, `curves.png`, `best.weights.h5`, `last.weights.h5` and the checkpoint of a run up to date.

    The best epoch is the first one with the highest validation Dice, with hearts the mean of both. If the Dice of all
    epochs is 0 or undefined, as with empty masks, it is the one with the lowest validation loss.

    Radiographs without masks hardly improve the validation Dice, because those with masks come from elsewhere. So when
    they are learnt from, the best epoch is the last one whose validation Dice is at most `TOLERANCE` below the highest
    from before. If there is none, the weights from before are kept.

    Args:
        folder: the run folder.
        manifest: the facts that are written beside the weights.
        patience: epochs without a better validation Dice after which the run ends; 0 for never.
        checkpoint: is written last, so that a resumed run finds all other files up to date. With None, nothing is
            written, because another process does it; only the patience is observed.
        state: the state of the run when it was interrupted.
        unlabelled_start: the number of epochs before radiographs without masks are learnt from; None for never.
    """

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        patience: int,
        checkpoint: Checkpoint | None,
        state: TrainingState,
        unlabelled_start: int | None = None,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._manifest = manifest
        self._patience = patience
        self._checkpoint = checkpoint
        self._started = time.monotonic() - state.seconds
        self._plotted = -math.inf
        self.rows: list[dict[str, float]] = list(state.rows)
        self.best_epoch = state.best_epoch
        self._before = state.before
        self._start = sys.maxsize if unlabelled_start is None else unlabelled_start

    @property
    def best(self) -> dict[str, float]:
        """The metrics of the best epoch, or those of the initial weights."""
        return self.rows[self.best_epoch - 1] if self.best_epoch else self._before

    @property
    def has_fallen(self) -> bool:
        """Whether the weights from before radiographs without masks were learnt from are kept."""
        return self.best_epoch <= self._start < len(self.rows)

    @property
    def has_stopped(self) -> bool:
        """Whether the patience is exhausted."""
        return 0 < self._patience <= len(self.rows) - self.best_epoch

    @property
    def seconds(self) -> float:
        """How long the run has taken, including the time before it was resumed."""
        return time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write all files that this epoch changes."""
        logs = logs or {}
        columns = [name for name in (*_COLUMNS, *_HEART_COLUMNS) if name in logs]
        self.rows.append({"epoch": epoch + 1, **{name: float(logs[name]) for name in columns}})
        if self._is_best(self.rows[-1]):
            self.best_epoch = epoch + 1
        if self._checkpoint:
            if time.monotonic() - self._plotted > _SECONDS_BETWEEN_CURVES:
                self._plot()
            rows = ([format_cell(value, ".6g") for value in row.values()] for row in self.rows)
            write_text(self._folder / METRICS, csv_text(list(self.rows[0]), rows))
            for name in [BEST, LAST] if self.best_epoch == epoch + 1 else [LAST]:
                self._save(name, epoch + 1, self.rows[-1])
            self._checkpoint.write(TrainingState(tuple(self.rows), self.best_epoch, self._before, self.seconds))
        if self.has_stopped:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Plot the curves of the whole run."""
        if self._checkpoint and self.rows:
            self._plot()

    def keep_initial(self, model: keras.Model, metrics: dict[str, float]) -> None:
        """Save the weights that the run starts from, with their metrics, as the best ones so far."""
        self._before = {f"val_{name}": float(value) for name, value in metrics.items()}
        if self._checkpoint:
            self.set_model(model)
            self._save(BEST, 0, self._before)

    def _is_best(self, row: dict[str, float]) -> bool:
        """Whether this is the best epoch so far."""
        if not self.best:
            return True
        if row["epoch"] <= self._start:
            return _quality(row) > _quality(self.best)
        before = [_quality(other)[0] for other in (self._before, *self.rows[: self._start]) if other]
        return not before or _quality(row)[0] >= max(before) - TOLERANCE

    def _plot(self) -> None:
        plot_curves(self.rows, self._folder / "curves.png")
        self._plotted = time.monotonic()

    def _save(self, name: str, epoch: int, row: dict[str, float]) -> None:
        scores = {name: value for name, value in row.items() if name in _SCORES}
        manifest = {**self._manifest, "epoch": epoch, "scores": scores}
        save_weights(self.model.generator, self._folder / f"{name}.weights.h5", manifest)


def _quality(row: dict[str, float]) -> tuple[float, float]:
    """Epochs are compared by this: the validation Dice, with hearts the mean of both, or without overlap the loss."""
    dices = [row[name] for name in _SCORES if not math.isnan(row.get(name, math.nan))]
    dice = sum(dices) / len(dices) if dices else math.nan
    return (dice, 0.0) if dice > 0 else (0.0, -row["val_loss"])

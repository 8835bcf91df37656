"""What happens after each epoch: progress on the terminal, metrics and curves on disk, the best and last weights."""

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
from lungmask_cli.training.batches import RadiographBatches
from lungmask_cli.training.checkpoint import Checkpoint, Progressed
from lungmask_cli.training.curves import draw_curves
from lungmask_cli.training.plan import METRICS

LAST = "last"
# Drawing them takes as long as a small epoch.
_SECONDS_BETWEEN_CURVES = 10.0
_COLUMNS = (
    "dice",
    "val_dice",
    "segmentation_loss",
    "generator_adversarial_loss",
    "discriminator_loss",
    "loss",
    "val_loss",
)
_SHOWN = {
    "dice": "dice",
    "segmentation_loss": "segm",
    "generator_adversarial_loss": "fool",
    "discriminator_loss": "judge",
}
Logs = dict[str, Any] | None


class Clock(keras.callbacks.Callback):
    """Tells the batches which epoch it is, and the model when its discriminator begins to play."""

    def __init__(self, batches: RadiographBatches, config: TrainConfig) -> None:
        super().__init__()
        self._batches = batches
        self._alone = round(config.loss.pretraining * config.epochs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Go on to a new order and new changes."""
        self._batches.epoch = epoch + 1  # which Keras does not count at the same time in all its versions
        self.model.adversary.assign(float(epoch >= self._alone))


class Progress(keras.callbacks.Callback):
    """One tqdm bar per epoch on a terminal, one plain line per epoch elsewhere; both on standard error."""

    def __init__(self, epochs: int, batch_size: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._batch_size = batch_size
        self._bar: tqdm[Any] | None = None
        self._title = ""
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start a bar."""
        self._started = time.monotonic()
        self._title = f"epoch {epoch + 1}/{self._epochs}"
        shown = sys.stderr.isatty()
        images = self.params["steps"] * self._batch_size
        self._bar = tqdm(total=images, desc=self._title, unit=" images", leave=False, disable=not shown)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move the bar."""
        assert self._bar is not None
        self._bar.update(self._batch_size)
        if logs and not self._bar.disable:  # reading numbers waits for the step
            self._bar.set_postfix({short: f"{float(logs[name]):.4f}" for name, short in _SHOWN.items()})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Leave a line behind."""
        assert self._bar is not None
        self._bar.close()
        seconds = time.monotonic() - self._started
        logs = logs or {}
        left = (self._epochs - epoch - 1) * seconds / 60
        tqdm.write(
            f"{self._title}: train Dice {logs['dice']:.4f}, val Dice {logs['val_dice']:.4f}, {seconds:.0f} s, "
            f"{self.params['steps'] * self._batch_size / seconds:.1f} images/s"
            + (f", {left:.0f} min left" if left >= 1 else ""),
            file=sys.stderr,
        )
        sys.stderr.flush()


class RunRecorder(keras.callbacks.Callback):
    """Keeps `metrics.csv`, `curves.png`, `best.weights.h5`, `last.weights.h5` and the checkpoint of a run up to date.

    Best is the epoch of the highest validation Dice, the earliest among equals.

    Args:
        folder: of the run.
        manifest: what is written beside the weights.
        patience: epochs without a better validation Dice after which the run ends; 0 for never.
        checkpoint: is written last of all, so that a run that goes on finds everything else done. None to write
            nothing at all, and only know when to end, as another process writes.
        done: what earlier starts of the run have done.
    """

    def __init__(
        self, folder: Path, manifest: dict[str, Any], patience: int, checkpoint: Checkpoint | None, done: Progressed
    ) -> None:
        super().__init__()
        self._folder = folder
        self._manifest = manifest
        self._patience = patience
        self._checkpoint = checkpoint
        self._started = time.monotonic() - done.seconds
        self._drawn = -math.inf
        self.rows: list[dict[str, float]] = list(done.rows)
        self.best_epoch = done.best_epoch

    @property
    def has_stopped(self) -> bool:
        """Whether patience has come to its end."""
        return 0 < self._patience <= len(self.rows) - self.best_epoch

    @property
    def seconds(self) -> float:
        """How long the run has taken, with its earlier starts."""
        return time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write everything that this epoch changes."""
        logs = logs or {}
        self.rows.append({"epoch": epoch + 1, **{name: float(logs[name]) for name in _COLUMNS}})
        dice = self.rows[-1]["val_dice"]
        if self.best_epoch == 0 or dice > self.rows[self.best_epoch - 1]["val_dice"]:
            self.best_epoch = epoch + 1
        if self._checkpoint:
            self._write_metrics()
            for name in [BEST, LAST] if self.best_epoch == epoch + 1 else [LAST]:
                self._save(name, epoch + 1, dice)
            self._checkpoint.write(Progressed(tuple(self.rows), self.best_epoch, self.seconds))
        if self.has_stopped:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Draw the curves of the whole run."""
        if self._checkpoint and self.rows:
            self._draw()

    def _draw(self) -> None:
        draw_curves(self.rows, self._folder / "curves.png")
        self._drawn = time.monotonic()

    def _write_metrics(self) -> None:
        if time.monotonic() - self._drawn > _SECONDS_BETWEEN_CURVES:
            self._draw()
        rows = ([f"{value:.6g}" for value in row.values()] for row in self.rows)
        write_text(self._folder / METRICS, csv_text(list(self.rows[0]), rows))

    def _save(self, name: str, epoch: int, dice: float) -> None:
        record = {**self._manifest, "epoch": epoch, "scores": {"val_dice": dice}}
        save_weights(self.model.generator, self._folder / f"{name}.weights.h5", record)

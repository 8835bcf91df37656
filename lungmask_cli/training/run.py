"""A training run from prepared data to a run folder.

RUN/run.json           data, versions and commit; `lungmask train --resume RUN` goes on from
RUN/checkpoint.npz     everything that changes in training, after the last epoch
RUN/config.toml        the resolved configuration; `lungmask train DATA --config RUN/config.toml` repeats the run
RUN/split.csv          which image was in which part
RUN/metrics.csv        one row per epoch; curves.png draws it
RUN/best.weights.h5    the epoch of the best validation Dice, with best.json; last.weights.h5 likewise
RUN/test_dice.csv      Dice of each test image, drawn by the best weights
RUN/summary.json       the figures in short
"""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

import lungmask_cli
from lungmask_cli.config import OptimizerConfig, TrainConfig
from lungmask_cli.datasets.prepared import Entry, PreparedSet
from lungmask_cli.datasets.splits import TEST, TRAIN, VAL, hold_out_validation
from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.write import csv_text, write_text
from lungmask_cli.inference.manifest import BEST
from lungmask_cli.inference.predict import predict_mask
from lungmask_cli.inference.weights import load_model
from lungmask_cli.networks.adversarial import AdversarialModel, build_adversarial_model
from lungmask_cli.scoring.overlap import overlap
from lungmask_cli.training.batches import RadiographBatches, read_pair
from lungmask_cli.training.callbacks import Progress, RunRecorder
from lungmask_cli.training.checkpoint import Checkpoint, restore
from lungmask_cli.training.pictures import ProgressStrips
from lungmask_cli.training.record import CONFIG, SPLIT, SUMMARY, Record, refuse_other_run, write_record


@dataclass(frozen=True)
class RunResult:
    """What a run reached. `test_dice` is None where the data set has no test images."""

    folder: Path
    best_epoch: int
    val_dice: float
    test_dice: float | None
    test_count: int
    seconds: float


def train(
    config: TrainConfig,
    prepared: PreparedSet,
    folder: Path,
    say: Callable[[str], None],
    record: Record | None = None,
    resume: bool = False,
    init: Path | None = None,
    tensorboard: bool = False,
) -> RunResult:
    """Train as `config` says and fill the run folder.

    Args:
        config: the resolved configuration.
        prepared: the data; its `val` chooses the epoch, its `test` is looked at once, at the end. Without `val` a
            fifth of `train` is held out; a single training image validates itself, which is said.
        folder: the run folder, which must not hold another run, unless it is to go on.
        say: takes one line for the user at a time.
        record: what the run is started with, which lets it go on after an interruption; None for one that need not.
        resume: go on after the last epoch that the run in the folder has finished.
        init: a weight file of the same generator to start from.
        tensorboard: also write logs for TensorBoard into RUN/tensorboard.

    Raises:
        UsageError: nothing to train on, or the folder holds a run, or one that cannot go on.
    """
    if not resume:
        refuse_other_run(folder)
    prepared = with_validation(prepared, config.seed)
    fit_on, choose_on = prepared.of(TRAIN), prepared.of(VAL)
    if not fit_on:
        raise UsageError(f"{prepared.folder}: has no images in split train", "Make a split: --split 160/40/40.")
    if not choose_on:
        say("only one image to train on: it also validates, so its Dice says nothing about others")
        choose_on = fit_on
    keras.config.set_dtype_policy(config.precision)
    model = build_adversarial_model(config)
    if init:
        _start_from(model, init)
    say(_describe(model, config, len(fit_on), len(choose_on), len(prepared.of(TEST))))
    if not resume:
        _write_setup(config, prepared, folder)
        if record:  # last, so that what can go on is whole
            write_record(folder, record)
    recorder = _fit(model, config, prepared, fit_on, choose_on, folder, say, tensorboard)
    keras.config.set_dtype_policy("float32")
    test_dice = _test(prepared, folder)
    result = RunResult(
        folder=folder,
        best_epoch=recorder.best_epoch,
        val_dice=recorder.rows[recorder.best_epoch - 1]["val_dice"],
        test_dice=test_dice,
        test_count=len(prepared.of(TEST)),
        seconds=recorder.seconds,
    )
    _write_summary(result, recorder)
    return result


def _start_from(model: AdversarialModel, weights: Path) -> None:
    """Give the generator those weights.

    Raises:
        UsageError: they are of another generator.
    """
    try:
        model.generator.set_weights(load_model(weights).generator.get_weights())
    except ValueError as error:
        raise UsageError(
            f"{weights}: is of another generator than the one to be trained", "Leave --preset out."
        ) from error


def with_validation(prepared: PreparedSet, seed: int) -> PreparedSet:
    """The set with a fifth of its training images held out for validation, where it has none."""
    return prepared.with_split(hold_out_validation(prepared.split(), seed))


def _fit(
    model: AdversarialModel,
    config: TrainConfig,
    prepared: PreparedSet,
    fit_on: list[Entry],
    choose_on: list[Entry],
    folder: Path,
    say: Callable[[str], None],
    tensorboard: bool,
) -> RunRecorder:
    """Train all epochs that the checkpoint in the folder, if there is one, has not done."""
    size, steps = config.image_size, len(fit_on) // min(config.batch_size, len(fit_on))
    # XLA was slower than plain graphs on the CPU.
    model.compile(optimizer=build_optimizer(config.optimizer, config.epochs, steps), jit_compile=False)
    done = restore(model, folder)
    if done.rows:
        say(f"goes on after epoch {len(done.rows)} of {config.epochs}")
    checkpoint = Checkpoint(folder)
    recorder = RunRecorder(folder, _manifest(config, prepared), config.patience, checkpoint, done)
    if recorder.has_stopped:
        return recorder
    batches = RadiographBatches(
        prepared, fit_on, size, config.batch_size, config.augmentation, config.seed, epoch=len(done.rows)
    )
    validation = RadiographBatches(prepared, choose_on, size, config.batch_size)
    watched = [Progress(config.epochs, min(config.batch_size, len(fit_on))), recorder]
    if tensorboard:
        watched.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
    averaged = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if config.optimizer.ema else []
    try:
        model.fit(
            batches,
            epochs=config.epochs,
            initial_epoch=len(done.rows),
            validation_data=validation,
            callbacks=[checkpoint, *averaged, ProgressStrips(validation, folder, config.epochs), *watched],
            verbose=0,
            shuffle=False,
        )
    except KeyboardInterrupt:
        say(f"interrupted after {len(recorder.rows)} epochs; to go on: lungmask train --resume {folder}")
        raise
    return recorder


def build_optimizer(config: OptimizerConfig, epochs: int, steps: int) -> keras.optimizers.Optimizer:
    """Adam as `config` describes it, for `epochs` epochs of `steps` steps."""
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        warmup = min(round(config.warmup_epochs * steps), epochs * steps - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            decay_steps=epochs * steps - warmup,
            alpha=0.01,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    # Averaged over more than a sixteenth of the run, the weights of short runs would still be those of its beginning.
    momentum = min(config.ema, 1 - 1 / max(1, epochs * steps / 16))
    averaging = {"use_ema": True, "ema_momentum": momentum} if config.ema else {}
    return keras.optimizers.Adam(rate, beta_1=config.beta_1, clipnorm=config.clip_norm or None, **averaging)


def _test(prepared: PreparedSet, folder: Path) -> float | None:
    """The mean Dice on the test images at the prepared size, as `lungmask segment` would draw them."""
    entries = prepared.of(TEST)
    if not entries:
        return None
    best = load_model(folder / f"{BEST}.weights.h5")
    dices = []
    for entry in entries:
        image, mask = read_pair(prepared, entry)
        dices.append(overlap(predict_mask(best, image), mask > 0.5).dice)
    rows = ((entry.id, f"{dice:.6f}") for entry, dice in zip(entries, dices, strict=True))
    write_text(folder / "test_dice.csv", csv_text(("id", "dice"), rows))
    return float(np.mean(dices))


def _describe(model: AdversarialModel, config: TrainConfig, train: int, val: int, test: int) -> str:
    judge = f"{model.discriminator.count_params():,}" if model.discriminator else "no"
    return (
        f"preset {config.preset}: generator {config.generator.name} of {model.generator.count_params():,} parameters, "
        f"discriminator of {judge} parameters; {config.image_size} px, {config.epochs} epochs, "
        f"batch {config.batch_size}, seed {config.seed}; {train} train, {val} val, {test} test images"
    )


def _manifest(config: TrainConfig, prepared: PreparedSet) -> dict[str, Any]:
    return {
        "format": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "lungmask": lungmask_cli.__version__,
        "keras": f"{keras.__version__} on {keras.backend.backend()}",
        "data": {
            "layout": prepared.layout,
            "split": prepared.split_method,
            "counts": prepared.counts(),
            "manifest_sha256": prepared.manifest_sha256(),
        },
        "seed": config.seed,
        "config": config.as_dict(),
    }


def _write_setup(config: TrainConfig, prepared: PreparedSet, folder: Path) -> None:
    write_text(folder / CONFIG, config.to_toml())
    write_text(folder / SPLIT, csv_text(("id", "split"), prepared.split().items()))


def _write_summary(result: RunResult, recorder: RunRecorder) -> None:
    summary = {
        "best_epoch": result.best_epoch,
        "val_dice": round(result.val_dice, 6),
        "test_dice": None if result.test_dice is None else round(result.test_dice, 6),
        "test_images": result.test_count,
        "epochs": len(recorder.rows),
        "seconds": round(result.seconds, 1),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    write_text(result.folder / SUMMARY, json.dumps(summary, indent=2) + "\n")

"""A training run from prepared data to a run folder.

RUN/run.json           data, versions and commit; `lungmask train --resume RUN` goes on from
RUN/checkpoint.npz     everything that changes in training, after the last epoch
RUN/config.toml        the resolved configuration; `lungmask train DATA --config RUN/config.toml` repeats the run
RUN/split.csv          which image was in which part
RUN/metrics.csv        one row per epoch; curves.png draws it, at most every ten seconds and in the end
RUN/best.weights.h5    the epoch of the best validation Dice, with best.json; last.weights.h5 likewise
RUN/test_dice.csv      Dice of each test image, drawn by the best weights
RUN/summary.json       the figures in short
"""

import json
import math
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import keras
import numpy as np

import lungmask_cli
from lungmask_cli.config import OptimizerConfig, TrainConfig
from lungmask_cli.datasets.prepared import Entry, PreparedSet
from lungmask_cli.datasets.splits import TEST, TRAIN, VAL, hold_out_validation
from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_text, write_json, write_text
from lungmask_cli.imaging.radiograph import Mask
from lungmask_cli.imaging.sides import split_sides
from lungmask_cli.inference.quality import BASELINE, measure_baseline
from lungmask_cli.inference.two_pass import Prediction, as_mask, predict
from lungmask_cli.models.load import load_network
from lungmask_cli.models.manifest import BEST, FORMAT, manifest_path
from lungmask_cli.models.network import Network
from lungmask_cli.models.weights import load_model
from lungmask_cli.networks.adversarial import AdversarialModel, build_adversarial_model
from lungmask_cli.networks.backend import Device
from lungmask_cli.processes import available_cores
from lungmask_cli.scoring.overlap import overlap
from lungmask_cli.training.batches import RadiographBatches, read_pair
from lungmask_cli.training.callbacks import Clock, Progress, RunRecorder
from lungmask_cli.training.checkpoint import Checkpoint, restore
from lungmask_cli.training.distribution import OneDevice, find_devices
from lungmask_cli.training.pictures import ProgressStrips
from lungmask_cli.training.plan import CONFIG, SPLIT, SUMMARY, TEST_DICE, Record, refuse_other_run, write_record

# Threads that make batches. With one, Keras lets TensorFlow tune its pipeline, and that slept for seconds at the start
# of epochs, an eighth of the time of a long run; with four, a GPU does not wait.
_LEAST_WORKERS, _WORKERS = 2, 4
_MOST_DRAWN = 100  # validation images that tell what is usual of a network


@dataclass(frozen=True)
class RunResult:
    """What a run reached. `test_dice` is None where the data set has no test images."""

    folder: Path
    best_epoch: int
    val_dice: float
    test_dice: float | None
    test_count: int
    seconds: float


@dataclass(frozen=True)
class Conditions:
    """What a run is made under, beside what decides what is learnt.

    Args:
        device: what it runs on.
        memory_gb: images that would take more are read from disk in each epoch.
        tensorboard: also write logs for TensorBoard into RUN/tensorboard.
    """

    device: Device = field(default_factory=lambda: Device("cpu", "requested"))
    memory_gb: float = math.inf
    tensorboard: bool = False


@dataclass(frozen=True)
class _Run:
    """All that training one model takes."""

    config: TrainConfig
    prepared: PreparedSet
    fit_on: list[Entry]
    choose_on: list[Entry]
    folder: Path
    say: Callable[[str], None]
    conditions: Conditions
    devices: OneDevice

    @property
    def batch_size(self) -> int:
        """Images in each step, on all devices together."""
        return min(self.config.batch_size, len(self.fit_on))


def train(
    config: TrainConfig,
    prepared: PreparedSet,
    folder: Path,
    say: Callable[[str], None],
    record: Record | None = None,
    resume: bool = False,
    init: Path | None = None,
    conditions: Conditions = Conditions(),
) -> RunResult:
    """Train as `config` says and fill the run folder.

    Of several processes that train together, as `TF_CONFIG` says, the first does the latter.

    Args:
        config: the resolved configuration.
        prepared: the data; its `val` chooses the epoch, its `test` is looked at once, at the end. Without `val` a
            fifth of `train` is held out; a single training image validates itself, which is said.
        folder: the run folder, which must not hold another run, unless it is to go on.
        say: takes one line for the user at a time.
        record: what the run is started with, which lets it go on after an interruption; None for one that need not.
        resume: go on after the last epoch that the run in the folder has finished.
        init: a weight file of the same generator to start from.
        conditions: the device and the like.

    Raises:
        UsageError: nothing to train on, or the folder holds a run, or one that cannot go on, or devices that cannot
            share the batch.
        ImageError: an image that is read from disk in each epoch has become unreadable.
    """
    run = _prepare_run(config, prepared, folder, say, conditions)
    if run.devices.is_chief and not resume:
        refuse_other_run(folder)
    keras.config.set_dtype_policy(config.precision)
    with run.devices.scope():
        model = build_adversarial_model(config, run.devices.model_class)
    if init:
        _start_from(model, init)
    say(_describe(model, run))
    if run.devices.is_chief and not resume:
        _write_setup(run)
        if record:  # last, so that what can go on is whole
            write_record(folder, record)
    recorder = _fit(model, run, bool(init))
    keras.config.set_dtype_policy("float32")
    result = RunResult(
        folder=folder,
        best_epoch=recorder.best_epoch,
        val_dice=recorder.rows[recorder.best_epoch - 1]["val_dice"],
        test_dice=_judge(run) if run.devices.is_chief else None,
        test_count=len(run.prepared.of(TEST)),
        seconds=recorder.seconds,
    )
    if run.devices.is_chief:
        _write_summary(result, recorder)
    return result


def _prepare_run(
    config: TrainConfig, prepared: PreparedSet, folder: Path, say: Callable[[str], None], conditions: Conditions
) -> _Run:
    prepared = with_validation(prepared, config.seed)
    fit_on, choose_on = prepared.of(TRAIN), prepared.of(VAL)
    if not fit_on:
        raise UsageError(f"{prepared.folder}: has no images in split train", "Make a split: --split 160/40/40.")
    if not choose_on:
        say("only one image to train on: it also validates, so its Dice says nothing about others")
        choose_on = fit_on
    devices = find_devices(conditions.device, config, min(config.batch_size, len(fit_on)))
    return _Run(config, prepared, fit_on, choose_on, folder, say, conditions, devices)


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


def _fit(model: AdversarialModel, run: _Run, is_trained: bool) -> RunRecorder:
    """Train all epochs that the checkpoint in the folder, if there is one, has not done.

    A model that `is_trained` already is measured before.
    """
    config, folder = run.config, run.folder
    steps = len(run.fit_on) // run.batch_size
    with run.devices.scope():
        optimizer = build_optimizer(config.optimizer, config.epochs, steps, run.devices.optimizer_class)
        # XLA was slower than plain graphs on the CPU.
        model.compile(optimizer=optimizer, jit_compile=False)
        optimizer.build(model.trainable_variables)
    done = restore(model, folder)
    if done.rows:
        run.say(f"goes on after epoch {len(done.rows)} of {config.epochs}")
    checkpoint = Checkpoint(folder) if run.devices.is_chief else None
    recorder = RunRecorder(folder, _manifest(config, run.prepared), config.patience, checkpoint, done)
    if recorder.has_stopped:
        return recorder
    batches, validation = _open_batches(run, len(done.rows) + 1)
    shared = run.devices.replicas > 1
    validation_steps = len(validation) if shared else None
    try:
        if is_trained and not done.rows:
            before = model.evaluate(run.devices.feed(validation), steps=validation_steps, return_dict=True, verbose=0)
            run.say(f"before training: val Dice {before['dice']:.4f}")
        model.fit(
            run.devices.feed(batches),
            epochs=config.epochs,
            initial_epoch=len(done.rows),
            steps_per_epoch=steps if shared else None,
            validation_data=run.devices.feed(validation),
            validation_steps=validation_steps,
            callbacks=[Clock(batches, config), *_callbacks(run, checkpoint, validation, recorder)],
            verbose=0,
            shuffle=False,
        )
    except KeyboardInterrupt:
        run.say(f"interrupted after {len(recorder.rows)} epochs; to go on: lungmask train --resume {folder}")
        raise
    except Exception as error:
        cause = batches.failure or validation.failure or _explained(error, run)
        if cause:
            raise cause from error
        raise
    return recorder


def _explained(error: Exception, run: _Run) -> UsageError | None:
    """What a user can do about an error of the backend; None where that is not known."""
    if "RESOURCE_EXHAUSTED" in str(error) or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError"):
        return UsageError(
            f"there is no memory for batches of {run.batch_size} images of {run.config.image_size} pixels",
            "Try a smaller --batch-size or --image-size, or --precision mixed_bfloat16.",
        )
    if type(error).__name__ in ("UnavailableError", "AbortedError"):
        return UsageError(
            "another process of the training was lost",
            f"Stop all, then start each again with: lungmask train --resume {run.folder}",
        )
    return None


def _open_batches(run: _Run, epoch: int) -> tuple[RadiographBatches, RadiographBatches]:
    """Those to train on from that epoch on, and those to validate on."""
    config, memory = run.config, run.conditions.memory_gb
    workers = max(_LEAST_WORKERS, min(_WORKERS, available_cores() // 2))
    batches = RadiographBatches(
        run.prepared,
        run.fit_on,
        config.image_size,
        config.batch_size,
        config.augmentation,
        config.seed,
        epoch,
        memory,
        workers,
        config.contrast,
    )
    if not batches.is_in_memory:
        run.say(f"{len(run.fit_on)} images would take more than {memory:g} GB: they are read again in each epoch")
    validation = RadiographBatches(
        run.prepared,
        run.choose_on,
        config.image_size,
        config.batch_size,
        memory_gb=memory,
        workers=workers,
        contrast=config.contrast,
    )
    return batches, validation


def _callbacks(
    run: _Run, checkpoint: Checkpoint | None, validation: RadiographBatches, recorder: RunRecorder
) -> list[keras.callbacks.Callback]:
    """In the order in which they must see the end of an epoch."""
    averaged = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if run.config.optimizer.ema else []
    if checkpoint is None:
        return [*averaged, recorder]
    strips = ProgressStrips(validation, run.folder, run.config.epochs)
    watched = [strips, Progress(run.config.epochs, run.batch_size), recorder]
    if run.conditions.tensorboard:
        watched.append(keras.callbacks.TensorBoard(run.folder / "tensorboard", write_graph=False))
    return [checkpoint, *averaged, *watched]


def build_optimizer(
    config: OptimizerConfig, epochs: int, steps: int, kind: type[keras.optimizers.Adam] = keras.optimizers.Adam
) -> keras.optimizers.Optimizer:
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
    return kind(rate, beta_1=config.beta_1, name="adam", clipnorm=config.clip_norm or None, **averaging)


def _judge(run: _Run) -> float | None:
    """Complete the manifest of the best weights, and give their mean Dice on the test images."""
    network = load_network(_best(run.folder))
    _add_usual(run, network)
    return _test(run, network)


def _add_usual(run: _Run, network: Network) -> None:
    """Have the manifest of the best weights say what is usual of them, on validation images, for the quality gate."""
    every = math.ceil(len(run.choose_on) / _MOST_DRAWN)  # those of one origin stand together
    drawn = (_draw(network, run.prepared, entry) for entry in run.choose_on[::every])
    usual = measure_baseline((prediction, *split_sides(lungs), dice) for prediction, lungs, dice in drawn)
    if usual:
        told = {name: round(value, 5) for name, value in asdict(usual).items()}
        text = json.dumps({**network.manifest, BASELINE: told}, indent=2)
        write_text(manifest_path(_best(run.folder)), text + "\n")


def _test(run: _Run, network: Network) -> float | None:
    """The mean Dice on the test images at the prepared size, as `lungmask segment` would draw them."""
    entries = run.prepared.of(TEST)
    if not entries:
        return None
    dices = [_draw(network, run.prepared, entry)[-1] for entry in entries]
    rows = ((entry.id, f"{dice:.6f}") for entry, dice in zip(entries, dices, strict=True))
    write_text(run.folder / TEST_DICE, csv_text(("id", "dice"), rows))
    return float(np.mean(dices))


def _draw(network: Network, prepared: PreparedSet, entry: Entry) -> tuple[Prediction, Mask, float]:
    """What it draws on an image of the set, the mask that is made of it, and its Dice."""
    image, mask = read_pair(prepared, entry)
    prediction = predict([network], image)
    lungs = as_mask(prediction)
    return prediction, lungs, overlap(lungs, mask > 0.5).dice


def _best(folder: Path) -> Path:
    return folder / f"{BEST}.weights.h5"


def _describe(model: AdversarialModel, run: _Run) -> str:
    config, devices = run.config, run.devices
    judge = f"{model.discriminator.count_params():,}" if model.discriminator else "no"
    shared = f" ({run.batch_size // devices.replicas} on each of {devices.replicas} devices)"
    return (
        f"preset {config.preset}: generator {config.generator.name} of {model.generator.count_params():,} parameters, "
        f"discriminator of {judge} parameters; {config.image_size} px, {config.epochs} epochs, "
        f"batch {run.batch_size}{shared if devices.replicas > 1 else ''}, "
        f"learning rate {config.optimizer.learning_rate:g}, seed {config.seed}; "
        f"{len(run.fit_on)} train, {len(run.prepared.of(VAL))} val, {len(run.prepared.of(TEST))} test images"
    )


def _manifest(config: TrainConfig, prepared: PreparedSet) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
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


def _write_setup(run: _Run) -> None:
    write_text(run.folder / CONFIG, run.config.to_toml())
    write_text(run.folder / SPLIT, csv_text(("id", "split"), run.prepared.split().items()))


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
    write_json(result.folder / SUMMARY, summary)

"""A training run, from prepared data to a run folder.

RUN/run.json           data, versions and commit, from which `lungmask train --resume RUN` resumes
RUN/checkpoint.npz     the complete training state after the last epoch
RUN/config.toml        the resolved configuration; `lungmask train DATA --config RUN/config.toml` repeats the run
RUN/split.csv          the part that each image belongs to
RUN/metrics.csv        one row per epoch; curves.png plots it, at most every ten seconds and at the end
RUN/best.weights.h5    the epoch with the best validation Dice, with best.json; last.weights.h5 likewise
RUN/test_dice.csv      the Dice of each test image, and of its heart, with the best weights
RUN/summary.json       a summary
"""

import json
import math
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

import lungmask_cli
from lungmask_cli.config import HEART, OptimizerConfig
from lungmask_cli.datasets.prepared import Entry, PreparedSet
from lungmask_cli.datasets.splits import TEST, TRAIN, VAL, hold_out_validation
from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_text, write_json, write_text
from lungmask_cli.imaging.cardiothoracic import measure_ratio
from lungmask_cli.imaging.components import PixelRuns, encode_runs
from lungmask_cli.imaging.sides import split_runs
from lungmask_cli.inference.heart import RATIO_ERROR, measure_ratio_error
from lungmask_cli.inference.quality import BASELINE, measure_baseline
from lungmask_cli.inference.two_pass import Prediction, find_heart, find_lungs, predict
from lungmask_cli.models.load import load_network
from lungmask_cli.models.manifest import BEST, FORMAT, manifest_path, read_weights_manifest
from lungmask_cli.models.network import Network
from lungmask_cli.models.weights import load_model
from lungmask_cli.networks.adversarial import AdversarialModel, build_adversarial_model
from lungmask_cli.networks.backend import Device
from lungmask_cli.processes import available_cores
from lungmask_cli.scoring.overlap import mean_dice, overlap
from lungmask_cli.text import format_cell, format_dice
from lungmask_cli.training.batches import RadiographBatches, count_in_batch
from lungmask_cli.training.callbacks import TOLERANCE, EpochClock, ProgressBar, RunRecorder
from lungmask_cli.training.checkpoint import Checkpoint, TrainingState, restore
from lungmask_cli.training.distribution import SingleDevice, choose_distribution
from lungmask_cli.training.pictures import ProgressStrips
from lungmask_cli.training.plan import (
    CHECKPOINT,
    SUMMARY,
    TEST_DICE,
    RunPlan,
    record_data,
    refuse_other_run,
    write_plan,
)

Report = Callable[[str], None]
CPU = Device("cpu", "default")
# Threads that make batches. With one, Keras lets TensorFlow tune its pipeline, which slept for seconds at the start of
# epochs, an eighth of the time of a long run. With four, a GPU does not wait.
_MIN_WORKERS, _MAX_WORKERS = 2, 4
_BASELINE_IMAGES = 100  # validation images that the baseline of a network is measured on


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Args:
        best_epoch: the epoch of the best weights.
        val_dice: its mean Dice on the validation images; NaN if it is undefined for all of them.
        test_dice: the mean Dice on the test images for which it is defined; NaN if there are none.
        test_count: the number of test images.
        test_undefined: the number of those whose Dice is undefined, because both masks are empty.
        test_heart_dice: the mean Dice of the hearts of the test images; NaN if there are none.
        seconds: how long the run has taken.
    """

    best_epoch: int
    val_dice: float
    test_dice: float
    test_count: int
    test_undefined: int
    test_heart_dice: float
    seconds: float


@dataclass(frozen=True)
class _Run:
    """The plan with everything that is known only when training starts."""

    plan: RunPlan
    prepared: PreparedSet
    train_entries: list[Entry]
    val_entries: list[Entry]
    unlabelled: PreparedSet | None
    counts: tuple[int, int]  # of images with and without masks in each step, on all devices together
    distribution: SingleDevice
    report: Report

    @property
    def batch_size(self) -> int:
        """The number of images in each step."""
        return sum(self.counts)


def train(
    plan: RunPlan,
    prepared: PreparedSet,
    report: Report = print,
    device: Device = CPU,
    unlabelled: PreparedSet | None = None,
) -> RunResult:
    """Train according to `plan` and fill the run folder.

    If several processes train together, as `TF_CONFIG` describes, the first one fills the folder.

    Args:
        plan: the plan of the run. Its folder must not contain another run, unless it is resumed.
        prepared: the data. `val` selects the epoch, `test` is used once, at the end. Without `val`, a fifth of `train`
            is held out; a single training image is also used for validation.
        report: is called with each line for the user.
        device: the device that `choose_device` has chosen.
        unlabelled: radiographs without masks to learn from.

    Raises:
        UsageError: there are no training images, the data of a resumed run have changed, the folder contains a run, or
            one that cannot be resumed, or the devices cannot share the batch.
        ImageError: an image that is read from disk in each epoch has become unreadable.
    """
    run = _start_run(plan, prepared, report, device, unlabelled)
    plan = run.plan
    is_chief = run.distribution.is_chief
    if is_chief and not plan.resume:
        refuse_other_run(plan.folder)
    with _precision_policy(plan.config.precision):
        with run.distribution.scope():
            model = build_adversarial_model(plan.config, run.distribution.model_class, unlabelled is not None)
        if plan.init and not (plan.folder / CHECKPOINT).exists():
            _load_initial_weights(model, Path(plan.init))
        report(_describe(model, run))
        if is_chief and plan.resume:
            record_data(plan)
        elif is_chief:
            write_plan(plan, run.prepared, {"split": run.prepared.split()})
        recorder = _fit(model, run)
    val_dice = recorder.best["val_dice"]
    if recorder.has_fallen:
        report(
            f"validation Dice fell by more than {TOLERANCE} when radiographs without masks were learnt from: the best "
            "weights from before are kept"
        )
    if math.isnan(val_dice):
        report("the Dice of all validation images is undefined: the best epoch is that of the lowest validation loss")
    dices, heart_dices = _evaluate_best_weights(run) if is_chief else ([], [])
    test_count = len(run.prepared.entries_in(TEST))
    (test_dice, undefined), (heart_dice, _) = mean_dice(dices), mean_dice(heart_dices)
    result = RunResult(recorder.best_epoch, val_dice, test_dice, test_count, undefined, heart_dice, recorder.seconds)
    if is_chief:
        _write_summary(plan.folder, result, len(recorder.rows))
    return result


def with_validation(prepared: PreparedSet, seed: int) -> PreparedSet:
    """The set with a fifth of its training images held out for validation, if it has no validation images."""
    return prepared.with_split(hold_out_validation(prepared.split(), seed))


def _start_run(
    plan: RunPlan, prepared: PreparedSet, report: Report, device: Device, unlabelled: PreparedSet | None
) -> _Run:
    prepared = with_validation(prepared, plan.config.seed)
    plan = plan.with_data(prepared, unlabelled)
    prepared = replace(prepared, split_method=plan.split_method)
    train_entries, val_entries = prepared.entries_in(TRAIN), prepared.entries_in(VAL)
    if not train_entries:
        raise UsageError(f"{prepared.folder}: has no images in split train", "Make a split: --split 160/40/40.")
    if not val_entries:
        report("the only training image is also used for validation: its Dice does not hold for other images")
        val_entries = train_entries
    _check_hearts(plan, train_entries, report)
    counts = count_in_batch(plan.config, len(train_entries), unlabelled is not None)
    distribution = choose_distribution(device, plan.config, counts)
    return _Run(plan, prepared, train_entries, val_entries, unlabelled, counts, distribution, report)


def _check_hearts(plan: RunPlan, entries: list[Entry], report: Report) -> None:
    """Refuse to train a new heart output without hearts, and warn of one that is not trained any further."""
    if HEART not in plan.config.structures or any(entry.heart for entry in entries):
        return
    given = read_weights_manifest(Path(plan.init))["config"] if plan.init else {}
    if HEART not in given.get("structures", ()):
        raise UsageError(
            "no training image has a mask of the heart",
            "Leave --heart out, or put hearts into a folder hearts/ beside masks/.",
        )
    report("no training image has a mask of the heart: how hearts are predicted is not trained, and may become worse")


@contextmanager
def _precision_policy(name: str) -> Iterator[None]:
    """Set the precision policy of Keras, and restore the previous one at the end, also after an error."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)


def _load_initial_weights(model: AdversarialModel, weights: Path) -> None:
    """Load weights into the generator, unless they belong to another one.

    From a network of one structure more or less, the weights of those that both have are taken.
    """
    if not weights.is_file():
        raise UsageError(
            f"{weights}: no such file, but the run starts from it",
            "Copy it there with its manifest, or start a new run.",
        )
    try:
        given = load_model(weights).generator
        counts = model.generator.output_shape[-1], given.output_shape[-1]
        pairs = zip(model.generator.get_weights(), given.get_weights(), strict=True)
        model.generator.set_weights([_take_structures(own, other, counts) for own, other in pairs])
    except ValueError as error:
        raise UsageError(
            f"{weights}: belongs to another generator than the one to train", "Leave --preset out."
        ) from error


def _take_structures(weights: NDArray[Any], others: NDArray[Any], counts: tuple[int, int]) -> NDArray[Any]:
    """The other weights; along an axis of structures, of which there are `counts`, those of the structures of both.

    Raises:
        ValueError: the shapes differ otherwise.
    """
    sizes = list(zip(weights.shape, others.shape, strict=True))
    if any(own != other and (own, other) != counts for own, other in sizes):
        raise ValueError(f"weights of shapes {weights.shape} and {others.shape}")
    common = tuple(map(slice, map(min, sizes)))
    taken = weights.copy()
    taken[common] = others[common]
    return taken


def _fit(model: AdversarialModel, run: _Run) -> RunRecorder:
    """Train all epochs that are not in the checkpoint of the folder. Pretrained weights are validated first."""
    plan, config, distribution = run.plan, run.plan.config, run.distribution
    steps = len(run.train_entries) // run.counts[0]
    with distribution.scope():
        optimizer = build_optimizer(config.optimizer, config.epochs, steps, distribution.optimizer_class)
        # XLA was slower than plain graphs on the CPU.
        model.compile(optimizer=optimizer, jit_compile=False)
        optimizer.build(model.trainable_variables)
    state = restore(model, plan.folder)
    if state.rows:
        run.report(f"resuming after epoch {len(state.rows)} of {config.epochs}")
    checkpoint = Checkpoint(plan.folder) if distribution.is_chief else None
    start = config.unlabelled_start if run.unlabelled else None
    recorder = RunRecorder(plan.folder, _weights_manifest(run), config.patience, checkpoint, state, start)
    if recorder.has_stopped:
        return recorder
    batches, validation = _open_batches(run, state)
    is_shared = distribution.replicas > 1
    validation_steps = len(validation) if is_shared else None
    try:
        if plan.init and not state.rows:
            shared = distribution.distribute(validation)
            before = model.evaluate(shared, steps=validation_steps, return_dict=True, verbose=0)
            run.report(f"before training: val Dice {format_dice(float(before['dice']))}")
            if run.unlabelled:
                recorder.keep_initial(model, before)
        model.fit(
            distribution.distribute(batches),
            epochs=config.epochs,
            initial_epoch=len(state.rows),
            steps_per_epoch=steps if is_shared else None,
            validation_data=distribution.distribute(validation),
            validation_steps=validation_steps,
            callbacks=[EpochClock(batches, config), *_callbacks(run, checkpoint, validation, recorder)],
            verbose=0,
            shuffle=False,
        )
    except KeyboardInterrupt:
        run.report(f"interrupted after {len(recorder.rows)} epochs; resume with: lungmask train --resume {plan.folder}")
        raise
    except Exception as error:
        cause = batches.read_error or validation.read_error or _explain_backend_error(error, run)
        if cause:
            raise cause from error
        raise
    return recorder


def _explain_backend_error(error: Exception, run: _Run) -> UsageError | None:
    """What the user can do about an error of the backend; None for unknown errors."""
    if "RESOURCE_EXHAUSTED" in str(error) or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError"):
        return UsageError(
            f"not enough memory for batches of {run.batch_size} images of {run.plan.config.image_size} pixels",
            "Try a smaller --batch-size or --image-size, or --precision mixed_bfloat16.",
        )
    if type(error).__name__ in ("UnavailableError", "AbortedError"):
        return UsageError(
            "another process of the training was lost",
            f"Stop all processes, then start each again with: lungmask train --resume {run.plan.folder}",
        )
    return None


def _open_batches(run: _Run, state: TrainingState) -> tuple[RadiographBatches, RadiographBatches]:
    """The batches for training, from the first unfinished epoch, and for validation."""
    memory = run.plan.memory_gb
    workers = max(_MIN_WORKERS, min(_MAX_WORKERS, available_cores() // 2))
    batches, validation = (
        RadiographBatches(run.prepared, entries, run.plan.config, is_training, memory, workers, unlabelled)
        for entries, is_training, unlabelled in (
            (run.train_entries, True, run.unlabelled),
            (run.val_entries, False, None),
        )
    )
    batches.epoch = len(state.rows) + 1
    if not batches.is_in_memory:
        run.report(f"{len(run.train_entries)} images would take more than {memory:g} GB: read again in each epoch")
    return batches, validation


def _callbacks(
    run: _Run, checkpoint: Checkpoint | None, validation: RadiographBatches, recorder: RunRecorder
) -> list[keras.callbacks.Callback]:
    """The callbacks, in the order in which they must run at the end of an epoch."""
    plan = run.plan
    averaging = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if plan.config.optimizer.ema else []
    if checkpoint is None:
        return [*averaging, recorder]
    strips = ProgressStrips(validation, plan.folder, plan.config.epochs)
    callbacks = [checkpoint, *averaging, strips, ProgressBar(plan.config.epochs, run.batch_size), recorder]
    if plan.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(plan.folder / "tensorboard", write_graph=False))
    return callbacks


def build_optimizer(
    config: OptimizerConfig, epochs: int, steps: int, kind: type[keras.optimizers.Adam] = keras.optimizers.Adam
) -> keras.optimizers.Optimizer:
    """Adam according to `config`, for `epochs` epochs of `steps` steps."""
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
    # If the average spanned more than a sixteenth of a short run, it would still contain weights from its beginning.
    momentum = min(config.ema, 1 - 1 / max(1, epochs * steps / 16))
    averaging = {"use_ema": True, "ema_momentum": momentum} if config.ema else {}
    return kind(rate, beta_1=config.beta_1, name="adam", clipnorm=config.clip_norm or None, **averaging)


def _evaluate_best_weights(run: _Run) -> tuple[list[float], list[float]]:
    """Add the baseline to the manifest of the best weights; measure and write their Dice on the test images.

    Returns that of the lungs of each image, and that of its heart, if the network predicts hearts; NaN if undefined.
    """
    weights = run.plan.folder / f"{BEST}.weights.h5"
    network = load_network(weights)
    _write_baseline(run, network, manifest_path(weights))
    entries = run.prepared.entries_in(TEST)
    if not entries:
        return [], []
    # At the prepared size, as `lungmask segment` does.
    dices, heart_dices = [], []
    for entry in entries:
        prediction, _, dice = _predict_entry(network, run.prepared, entry)
        dices.append(dice)
        if HEART in network.structures:
            heart_dices.append(_measure_heart(prediction, run.prepared, entry))
    columns = ("dice", "heart_dice")[: 1 + bool(heart_dices)]
    cells = ([format_cell(dice, ".6f") for dice in own] for own in (dices, heart_dices)[: len(columns)])
    write_text(
        run.plan.folder / TEST_DICE, csv_text(("id", *columns), zip((e.id for e in entries), *cells, strict=True))
    )
    return dices, heart_dices


def _measure_heart(prediction: Prediction, prepared: PreparedSet, entry: Entry) -> float:
    """The Dice of the heart; NaN where it is not drawn."""
    if not entry.heart:
        return math.nan
    return overlap(find_heart(prediction).paint(), prepared.read_heart(entry) > 0.5).dice


def _write_baseline(run: _Run, network: Network, manifest: Path) -> None:
    """Add the baseline of the network, measured on validation images, to its manifest; the quality check needs it."""
    _write_ratio_error(run, network, manifest)
    every = math.ceil(len(run.val_entries) / _BASELINE_IMAGES)  # images of one data set are consecutive
    predictions = (_predict_entry(network, run.prepared, entry) for entry in run.val_entries[::every])
    defined = ((prediction, lungs, dice) for prediction, lungs, dice in predictions if not math.isnan(dice))
    baseline = measure_baseline((prediction, *split_runs(lungs), dice) for prediction, lungs, dice in defined)
    if baseline:
        values = {name: round(value, 5) for name, value in asdict(baseline).items()}
        _add_to_manifest(manifest, {BASELINE: values})


def _add_to_manifest(manifest: Path, entries: dict[str, Any]) -> None:
    write_json(manifest, {**json.loads(manifest.read_text(encoding="utf-8")), **entries})


def _write_ratio_error(run: _Run, network: Network, manifest: Path) -> None:
    """Add the error of the cardiothoracic ratio on the validation images with a heart, if the network predicts it."""
    if HEART not in network.structures:
        return
    differences = (_ratio_difference(network, run.prepared, entry) for entry in run.val_entries if entry.heart)
    if error := measure_ratio_error(differences):
        values = {name: round(value, 5) for name, value in asdict(error).items()}
        _add_to_manifest(manifest, {RATIO_ERROR: values})


def _ratio_difference(network: Network, prepared: PreparedSet, entry: Entry) -> float:
    """The predicted minus the reference cardiothoracic ratio; NaN if one is undefined."""
    prediction, lungs, _ = _predict_entry(network, prepared, entry)
    _, mask = prepared.read_pair(entry)
    truth = encode_runs(mask > 0.5), encode_runs(prepared.read_heart(entry) > 0.5)
    ratios = [measure_ratio(heart, *split_runs(own)) for own, heart in ((lungs, find_heart(prediction)), truth)]
    one, other = (math.nan if ratio is None else ratio.value for ratio in ratios)
    return one - other


def _predict_entry(network: Network, prepared: PreparedSet, entry: Entry) -> tuple[Prediction, PixelRuns, float]:
    """The prediction for an image of the set, the runs of the lungs in it, and its Dice."""
    image, mask = prepared.read_pair(entry)
    prediction = predict([network], image)
    lungs = find_lungs(prediction)
    return prediction, lungs, overlap(lungs.paint(), mask > 0.5).dice


def _describe(model: AdversarialModel, run: _Run) -> str:
    config, replicas, prepared = run.plan.config, run.distribution.replicas, run.prepared
    discriminator = f"{model.discriminator.count_params():,}" if model.discriminator else "no"
    shared = f" ({run.batch_size // replicas} on each of {replicas} devices)" if replicas > 1 else ""
    others = f" and {len(run.unlabelled.entries)} without masks" if run.unlabelled else ""
    return (
        f"preset {config.preset}: generator {config.generator.name} of {model.generator.count_params():,} parameters, "
        f"discriminator of {discriminator} parameters; {config.image_size} px, {config.epochs} epochs, "
        f"batch {run.batch_size}{shared}, learning rate {config.optimizer.learning_rate:g}, seed {config.seed}; "
        f"{len(run.train_entries)} train{others}, {len(prepared.entries_in(VAL))} val, "
        f"{len(prepared.entries_in(TEST))} test images"
    )


def _weights_manifest(run: _Run) -> dict[str, Any]:
    config, prepared, others = run.plan.config, run.prepared, run.unlabelled
    unlabelled = {"images": len(others.entries), "manifest_sha256": others.manifest_sha256()} if others else None
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
            **({"unlabelled": unlabelled} if unlabelled else {}),
        },
        "seed": config.seed,
        "config": config.as_dict(),
    }


def _write_summary(folder: Path, result: RunResult, epochs: int) -> None:
    summary = {
        "best_epoch": result.best_epoch,
        "val_dice": round(result.val_dice, 6),
        "test_dice": round(result.test_dice, 6),
        "test_images": result.test_count,
        "test_undefined": result.test_undefined,
        "test_heart_dice": round(result.test_heart_dice, 6),
        "epochs": epochs,
        "seconds": round(result.seconds, 1),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    write_json(folder / SUMMARY, summary)

"""What `lungmask train` does: check the plan, open the data, train, and report."""

import importlib.util
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lungmask_cli.cli.terminal import progress, say, say_details, warn, warn_first, warn_grouped
from lungmask_cli.config import NO_CONTRAST, TrainConfig, read_toml
from lungmask_cli.errors import ConfigError, UsageError
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS, find_weights, is_large, read_weights_manifest
from lungmask_cli.networks.backend import Hardware
from lungmask_cli.networks.parts import LOSSES, NO_DISCRIMINATOR, check_parts, find_part
from lungmask_cli.networks.presets import find_preset
from lungmask_cli.text import format_dice, pluralize
from lungmask_cli.training.cluster import read_cluster
from lungmask_cli.training.plan import RunPlan, refuse_other_run

if TYPE_CHECKING:
    from lungmask_cli.datasets.preparation import PrepareOptions
    from lungmask_cli.datasets.prepared import PreparedSet
    from lungmask_cli.networks.backend import Device

_WITH_RESUME = frozenset({"data", "unlabelled", "resume", "jobs", "tensorboard", "show", "quiet", "verbose", "debug"})
_FEW_IMAGES = 100  # for training
_FINE_TUNING_RATE = 0.1  # of the learning rate that the weights were trained with


def refuse_other_options(context: typer.Context) -> None:
    """Refuse options on the command line that a resumed run takes from its folder. A settings file may have them.

    Raises:
        UsageError: there is such an option.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name in _WITH_RESUME:
            continue
        is_off = bool(parameter.secondary_opts) and not context.params[parameter.name or ""]
        name = parameter.secondary_opts[0] if is_off else max(parameter.opts, key=len)
        raise UsageError(
            f"--resume RUN takes everything from the run: {name} cannot be given", "Leave it out, or start a new run."
        )


def check_new_plan(plan: RunPlan) -> None:
    """Check the plan of a new run.

    Raises:
        UsageError: there are no data, options exclude each other, or the folder contains another run.
    """
    cluster = read_cluster()
    if not plan.data:
        raise UsageError("there is nothing to train on", "Give DATA, or --resume RUN to resume a run.")
    if plan.folds and plan.split:
        raise UsageError("--folds makes its own splits of all images", "Leave --split out.")
    if plan.folds and cluster.processes > 1:
        raise UsageError("--folds trains in one process, not several", "Unset TF_CONFIG.")
    if plan.unlabelled:
        check_unlabelled(plan.config)
    if cluster.is_chief:
        refuse_other_run(plan.folder)


def check_unlabelled(config: TrainConfig) -> None:
    """Check that radiographs without masks can be learnt from.

    Raises:
        UsageError: there is no discriminator to learn from them with, or no room for them in batches.
    """
    if config.unlabelled.adversarial and config.discriminator.name == NO_DISCRIMINATOR:
        raise UsageError(
            f"unlabelled.adversarial needs a discriminator, and preset {config.preset} has none",
            "Give --discriminator patch, or a preset that has one: lungmask info presets.",
        )
    if config.batch_size == 1:
        raise UsageError("--unlabelled needs batches of two images or more", "Give --batch-size 4.")


def open_data(plan: RunPlan, jobs: int | None) -> "PreparedSet":
    """Open the data of the run, and prepare them first if necessary.

    Raises:
        UsageError: they are not there, or cannot be prepared.
    """
    from lungmask_cli.datasets.cache import open_or_prepare
    from lungmask_cli.datasets.prepared import is_prepared

    folders = [Path(folder) for folder in plan.data]
    if (plan.labels or plan.threshold) and any(map(is_prepared, folders)):
        raise UsageError(
            f"{folders[0]}: is prepared, so that its masks are no labels or probabilities any more",
            "Give --labels or --threshold to lungmask preprocess.",
        )
    _check_moved(plan, folders, "DATA")
    prepared = open_or_prepare(
        folders, _prepare_options(plan, jobs), plan.split, plan.config.seed, progress("preparing")
    )
    if not plan.resume:
        _warn_of_problems(prepared)
        if prepared.size < plan.config.image_size:
            warn(f"{prepared.folder}: was prepared at {prepared.size} px and is enlarged to {plan.config.image_size}")
        split = f"{plan.folds} folds" if plan.folds else f"split {prepared.split_method}"
        say(f"data: {prepared.layout}, {split}")
    return prepared


def open_unlabelled(plan: RunPlan, labelled: "PreparedSet", jobs: int | None) -> "PreparedSet":
    """Open the radiographs without masks of the run, and prepare them first if necessary.

    Raises:
        UsageError: they are not there, or cannot be prepared.
    """
    from lungmask_cli.datasets.cache import open_or_prepare_unlabelled

    folders = [Path(folder) for folder in plan.unlabelled]
    _check_moved(plan, folders, "--unlabelled FOLDER")
    options = replace(_prepare_options(plan, jobs), size=labelled.size)
    prepared = open_or_prepare_unlabelled(folders, options, labelled, progress("preparing"))
    if not plan.resume:
        _warn_of_problems(prepared)
        say(f"without masks: {pluralize(len(prepared.entries), 'radiograph')}")
    return prepared


def _prepare_options(plan: RunPlan, jobs: int | None) -> "PrepareOptions":
    from lungmask_cli.datasets.preparation import PrepareOptions
    from lungmask_cli.formats.mask_values import make_mask_options
    from lungmask_cli.processes import available_cores

    masks = make_mask_options(plan.labels, plan.threshold, plan.max_pixels)
    return PrepareOptions(plan.size, masks, plan.polarity, jobs=jobs or available_cores())


def _check_moved(plan: RunPlan, folders: list[Path], argument: str) -> None:
    missing = next((folder for folder in folders if not folder.is_dir()), None)
    if plan.resume and missing:
        raise UsageError(
            f"{missing}: no such folder, but {plan.folder} was started with its data",
            f"Say where they are now: lungmask train {argument} --resume {plan.folder}",
        )


def _warn_of_problems(prepared: "PreparedSet") -> None:
    warn_first(prepared.problems, f"see problems in {prepared.folder / 'dataset.json'}")
    warn_grouped((entry.id, entry.warnings) for entry in prepared.entries)


def run_plan(plan: RunPlan, prepared: "PreparedSet", unlabelled: "PreparedSet | None" = None) -> None:
    """Train, and report the result.

    Raises:
        UsageError: a package or the device is not available, or the folder is not writable.
    """
    from lungmask_cli.files import check_writable
    from lungmask_cli.networks.backend import choose_device

    if plan.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs TensorBoard", 'Install it: pip install "lungmask-cli[tensorboard]"')
    cluster = read_cluster()
    device = choose_device(plan.hardware)
    say(f"device: {device.kind} ({device.reason})")
    for line in plan.config.to_toml().splitlines():
        say_details(line)
    if cluster.is_chief:
        check_writable(plan.folder)
    else:
        say(f"process {cluster.process} of {cluster.processes}: process 0 writes the run")
    result = (_cross_validate if plan.folds else _train_once)(plan, prepared, device, unlabelled)
    if cluster.is_chief:
        say(result)
        typer.echo(plan.folder)
        if not plan.folds:
            say(f"Next: lungmask segment RADIOGRAPHS -o masks --weights {plan.folder}")


def _train_once(plan: RunPlan, prepared: "PreparedSet", device: "Device", unlabelled: "PreparedSet | None") -> str:
    """Train, and describe the result."""
    from lungmask_cli.datasets.splits import TRAIN
    from lungmask_cli.training.run import train, with_validation

    images = len(with_validation(prepared, plan.config.seed).entries_in(TRAIN))
    if images <= _FEW_IMAGES and not plan.init and not plan.resume:
        few = pluralize(images, "training image")
        say(f"Hint: {few} may be too few; --init {DEFAULT_WEIGHTS} starts from the shipped weights")
    result = train(plan, prepared, say, device, unlabelled)
    _write_onnx(plan.folder)
    tested = _describe_dice(result.test_dice, result.test_count, result.test_undefined)
    test = f"test {tested}" if result.test_count else "no test images"
    test += "" if math.isnan(result.test_heart_dice) else f", their hearts {format_dice(result.test_heart_dice)}"
    val = f"val Dice {format_dice(result.val_dice)}"
    return f"best epoch {result.best_epoch}: {val}, {test}; {result.seconds / 60:.1f} minutes"


def _write_onnx(run: Path) -> None:
    """Write the best weights as an ONNX file as well, which `lungmask segment` uses on CPUs, unless they are large."""
    import keras

    from lungmask_cli.models.onnx_file import write_onnx

    weights = find_weights(str(run))
    if read_cluster().is_chief and keras.backend.backend() == "tensorflow" and not is_large(weights):
        write_onnx(weights)


def _describe_dice(mean: float, images: int, undefined: int) -> str:
    """The mean Dice of the images for which it is defined, and the number of the others."""
    if images and images == undefined:
        return f"Dice undefined on {pluralize(images, 'image')}: both masks are empty"
    others = f", undefined on {undefined} with two empty masks" if undefined else ""
    return f"Dice {format_dice(mean)} on {pluralize(images - undefined, 'image')}{others}"


def _cross_validate(plan: RunPlan, prepared: "PreparedSet", device: "Device", unlabelled: "PreparedSet | None") -> str:
    """Train all folds, and describe the result."""
    from lungmask_cli.training.folds import train_folds

    result = train_folds(plan, prepared, say, device, unlabelled)
    return (
        f"{plan.folds} folds: {_describe_dice(result.test_dice, result.images, result.undefined)}, each tested by "
        "weights that were not trained on it; "
        f"means of the folds {format_dice(result.lowest)} to {format_dice(result.highest)}; "
        f"{result.seconds / 60:.1f} minutes"
    )


def draw_batch(prepared: "PreparedSet", unlabelled: "PreparedSet | None", config: TrainConfig, path: Path) -> None:
    """Draw augmented training images, before contrast normalisation, into a picture.

    Radiographs without masks take the share of the columns that they have of batches.

    Raises:
        UsageError: there are no training images.
    """
    from lungmask_cli.datasets.splits import TRAIN
    from lungmask_cli.formats.png import write_picture
    from lungmask_cli.networks.backend import choose_device

    choose_device(Hardware("cpu"))

    from lungmask_cli.training.batches import RadiographBatches, count_in_batch
    from lungmask_cli.training.pictures import COLUMNS, draw_augmentations

    config = config.merged({"contrast": NO_CONTRAST})
    _, others = count_in_batch(config.merged({"batch_size": COLUMNS}), COLUMNS, unlabelled is not None)
    pairs = []
    for one, count in ((prepared, COLUMNS - others), (unlabelled, others)):
        entries = one.entries_in(TRAIN)[:count] if one else []
        if one and not entries:
            raise UsageError(f"{one.folder}: has no images in split train", "Make a split: --split 160/40/40.")
        pairs += RadiographBatches(one, entries, config).first_pairs(count) if one and count else []
    write_picture(path, draw_augmentations(pairs, config.augmentation, config.seed))
    typer.echo(path)


def parse_losses(text: str) -> dict[str, float]:
    """Parse `NAME=WEIGHT,...`; a name alone has weight 1.

    Raises:
        ConfigError: a weight is not a number, or a name is unknown or occurs twice.
    """
    terms: dict[str, float] = {}
    for term in text.split(","):
        name, _, weight = (part.strip() for part in term.partition("="))
        find_part("loss", name, LOSSES)
        if name in terms:
            raise ConfigError(f"--loss {text}: names {name} twice")
        try:
            terms[name] = float(weight or 1)
        except ValueError as error:
            raise ConfigError(
                f"--loss {text}: {weight!r} is not a number", "For example: dice=1,cross_entropy=0.5."
            ) from error
    return terms


def resolve_config(
    preset: str | None, file: Path | None, flags: dict[str, Any], init: str | None = None
) -> TrainConfig:
    """Resolve the configuration: defaults < preset, or the recipe of the initial weights < TOML file < flags.

    The preset is that of the flag, or that of the file, or that of the initial weights with a tenth of their learning
    rate, or `compact`.

    Args:
        preset: the flag `--preset`.
        file: a TOML file.
        flags: the values of other flags by configuration key, such as `optimizer.learning_rate`; None if not given.
        init: the weights to start from.

    Raises:
        ConfigError: an unknown preset, part or key, or a value out of range.
        UsageError: there are no such weights.
    """
    settings = read_toml(file) if file else {}
    given: dict[str, Any] = {}
    for key, value in flags.items():
        table, _, name = key.rpartition(".")
        if value is not None:
            (given.setdefault(table, {}) if table else given)[name] = value
    name = preset or settings.get("preset", "" if init else "compact")
    if not isinstance(name, str):
        raise ConfigError(f"{file}: preset must be a name, not {name!r}")
    if name:
        return check_parts(find_preset(name).config.merged({**settings, "preset": name}).merged(given))
    assert init is not None
    base = TrainConfig().merged(read_weights_manifest(find_weights(init))["config"])
    slower = {"optimizer": {"learning_rate": base.optimizer.learning_rate * _FINE_TUNING_RATE}}
    return check_parts(base.merged(slower).merged(settings).merged(given))


def next_run_folder(preset: str) -> Path:
    """The first of runs/PRESET-1, runs/PRESET-2, ... that does not exist."""
    folders = (Path("runs", f"{preset}-{number}") for number in itertools.count(1))
    return next(folder for folder in folders if not folder.exists())

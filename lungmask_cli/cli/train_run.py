"""A training run from the command line: what it begins or goes on with, and what is said of it."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lungmask_cli.cli.terminal import list_some, mention, progress, say, warn, warn_of_all
from lungmask_cli.config import TrainConfig, read_toml
from lungmask_cli.errors import ConfigError, UsageError
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS, find_weights, read_weights_manifest
from lungmask_cli.networks.backend import Hardware
from lungmask_cli.networks.parts import LOSSES, check_parts, find_part
from lungmask_cli.networks.presets import find_preset
from lungmask_cli.text import pluralize
from lungmask_cli.training.cluster import Cluster, read_cluster
from lungmask_cli.training.plan import CONFIG, SPLIT, Record, Source, read_record, refuse_other_run

if TYPE_CHECKING:
    from lungmask_cli.datasets.prepared import PreparedSet
    from lungmask_cli.training.run import Conditions

# The size that prepared sets have by default, so that one cached set serves every smaller network.
_PREPARED_SIZE = 512
_FEW = 100  # training images
_FINE_TUNING = 0.1  # of the learning rate that weights were trained with


@dataclass(frozen=True)
class Start:
    """What a run begins with, or `goes_on` with; of a run that begins, the record does not know the data yet."""

    folder: Path
    config: TrainConfig
    split: str | None
    record: Record
    goes_on: bool = False


def source_for(config: TrainConfig, data: Sequence[Path], polarity: bool, max_pixels: int) -> Source:
    """Where the data of a new run come from, and how they are prepared for it."""
    folders = tuple(str(folder.absolute()) for folder in data)
    return Source(folders, max(_PREPARED_SIZE, config.detail), polarity, max_pixels)


def beginning(config: TrainConfig, output: Path | None, split: str | None, record: Record) -> Start:
    """A new run.

    Raises:
        UsageError: it lacks data, what was asked for does not go together, or there is a run in its folder.
    """
    start = Start(output or _next_run_folder(config.preset), config, split, record)
    _check_start(start, read_cluster())
    return start


def train_from(start: Start, prepared: "PreparedSet", tensorboard: bool) -> None:
    """Train, and say what comes of it.

    Raises:
        UsageError: a package or the device is not there, or the folder cannot be written to.
    """
    from lungmask_cli.files import check_writable
    from lungmask_cli.networks.backend import choose_device

    _check_tensorboard(tensorboard)
    cluster = read_cluster()
    chosen = choose_device(start.record.hardware)
    say(f"device: {chosen.kind} ({chosen.reason})")
    for line in start.config.to_toml().splitlines():
        mention(line)
    if cluster.is_chief:
        check_writable(start.folder)
    else:
        say(f"process {cluster.process} of {cluster.processes}: process 0 writes the run")

    from lungmask_cli.training.run import Conditions

    conditions = Conditions(chosen, start.record.memory_gb, tensorboard)
    said = (_cross_validate if start.record.folds else _train_once)(start, prepared, conditions)
    if cluster.is_chief:
        say(said)
        typer.echo(start.folder)
        if not start.record.folds:
            say(f"Next: lungmask segment RADIOGRAPHS -o masks --weights {start.folder}")


def _train_once(start: Start, prepared: "PreparedSet", conditions: "Conditions") -> str:
    """Train, and say what was reached."""
    from lungmask_cli.datasets.splits import TRAIN
    from lungmask_cli.training.run import train as run
    from lungmask_cli.training.run import with_validation

    prepared = with_validation(prepared, start.config.seed)
    record = _recorded(start, prepared)
    prepared = replace(prepared, split_method=record.split_method)
    init = Path(record.init) if record.init else None
    images = len(prepared.of(TRAIN))
    if images <= _FEW and not init and not start.goes_on:
        few = pluralize(images, "training image")
        say(f"Hint: {few} may be too few; --init {DEFAULT_WEIGHTS} starts with the weights that ship")
    result = run(start.config, prepared, start.folder, say, record, start.goes_on, init, conditions)
    test = (
        "no test images"
        if result.test_dice is None
        else f"test Dice {result.test_dice:.4f} on {pluralize(result.test_count, 'image')}"
    )
    return f"best epoch {result.best_epoch}: val Dice {result.val_dice:.4f}, {test}; {result.seconds / 60:.1f} minutes"


def _cross_validate(start: Start, prepared: "PreparedSet", conditions: "Conditions") -> str:
    """Train all folds, and say what was reached."""
    from lungmask_cli.training.folds import train_folds, with_folds

    folds = with_folds(prepared, start.record.folds, start.config.seed)
    record = _recorded(start, folds[0])
    init = Path(record.init) if record.init else None
    result = train_folds(start.config, folds, start.folder, say, record, start.goes_on, init, conditions)
    return (
        f"{len(folds)} folds: Dice {result.test_dice:.4f} on {result.images} images, each by weights that have not "
        f"seen it; means of the folds {result.lowest:.4f} to {result.highest:.4f}; {result.seconds / 60:.1f} minutes"
    )


def show_batch(prepared: "PreparedSet", config: TrainConfig, path: Path) -> None:
    """Draw changed training images into a picture."""
    from lungmask_cli.datasets.splits import TRAIN
    from lungmask_cli.formats.png import write_picture
    from lungmask_cli.networks.backend import choose_device

    choose_device(Hardware("cpu"))

    from lungmask_cli.training.batches import RadiographBatches
    from lungmask_cli.training.pictures import COLUMNS, draw_changes

    entries = prepared.of(TRAIN)[:COLUMNS]
    if not entries:
        raise UsageError(f"{prepared.folder}: has no images in split train", "Make a split: --split 160/40/40.")
    pairs = RadiographBatches(prepared, entries, config.image_size, 1).first(COLUMNS)
    write_picture(path, draw_changes(pairs, config.augmentation, config.seed))
    typer.echo(path)


def _check_tensorboard(wanted: bool) -> None:
    if wanted and importlib.util.find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs TensorBoard", 'Install it: pip install "lungmask-cli[tensorboard]"')


def refuse_others(given: Sequence[object]) -> None:
    """A run that goes on takes nothing else.

    Raises:
        UsageError: one of these is not None and not empty.
    """
    if any(value is not None and value != [] for value in given):
        raise UsageError("--resume RUN takes everything from the run", "Leave all else out, or start a new run.")


def _check_start(start: Start, cluster: Cluster) -> None:
    if not start.record.source.data:
        raise UsageError("there is nothing to train on", "Give DATA, or --resume RUN to go on with a run.")
    if start.record.folds and start.split:
        raise UsageError("--folds draws its own splits, from all images", "Leave --split out.")
    if start.record.folds and cluster.processes > 1:
        raise UsageError("--folds trains in one process, not several", "Unset TF_CONFIG.")
    if cluster.is_chief:
        refuse_other_run(start.folder)


def resumed(folder: Path) -> Start:
    """The run in the folder, to go on with."""
    record = read_record(folder)
    changes = read_toml(folder / CONFIG)
    resolved = find_preset(str(changes.get("preset"))).config.merged(changes)
    return Start(folder, resolved, None if record.folds else f"{folder / SPLIT}:split", record, goes_on=True)


def open_data(start: Start, jobs: int | None) -> "PreparedSet":
    """The prepared set of the run, which may have to be prepared first."""
    from lungmask_cli.datasets.cache import open_or_prepare
    from lungmask_cli.datasets.preparation import Preparation
    from lungmask_cli.processes import available_cores

    source = start.record.source
    how = Preparation(source.size, source.max_pixels, source.polarity, jobs=jobs or available_cores())
    folders = [Path(folder) for folder in source.data]
    prepared = open_or_prepare(folders, how, start.split, start.config.seed, progress("preparing"))
    if not start.goes_on:
        list_some(prepared.problems, f"see problems in {prepared.folder / 'dataset.json'}")
        warn_of_all((entry.id, entry.warnings) for entry in prepared.entries)
        if prepared.size < start.config.image_size:
            warn(f"{prepared.folder}: was prepared at {prepared.size} px and is enlarged to {start.config.image_size}")
        split = f"{start.record.folds} folds" if start.record.folds else f"split {prepared.split_method}"
        say(f"data: {prepared.layout}, {split}")
    return prepared


def _recorded(start: Start, prepared: "PreparedSet") -> Record:
    """The record, with the data where the run begins; where it goes on, the data must be as recorded.

    Raises:
        UsageError: they are others.
    """
    found = prepared.manifest_sha256()
    if not start.goes_on:
        return replace(start.record, split_method=prepared.split_method, manifest_sha256=found)
    if found != start.record.manifest_sha256:
        raise UsageError(
            f"{start.folder}: its data have changed since it was started", "Bring them back, or start a new run."
        )
    return start.record


def parse_losses(text: str) -> dict[str, float]:
    """The weights in `NAME=WEIGHT,...`; a name alone has weight 1.

    Raises:
        ConfigError: a weight is no number, or a name is unknown or comes twice.
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
            raise ConfigError(f"--loss {text}: {weight!r} is no number", "Such as dice=1,cross_entropy=0.5.") from error
    return terms


def resolve_config(
    preset: str | None, file: Path | None, flags: dict[str, Any], init: str | None = None
) -> TrainConfig:
    """Defaults < preset, or the recipe of the weights to start from < TOML file < flags.

    The preset is the flag's, else the file's, else `compact`; weights to start from bring theirs, with a tenth of the
    learning rate, if none is asked for. Flags are keys, with a dot before those of a table; None is not given.

    Raises:
        ConfigError: an unknown preset, part or key, or a value out of range.
        UsageError: there are no such weights to start from.
    """
    changes = read_toml(file) if file else {}
    given: dict[str, Any] = {}
    for key, value in flags.items():
        table, _, name = key.rpartition(".")
        if value is not None:
            (given.setdefault(table, {}) if table else given)[name] = value
    name = preset or changes.get("preset", "" if init else "compact")
    if not isinstance(name, str):
        raise ConfigError(f"{file}: preset must be a name, not {name!r}")
    if name:
        return check_parts(find_preset(name).config.merged({**changes, "preset": name}).merged(given))
    assert init is not None
    base = TrainConfig().merged(read_weights_manifest(find_weights(init))["config"])
    slow = {"optimizer": {"learning_rate": base.optimizer.learning_rate * _FINE_TUNING}}
    return check_parts(base.merged(slow).merged(changes).merged(given))


def _next_run_folder(preset: str) -> Path:
    number = 1
    while Path("runs", f"{preset}-{number}").exists():
        number += 1
    return Path("runs", f"{preset}-{number}")

"""`lungmask train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lungmask_cli.cli.options import Jobs, MaxPixels, Polarity
from lungmask_cli.cli.terminal import list_some, progress, say, warn, warn_of_all
from lungmask_cli.config import MAX_PIXELS, TrainConfig, read_toml
from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.presets import PRESETS, find_preset

_PRESET_HELP = "; ".join(f"[bold]{name}[/bold]: {preset.summary}" for name, preset in PRESETS.items())
# The size that prepared sets have by default, so that one cached set serves every smaller network.
_PREPARED_SIZE = 512


def train(
    data: Annotated[
        list[Path],
        typer.Argument(help="A prepared set, or folders that `lungmask preprocess` accepts.", metavar="DATA..."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder. Default: runs/PRESET-N.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help=f"The recipe. {_PRESET_HELP}. Default: compact.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file laid over the preset, such as the config.toml of a run.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the network's input in pixels.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How often each image is shown.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Adam's (largest) learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order, augmentation and a drawn split.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="TRAIN/VAL/TEST shares, or a CSV file with a column of train, val, test: FILE.csv:COLUMN."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    jobs: Jobs = None,
    polarity: Polarity = True,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Train a generator against its discriminator, and measure it on the test images."""
    flags = {"image_size": image_size, "epochs": epochs, "batch_size": batch_size, "seed": seed}
    resolved = resolve_config(preset, config, flags, learning_rate)
    folder = output or _next_run_folder(resolved.preset)

    from lungmask_cli.datasets.cache import open_or_prepare
    from lungmask_cli.datasets.preparation import Preparation
    from lungmask_cli.imaging.radiograph import ReadOptions
    from lungmask_cli.imaging.write import check_writable
    from lungmask_cli.networks.backend import choose_device
    from lungmask_cli.processes import available_cores

    size = max(_PREPARED_SIZE, resolved.image_size)
    how = Preparation(size, ReadOptions(max_pixels), polarity, jobs=jobs or available_cores())
    prepared = open_or_prepare(data, how, split, resolved.seed, progress("preparing"))
    list_some(prepared.problems, f"see problems in {prepared.folder / 'dataset.json'}")
    warn_of_all((entry.id, entry.warnings) for entry in prepared.entries)
    if prepared.size < resolved.image_size:
        warn(f"{prepared.folder}: was prepared at {prepared.size} px and is enlarged to {resolved.image_size}")
    say(f"data: {prepared.layout}, split {prepared.split_method}")
    chosen = choose_device(device)
    say(f"device: {chosen.kind} ({chosen.reason})")
    check_writable(folder)

    from lungmask_cli.training.run import train as run

    result = run(resolved, prepared, folder, say)
    test = (
        "no test images"
        if result.test_dice is None
        else f"test Dice {result.test_dice:.4f} on {result.test_count} images"
    )
    say(f"best epoch {result.best_epoch}: val Dice {result.val_dice:.4f}, {test}; {result.seconds / 60:.1f} minutes")
    typer.echo(result.folder)


def resolve_config(
    preset: str | None, file: Path | None, flags: dict[str, Any], learning_rate: float | None
) -> TrainConfig:
    """Defaults < preset < TOML file < flags; the preset is the flag's, else the file's, else `compact`.

    Raises:
        ConfigError: an unknown preset or key, or a value out of range.
    """
    changes = read_toml(file) if file else {}
    name = preset or changes.get("preset", "compact")
    if not isinstance(name, str):
        raise ConfigError(f"{file}: preset must be a name, not {name!r}")
    given = {key: value for key, value in flags.items() if value is not None}
    if learning_rate is not None:
        given["optimizer"] = {"learning_rate": learning_rate}
    return find_preset(name).config.merged({**changes, "preset": name}).merged(given)


def _next_run_folder(preset: str) -> Path:
    number = 1
    while Path("runs", f"{preset}-{number}").exists():
        number += 1
    return Path("runs", f"{preset}-{number}")

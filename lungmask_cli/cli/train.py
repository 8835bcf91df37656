"""`lungmask train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lungmask_cli.cli.options import HARDWARE, Device, Jobs, MaxPixels, Polarity
from lungmask_cli.cli.train_run import (
    beginning,
    open_data,
    parse_losses,
    refuse_others,
    resolve_config,
    resumed,
    show_batch,
    source_for,
    train_from,
)
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.models.manifest import find_weights
from lungmask_cli.networks.backend import Hardware
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS, LOSSES, Part
from lungmask_cli.networks.presets import PRESETS
from lungmask_cli.training.plan import Record

_RUN, _RECIPE, _PARTS, _IMAGES = "The run", "The recipe", "Other parts", "The images"
_MEMORY = 4.0


def _explained(parts: dict[str, Part]) -> str:
    return "; ".join(f"{name}: {part.summary}" for name, part in parts.items())


_PRESET_HELP = f"{', '.join(PRESETS)}: lungmask info says what they are. Default: compact."

Data = Annotated[
    list[Path] | None,
    typer.Argument(
        help="A prepared set, or folders that `lungmask preprocess` accepts.", metavar="DATA...", show_default=False
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The run folder. Default: runs/PRESET-N.", metavar="RUN", rich_help_panel=_RUN),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        help="Go on with the run in this folder, after its last finished epoch.", metavar="RUN", rich_help_panel=_RUN
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        help="Cross-validate: this many runs, each tested on another part of the images.",
        metavar="K",
        rich_help_panel=_RUN,
    ),
]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write logs for TensorBoard.", rich_help_panel=_RUN)
]
ShowBatch = Annotated[
    Path | None,
    typer.Option(
        "--show-batch",
        help="Draw changed training images, each change alone and all together, and stop.",
        metavar="FILE.png",
        rich_help_panel=_RUN,
    ),
]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help=_PRESET_HELP, metavar="NAME", rich_help_panel=_RECIPE),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="A TOML file laid over the preset, such as the config.toml of a run.",
        metavar="FILE.toml",
        rich_help_panel=_RECIPE,
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        help="Start from these weights (a name that ships, a file, a run) with their recipe, and a tenth of its "
        "learning rate.",
        metavar="WEIGHTS",
        rich_help_panel=_RECIPE,
    ),
]
Generator = Annotated[
    str | None,
    typer.Option(help=f"Another network that draws. {_explained(GENERATORS)}.", metavar="NAME", rich_help_panel=_PARTS),
]
Discriminator = Annotated[
    str | None,
    typer.Option(
        help=f"Another adversary. {_explained(DISCRIMINATORS)}; none: the generator is trained alone.",
        metavar="NAME",
        rich_help_panel=_PARTS,
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        help="Other losses that compare the masks, and their weights, such as dice=1,cross_entropy=0.5. "
        f"{_explained(LOSSES)}.",
        metavar="NAME=WEIGHT,...",
        rich_help_panel=_PARTS,
    ),
]
AdversarialWeight = Annotated[
    float | None,
    typer.Option(
        help="Of fooling the discriminator, beside the other losses.", metavar="WEIGHT", rich_help_panel=_PARTS
    ),
]
ImageSize = Annotated[int | None, typer.Option(help="Side of the network's input in pixels.", rich_help_panel=_RECIPE)]
Epochs = Annotated[int | None, typer.Option(help="How often each image is shown.", rich_help_panel=_RECIPE)]
BatchSize = Annotated[int | None, typer.Option(help="Images per step.", rich_help_panel=_RECIPE)]
LearningRate = Annotated[float | None, typer.Option(help="Adam's (largest) learning rate.", rich_help_panel=_RECIPE)]
Seed = Annotated[
    int | None, typer.Option(help="Of weights, order, augmentation and a drawn split.", rich_help_panel=_RECIPE)
]
Patience = Annotated[
    int | None,
    typer.Option(
        help="End after so many epochs without a better validation Dice. Default: never.", rich_help_panel=_RECIPE
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help="float32, mixed_bfloat16 or mixed_float16. Default: float32.", rich_help_panel=HARDWARE),
]
Split = Annotated[
    str | None,
    typer.Option(
        help="TRAIN/VAL/TEST shares, or a CSV file with a column of train, val, test: FILE.csv:COLUMN.",
        rich_help_panel=_IMAGES,
    ),
]
Devices = Annotated[
    int,
    typer.Option(
        help="GPUs of this machine that share each batch. Of several machines: see TF_CONFIG.", rich_help_panel=HARDWARE
    ),
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic", help="The same weights each time on a GPU, too, if more slowly.", rich_help_panel=HARDWARE
    ),
]
Memory = Annotated[
    float,
    typer.Option(
        help="Images that would take more are read in each epoch.", metavar="GB", min=0, rich_help_panel=HARDWARE
    ),
]


def train(
    data: Data = None,
    output: Output = None,
    resume: Resume = None,
    preset: PresetName = None,
    config: Config = None,
    init: Init = None,
    image_size: ImageSize = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
    patience: Patience = None,
    generator: Generator = None,
    discriminator: Discriminator = None,
    loss: Loss = None,
    adversarial_weight: AdversarialWeight = None,
    split: Split = None,
    folds: Folds = None,
    polarity: Polarity = True,
    max_pixels: MaxPixels = MAX_PIXELS,
    device: Device = "auto",
    devices: Devices = 1,
    deterministic: Deterministic = False,
    precision: Precision = None,
    memory: Memory = _MEMORY,
    jobs: Jobs = None,
    tensorboard: Tensorboard = False,
    show: ShowBatch = None,
) -> None:
    """Train a generator against its discriminator, and measure it on the test images.

    A run that was interrupted or killed goes on with --resume RUN and no other argument, as if nothing had happened.
    """
    flags: dict[str, Any] = {"image_size": image_size, "epochs": epochs, "batch_size": batch_size, "seed": seed}
    flags |= {"patience": patience, "precision": precision, "optimizer.learning_rate": learning_rate}
    flags |= {"generator.name": generator, "discriminator.name": discriminator}
    flags |= {"loss.terms": parse_losses(loss) if loss else None, "loss.adversarial": adversarial_weight}
    hardware = Hardware(device, devices, deterministic)
    if resume:
        others = hardware != Hardware() or memory != _MEMORY or None
        refuse_others([data, output, init, preset, config, split, folds, others, *flags.values()])
        start = resumed(resume)
    else:
        resolved = resolve_config(preset, config, flags, init)
        source = source_for(resolved, data or [], polarity, max_pixels)
        base = str(find_weights(init).absolute()) if init else ""
        record = Record(source=source, hardware=hardware, init=base, memory_gb=memory, folds=folds or 0)
        start = beginning(resolved, output, split, record)
    prepared = open_data(start, jobs)
    if show:
        show_batch(prepared, start.config, show)
        return
    train_from(start, prepared, tensorboard)

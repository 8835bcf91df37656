"""`lungmask train`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lungmask_cli.cli.options import HARDWARE, Device, Jobs, MaxPixels, Polarity
from lungmask_cli.cli.train_run import (
    PREPARED_SIZE,
    check_new_plan,
    draw_batch,
    next_run_folder,
    open_data,
    parse_losses,
    refuse_other_options,
    resolve_config,
    run_plan,
)
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.models.manifest import find_weights
from lungmask_cli.networks.backend import Hardware
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS, LOSSES, Part
from lungmask_cli.networks.presets import PRESETS
from lungmask_cli.training.plan import RunPlan, read_plan

_RUN, _RECIPE, _PARTS, _DATA = "Run", "Recipe", "Networks and losses", "Data"


def _describe(parts: dict[str, Part]) -> str:
    return "; ".join(f"[bold]{name}[/bold]: {part.summary}" for name, part in parts.items())


_PRESET_HELP = f"{', '.join(PRESETS)}: see lungmask info presets. Default: compact."

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
        help="Resume the run in this folder after its last finished epoch.", metavar="RUN", rich_help_panel=_RUN
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        help="Cross-validate: this number of runs, each tested on another part of the images.",
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
        help="Plot training images with each augmentation separately and all combined, and stop.",
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
        help="A TOML file whose settings override the preset, such as the config.toml of a run.",
        metavar="FILE.toml",
        rich_help_panel=_RECIPE,
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        help="Start from these weights (a shipped name, a file, a run) with their recipe and a tenth of their "
        "learning rate.",
        metavar="WEIGHTS",
        rich_help_panel=_RECIPE,
    ),
]
Generator = Annotated[
    str | None,
    typer.Option(
        help=f"Another generator, the network that predicts masks. {_describe(GENERATORS)}.",
        metavar="NAME",
        rich_help_panel=_PARTS,
    ),
]
Discriminator = Annotated[
    str | None,
    typer.Option(
        help=f"Another discriminator. {_describe(DISCRIMINATORS)}; none: the generator is trained alone.",
        metavar="NAME",
        rich_help_panel=_PARTS,
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        help="Other losses between predicted and reference mask, with weights, such as dice=1,cross_entropy=0.5. "
        f"{_describe(LOSSES)}.",
        metavar="NAME=WEIGHT,...",
        rich_help_panel=_PARTS,
    ),
]
AdversarialWeight = Annotated[
    float | None,
    typer.Option(
        help="The weight of the adversarial loss, beside the other losses.", metavar="WEIGHT", rich_help_panel=_PARTS
    ),
]
ImageSize = Annotated[int | None, typer.Option(help="Side of the network's input in pixels.", rich_help_panel=_RECIPE)]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training images.", rich_help_panel=_RECIPE)]
BatchSize = Annotated[int | None, typer.Option(help="Images per step.", rich_help_panel=_RECIPE)]
LearningRate = Annotated[
    float | None, typer.Option(help="The (highest) learning rate of Adam.", rich_help_panel=_RECIPE)
]
Seed = Annotated[
    int | None, typer.Option(help="Seed of weights, order, augmentation and a random split.", rich_help_panel=_RECIPE)
]
Patience = Annotated[
    int | None,
    typer.Option(
        help="Stop after this number of epochs without a better validation Dice. Default: never.",
        rich_help_panel=_RECIPE,
    ),
]
Precision = Annotated[
    Literal["float32", "mixed_bfloat16", "mixed_float16"] | None,
    typer.Option(help="Precision of the computations. Default: float32.", rich_help_panel=HARDWARE),
]
Split = Annotated[
    str | None,
    typer.Option(
        help="TRAIN/VAL/TEST ratios, or a CSV file with a column of train, val, test: FILE.csv:COLUMN.",
        rich_help_panel=_DATA,
    ),
]
Devices = Annotated[
    int,
    typer.Option(
        help="GPUs of this machine that share each batch. For several machines, see TF_CONFIG.",
        rich_help_panel=HARDWARE,
    ),
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic", help="Reproducible weights on a GPU, too, but slower training.", rich_help_panel=HARDWARE
    ),
]
Memory = Annotated[
    float,
    typer.Option(
        help="Images that would take more memory are read from disk in each epoch.",
        metavar="GB",
        min=0,
        rich_help_panel=HARDWARE,
    ),
]


def train(
    context: typer.Context,
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
    memory: Memory = RunPlan.memory_gb,
    jobs: Jobs = None,
    tensorboard: Tensorboard = False,
    show: ShowBatch = None,
) -> None:
    """Train a generator against its discriminator, and measure it on the test images.

    To resume an interrupted run, give --resume RUN and no other option. The results are the same as without the
    interruption.
    """
    if resume:
        refuse_other_options(context)
        plan = read_plan(resume)
    else:
        flags: dict[str, Any] = {"image_size": image_size, "epochs": epochs, "batch_size": batch_size, "seed": seed}
        flags |= {"patience": patience, "precision": precision, "optimizer.learning_rate": learning_rate}
        flags |= {"generator.name": generator, "discriminator.name": discriminator}
        flags |= {"loss.terms": parse_losses(loss) if loss else None, "loss.adversarial": adversarial_weight}
        resolved = resolve_config(preset, config, flags, init)
        plan = RunPlan(
            config=resolved,
            folder=output or next_run_folder(resolved.preset),
            data=tuple(str(folder.absolute()) for folder in data or []),
            size=max(PREPARED_SIZE, resolved.detail),
            correct_polarity=polarity,
            max_pixels=max_pixels,
            split=split,
            folds=folds or 0,
            init=str(find_weights(init).absolute()) if init else "",
            hardware=Hardware(device=device, devices=devices, deterministic=deterministic),
            memory_gb=memory,
        )
        check_new_plan(plan)
    prepared = open_data(plan, jobs)
    if show:
        draw_batch(prepared, plan.config, show)
    else:
        run_plan(replace(plan, tensorboard=tensorboard), prepared)

"""`lungmask train`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lungmask_cli.cli.options import HARDWARE, Device, Jobs, Labels, MaxPixels, Polarity, Threshold, option
from lungmask_cli.cli.train_run import (
    check_new_plan,
    draw_batch,
    next_run_folder,
    open_data,
    open_unlabelled,
    parse_losses,
    refuse_other_options,
    resolve_config,
    run_plan,
)
from lungmask_cli.config import HEART, LUNGS, MAX_PIXELS
from lungmask_cli.models.manifest import find_weights
from lungmask_cli.networks.backend import Hardware
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS, LOSSES, Part
from lungmask_cli.networks.presets import PRESETS
from lungmask_cli.training.plan import RunPlan, read_plan

# The configuration key of each flag that changes one.
_CONFIG_KEYS = {
    **{name: name for name in ("image_size", "epochs", "batch_size", "seed", "patience", "precision")},
    "learning_rate": "optimizer.learning_rate",
    "generator": "generator.name",
    "discriminator": "discriminator.name",
    "adversarial_weight": "loss.adversarial",
    "unlabelled_share": "unlabelled.share",
}
_DATA_OPTIONS = ("polarity", "max_pixels", "labels", "threshold", "split")  # as they are in the plan
_RUN, _RECIPE, _PARTS, _DATA = "Run", "Recipe", "Networks and losses", "Data"


def _describe(parts: dict[str, Part]) -> str:
    return "; ".join(f"{name}: {part.summary}" for name, part in parts.items())


Data = Annotated[
    list[Path] | None,
    typer.Argument(
        help="A prepared set, or folders that `lungmask preprocess` accepts.", metavar="DATA...", show_default=False
    ),
]
Output = Annotated[
    Path | None, option(_RUN, "The run folder. Default: runs/PRESET-N.", "--output", "-o", metavar="RUN")
]
Resume = Annotated[
    Path | None, option(_RUN, "Resume the run in this folder after its last finished epoch.", metavar="RUN")
]
Folds = Annotated[
    int | None,
    option(_RUN, "Cross-validate: this number of runs, each tested on another part of the images.", metavar="K"),
]
Tensorboard = Annotated[bool, option(_RUN, "Also write logs for TensorBoard.", "--tensorboard")]
ShowBatch = Annotated[
    Path | None,
    option(
        _RUN,
        "Plot training images with each augmentation separately and all combined, and stop.",
        "--show-batch",
        metavar="FILE.png",
    ),
]
PresetName = Annotated[
    str | None,
    option(_RECIPE, f"{', '.join(PRESETS)}: see lungmask info presets. Default: compact.", "--preset", metavar="NAME"),
]
Config = Annotated[
    Path | None,
    option(
        _RECIPE,
        "A TOML file whose settings override the preset, such as the config.toml of a run.",
        metavar="FILE.toml",
    ),
]
Init = Annotated[
    str | None,
    option(
        _RECIPE,
        "Start from these weights (a shipped name, file or run) with their recipe and a tenth of their learning rate.",
        metavar="WEIGHTS",
    ),
]
ImageSize = Annotated[int | None, option(_RECIPE, "Side of the network's input in pixels.")]
Epochs = Annotated[int | None, option(_RECIPE, "Passes over the training images.")]
BatchSize = Annotated[int | None, option(_RECIPE, "Images per step.")]
LearningRate = Annotated[float | None, option(_RECIPE, "The (highest) learning rate of Adam.")]
Seed = Annotated[int | None, option(_RECIPE, "Seed of weights, order, augmentation and a random split.")]
Patience = Annotated[
    int | None, option(_RECIPE, "Stop after this number of epochs without a better validation Dice. Default: never.")
]
Generator = Annotated[
    str | None,
    option(_PARTS, f"Another generator, the network that predicts masks. {_describe(GENERATORS)}.", metavar="NAME"),
]
Discriminator = Annotated[
    str | None,
    option(
        _PARTS,
        f"Another discriminator. {_describe(DISCRIMINATORS)}; none: the generator is trained alone.",
        metavar="NAME",
    ),
]
Loss = Annotated[
    str | None,
    option(
        _PARTS,
        "Other losses between predicted and reference mask, with weights, such as dice=1,cross_entropy=0.5. "
        f"{_describe(LOSSES)}.",
        metavar="NAME=WEIGHT,...",
    ),
]
Heart = Annotated[
    bool | None,
    option(
        _PARTS,
        "Predict the heart, too, beside the lungs. Images without a mask of the heart train the lungs alone.",
        "--heart/--no-heart",
    ),
]
AdversarialWeight = Annotated[
    float | None, option(_PARTS, "The weight of the adversarial loss, beside the other losses.", metavar="WEIGHT")
]
Split = Annotated[
    str | None,
    option(_DATA, "TRAIN/VAL/TEST ratios, or a CSV file with a column of train, val, test: FILE.csv:COLUMN."),
]
Unlabelled = Annotated[
    list[Path] | None,
    option(
        _DATA,
        "Also learn from the radiographs in this folder, for which there are no masks. May be repeated.",
        metavar="FOLDER",
    ),
]
UnlabelledShare = Annotated[
    float | None, option(_DATA, "The share of each batch that comes from --unlabelled. Default: 0.5.", metavar="SHARE")
]
Devices = Annotated[
    int, option(HARDWARE, "GPUs of this machine that share each batch. For several machines, see TF_CONFIG.")
]
Deterministic = Annotated[
    bool, option(HARDWARE, "Reproducible weights on a GPU, too, but slower training.", "--deterministic")
]
Precision = Annotated[
    Literal["float32", "mixed_bfloat16", "mixed_float16"] | None,
    option(HARDWARE, "Precision of the computations. Default: float32."),
]
Memory = Annotated[
    float, option(HARDWARE, "Images that would take more memory are read from disk in each epoch.", metavar="GB", min=0)
]


def _config_changes(context: typer.Context) -> dict[str, Any]:
    changes = {key: context.params[name] for name, key in _CONFIG_KEYS.items()}
    if (heart := context.params["heart"]) is not None:
        changes["structures"] = [LUNGS, HEART] if heart else [LUNGS]
    return {**changes, "loss.terms": parse_losses(context.params["loss"]) if context.params["loss"] else None}


def _absolute(folders: list[Path] | None) -> tuple[str, ...]:
    return tuple(str(folder.absolute()) for folder in folders or [])


def _new_plan(context: typer.Context, folders: tuple[str, ...]) -> RunPlan:
    """The plan of a new run on the data in these folders."""
    given = context.params
    resolved = resolve_config(given["preset"], given["config"], _config_changes(context), given["init"])
    return RunPlan(
        resolved,
        given["output"] or next_run_folder(resolved.preset),
        folders,
        unlabelled=_absolute(given["unlabelled"]),
        size=max(RunPlan.size, resolved.detail),  # one prepared set in the cache serves all smaller networks
        **{name: given[name] for name in _DATA_OPTIONS},
        folds=given["folds"] or 0,
        init=str(find_weights(given["init"]).absolute()) if given["init"] else "",
        hardware=Hardware(given["device"], given["devices"], given["deterministic"]),
        memory_gb=given["memory"],
    )


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
    heart: Heart = None,
    unlabelled: Unlabelled = None,
    unlabelled_share: UnlabelledShare = None,
    split: Split = None,
    folds: Folds = None,
    polarity: Polarity = True,
    max_pixels: MaxPixels = MAX_PIXELS,
    labels: Labels = None,
    threshold: Threshold = None,
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

    To resume an interrupted run, with the same results, give --resume RUN alone, or with DATA if they have moved.
    """
    folders = _absolute(data)
    if resume:
        refuse_other_options(context)
        plan = read_plan(resume, folders, _absolute(unlabelled))
    else:
        plan = _new_plan(context, folders)
        check_new_plan(plan)
    prepared = open_data(plan, jobs)
    others = open_unlabelled(plan, prepared, jobs) if plan.unlabelled else None
    if show:
        draw_batch(prepared, others, plan.config, show)
    else:
        run_plan(replace(plan, tensorboard=tensorboard), prepared, others)

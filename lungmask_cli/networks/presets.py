"""The presets of `lungmask train`: one registry that feeds the command line, the docs and the benchmarks.

It imports no Keras, so that listing presets costs nothing.
"""

import difflib
from dataclasses import dataclass

from lungmask_cli.config import (
    AugmentationConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)
from lungmask_cli.errors import ConfigError


@dataclass(frozen=True)
class Preset:
    """A named training recipe.

    Args:
        config: the complete configuration.
        summary: one line for `--help`.
        source: where the recipe comes from, and what in it is our own choice.
    """

    config: TrainConfig
    summary: str
    source: str


_PAPER = TrainConfig(
    preset="paper",
    image_size=512,
    epochs=40,
    batch_size=3,
    generator=GeneratorConfig(name="pix2pix", filters=32, max_filters=256, levels=8, normalization="batch"),
    discriminator=DiscriminatorConfig(name="patch", filters=32, normalization="batch"),
    loss=LossConfig(adversarial=1.0, l1=100.0),
    optimizer=OptimizerConfig(
        learning_rate=2e-4, beta_1=0.5, schedule="constant", warmup_epochs=0.0, clip_norm=0.0, ema=0.0
    ),
)

PRESETS: dict[str, Preset] = {
    "paper": Preset(
        summary="the published GAN U-Net: 512 px, batch 3, 40 epochs, Adam 2e-4 / 0.5, batch normalisation",
        source=(
            "Lung segmentation of chest radiographs with a GAN U-Net (reported Dice 0.9778 on JSRT, 160/40/40). "
            "Stated there: U-Net generator without noise, patch discriminator of six layers on (radiograph, "
            "mask), 4 x 4 kernels, stride 2, batch normalisation, ReLU, binary cross-entropy, Adam 2e-4 with "
            "decay 0.5, 40 epochs, batch 3, 512 x 512. Not stated, so ours: the generator is pix2pix's (eight "
            "levels, 4 x 4 kernels, stride 2, LeakyReLU 0.2 down and ReLU up) without dropout, since dropout is "
            "pix2pix's noise; 32 filters at the first level of both networks, half of pix2pix's, so that a laptop"
            " can train them; 100 x L1 beside the adversarial loss, as in pix2pix; weights from N(0, 0.02); "
            "moving statistics of momentum 0.9; no augmentation."
        ),
        config=_PAPER,
    ),
    "paper-stable": Preset(
        summary="paper, made to stop swinging: smoothed labels, falling learning rate, clipping, averaged weights",
        source=(
            "The preset paper with what keeps its validation Dice from swinging (docs/explanation/results.md): the "
            "real label smoothed to 0.9, one epoch of warm-up and a cosine learning rate, gradients clipped at norm 1, "
            "and an exponential average of the weights (momentum 0.99), which is validated and saved. Networks, losses "
            "and batch normalisation are unchanged; with group normalisation it fell into empty masks."
        ),
        config=_PAPER.merged(
            {
                "preset": "paper-stable",
                "loss": {"real_label": 0.9},
                "optimizer": {"schedule": "cosine", "warmup_epochs": 1.0, "clip_norm": 1.0, "ema": 0.99},
            }
        ),
    ),
    "compact": Preset(
        summary="2.7 million parameters, 256 px, made for two CPU cores: group normalisation, augmentation",
        source=(
            "This project. A U-Net with two 3 x 3 convolutions a level, six levels, so that it sees the whole "
            "chest, and group normalisation, which does not depend on the batch; Dice and cross-entropy, with the"
            " adversary at a hundredth of their weight and its real label smoothed to 0.9; cosine learning rate; "
            "an exponential average of the weights is validated and saved."
        ),
        config=TrainConfig(
            preset="compact",
            image_size=256,
            epochs=80,
            batch_size=8,
            generator=GeneratorConfig(name="unet", filters=16, max_filters=160, levels=6, normalization="group"),
            discriminator=DiscriminatorConfig(name="patch", filters=16, normalization="group"),
            loss=LossConfig(adversarial=0.01, cross_entropy=1.0, dice=1.0, real_label=0.9),
            optimizer=OptimizerConfig(
                learning_rate=1e-3, beta_1=0.9, schedule="cosine", warmup_epochs=2.0, clip_norm=1.0, ema=0.99
            ),
            augmentation=AugmentationConfig(
                rotation_degrees=15.0,
                scale=0.3,
                aspect=0.12,
                shift=0.1,
                shear_degrees=5.0,
                elastic=0.02,
                gamma=0.6,
                contrast=0.4,
                brightness=0.12,
                noise=0.04,
                blur=0.008,
                flip_probability=0.1,
                border_probability=0.25,
                label_probability=0.2,
                opacity_probability=0.6,
            ),
        ),
    ),
}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ConfigError: there is none; the nearest name is given.
    """
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
    raise ConfigError(f"there is no preset named {name!r}", f"Did you mean {near}? Known: {', '.join(PRESETS)}.")

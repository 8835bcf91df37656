"""The presets of `lungmask train`: one registry for the command line, the docs and the benchmarks.

This module does not import Keras, so listing the presets is fast.
"""

from dataclasses import asdict, dataclass, replace

from lungmask_cli.config import (
    CLAHE,
    AugmentationConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)
from lungmask_cli.errors import ConfigError, suggest


@dataclass(frozen=True)
class Preset:
    """A named training recipe.

    Args:
        config: the complete configuration.
        summary: one line for `lungmask info presets`.
        source: the publication or reasoning behind the recipe, and which parts are our own choice.
        reported_dice: the lung Dice on JSRT in the paper's table; None if the system is not in it.
    """

    config: TrainConfig
    summary: str
    source: str
    reported_dice: float | None = None


# For published systems whose optimiser is unknown or outdated: settings that train each of these networks well, so that
# the comparison does not depend on the choice of optimiser.
_STEADY = OptimizerConfig(learning_rate=1e-3, beta_1=0.9, schedule="cosine", warmup_epochs=1.0, clip_norm=1.0, ema=0.99)
_OUR_OPTIMIZER = "Adam with a cosine learning rate, clipping and averaged weights, batch {batch}"


_MILD = AugmentationConfig(
    rotation_degrees=5.0,
    scale=0.1,
    aspect=0.04,
    shift=0.05,
    shear_degrees=2.0,
    elastic=0.01,
    gamma=0.2,
    contrast=0.2,
    brightness=0.05,
    noise=0.01,
)

_PAPER = TrainConfig(
    preset="paper",
    image_size=512,
    epochs=40,
    batch_size=3,
    generator=GeneratorConfig(name="pix2pix", filters=32, max_filters=256, levels=8, normalization="batch"),
    discriminator=DiscriminatorConfig(name="patch", filters=32, normalization="batch"),
    loss=LossConfig(terms={"l1": 100.0}, adversarial=1.0),
    optimizer=OptimizerConfig(
        learning_rate=2e-4, beta_1=0.5, schedule="constant", warmup_epochs=0.0, clip_norm=0.0, ema=0.0
    ),
)

_COMPACT = TrainConfig(
    preset="compact",
    image_size=256,
    epochs=80,
    batch_size=8,
    generator=GeneratorConfig(name="unet", filters=16, max_filters=160, levels=6, normalization="group"),
    discriminator=DiscriminatorConfig(name="patch", filters=16, normalization="group"),
    loss=LossConfig(terms={"cross_entropy": 1.0, "dice": 1.0}, adversarial=0.01, real_label=0.9),
    optimizer=replace(_STEADY, warmup_epochs=2.0),
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
)

_COMPACT_ROBUST = replace(
    _COMPACT,
    preset="compact-robust",
    epochs=60,
    batch_size=4,
    discriminator=DiscriminatorConfig(name="none"),
    augmentation=AugmentationConfig(
        rotation_degrees=12.0,
        scale=0.2,
        aspect=0.08,
        shift=0.08,
        shear_degrees=4.0,
        elastic=0.015,
        gamma=0.4,
        contrast=0.3,
        brightness=0.08,
        noise=0.03,
        blur=0.005,
        border_probability=0.25,
        label_probability=0.2,
        opacity_probability=0.3,
    ),
)

_COMPACT_FAST = _COMPACT_ROBUST.merged(
    {"preset": "compact-fast", "generator": {"name": "residual-unet", "filters": 16, "max_filters": 128, "levels": 6}}
)

_COMPACT_ZOOM = _COMPACT_FAST.merged(
    {
        "preset": "compact-zoom",
        "image_size": 384,
        "epochs": 40,
        "batch_size": 1,
        "zoom": True,
        "augmentation": {"effusion_probability": 0.25},
    }
)

_COMPACT_MANY = _COMPACT_ZOOM.merged(
    {
        "preset": "compact-many",
        "image_size": 256,
        "epochs": 12,
        "batch_size": 8,
        "balance": 0.5,
        "generator": {"normalization": "batch"},
        "optimizer": {"learning_rate": 2e-3, "warmup_epochs": 0.5},
    }
)

_COMPACT_TINY = _COMPACT_MANY.merged(
    {
        "preset": "compact-tiny",
        "image_size": 192,
        "epochs": 24,
        "generator": {"filters": 8, "max_filters": 64},
    }
)

PRESETS: dict[str, Preset] = {
    "unet": Preset(
        summary="U-Net of 31 million parameters, no adversary (Ronneberger et al. 2015)",
        source=(
            "Ronneberger et al. 2015 (arXiv:1505.04597). Assumed, not checked against the source: 64 to 1024 filters "
            "on five levels, two 3 x 3 convolutions on each, no normalisation, cross-entropy, and augmentation by "
            "shifts, rotations, grey values and elastic deformation. Our choices: the padding; no loss weights for "
            "borders between touching cells, which do not occur in lungs; the strength of the augmentation; "
            f"{_OUR_OPTIMIZER.format(batch=4)}, instead of SGD with momentum 0.99 and batch 1."
        ),
        config=TrainConfig(
            preset="unet",
            image_size=512,
            epochs=40,
            batch_size=4,
            generator=GeneratorConfig(name="unet", filters=64, max_filters=1024, levels=5, normalization="none"),
            discriminator=DiscriminatorConfig(name="none"),
            loss=LossConfig(terms={"cross_entropy": 1.0}),
            optimizer=replace(_STEADY, learning_rate=1e-4),
            augmentation=AugmentationConfig(rotation_degrees=5.0, shift=0.05, brightness=0.05, elastic=0.02),
        ),
    ),
    "fcn": Preset(
        summary="FCN-8s on VGG16, 134 million parameters, from scratch (Long et al. 2015)",
        source=(
            "Long et al. 2015 (arXiv:1411.4038). Assumed, not checked against the source: the thirteen convolutions of "
            "VGG16, two convolutions of 4096 filters, and the sum of the scores at strides 32, 16 and 8. The paper's "
            "reference [20] reports a Dice of 0.96. Our choices: training from scratch, with batch normalisation "
            "instead of pre-trained weights and dropout; bilinear upsampling throughout; "
            f"{_OUR_OPTIMIZER.format(batch=8)}, instead of SGD."
        ),
        config=TrainConfig(
            preset="fcn",
            image_size=512,
            epochs=40,
            batch_size=8,
            generator=GeneratorConfig(name="fcn", filters=64, max_filters=512, levels=5, normalization="batch"),
            discriminator=DiscriminatorConfig(name="none"),
            loss=LossConfig(terms={"cross_entropy": 1.0}),
            optimizer=replace(_STEADY, learning_rate=3e-4),
        ),
        reported_dice=0.96,
    ),
    "scan": Preset(
        summary="Structure Correcting Adversarial Network, 0.27 million parameters (Dai et al. 2018)",
        source=(
            "Dai et al. 2018 (arXiv:1703.08770), following two re-implementations that agree on the layers: residual "
            "blocks, a critic of the same blocks, and a generator that is first trained alone. Assumed: cross-entropy "
            "plus a hundredth of the adversarial loss, and average pooling. Our choices: one class, the lungs, instead "
            "of both lungs, heart and background; 512 px instead of 400; the generator alone for three quarters of the "
            f"epochs, instead of about 350 of an unknown number; {_OUR_OPTIMIZER.format(batch=8)}."
        ),
        config=TrainConfig(
            preset="scan",
            image_size=512,
            epochs=40,
            batch_size=8,
            generator=GeneratorConfig(name="scan", filters=8, max_filters=64, levels=5, normalization="batch"),
            discriminator=DiscriminatorConfig(name="scan", filters=8, normalization="batch"),
            loss=LossConfig(terms={"cross_entropy": 1.0}, adversarial=0.01, pretraining=0.75),
            optimizer=replace(_STEADY, learning_rate=2e-3),
        ),
        reported_dice=0.97,
    ),
    "slgan": Preset(
        summary="the paper's generator with four discriminators, based on an idea of Munawar et al. 2020",
        source=(
            "Munawar et al. 2020 (arXiv:2009.05752), of which we know only the abstract: a generator and four "
            "discriminators, D1 to D4. The rest is our own design: the generator, losses and optimiser of the preset "
            "paper, and four patch discriminators with equal weight that see the image at four scales, from full size "
            "to an eighth of it."
        ),
        config=_PAPER.merged({"preset": "slgan", "discriminator": {"name": "four-scales"}}),
        reported_dice=0.974,
    ),
    "adv-attn": Preset(
        summary="attention U-Net with SCAN's critic, on images enhanced by CLAHE (Gaal et al. 2020)",
        source=(
            "Gaal et al. 2020 (arXiv:2003.10304): an attention U-Net (Oktay et al. 2018) and an adversarial critic. "
            "Assumed: CLAHE, 512 px, focal Tversky loss, a critic like SCAN's. Our choices: 32 filters at the first of "
            "five levels; batch normalisation; alpha 0.7 and gamma 4/3 in the loss, as its authors use; a weight of a "
            f"hundredth for the adversarial loss; {_OUR_OPTIMIZER.format(batch=8)}."
        ),
        config=TrainConfig(
            preset="adv-attn",
            image_size=512,
            epochs=40,
            batch_size=8,
            contrast=CLAHE,
            generator=GeneratorConfig(
                name="attention-unet", filters=32, max_filters=512, levels=5, normalization="batch"
            ),
            discriminator=DiscriminatorConfig(name="scan", filters=8, normalization="batch"),
            loss=LossConfig(terms={"focal_tversky": 1.0}, adversarial=0.01),
            optimizer=_STEADY,
        ),
        reported_dice=0.976,
    ),
    "paper": Preset(
        summary="the published GAN U-Net: 512 px, batch 3, 40 epochs, Adam 2e-4 / 0.5, batch normalisation",
        source=(
            "Lung segmentation of chest radiographs with a GAN U-Net (reported Dice 0.9778 on JSRT, 160/40/40). "
            "Stated in the paper: U-Net generator without noise, patch discriminator of six layers on (radiograph, "
            "mask), 4 x 4 kernels, stride 2, batch normalisation, ReLU, binary cross-entropy, Adam 2e-4 with "
            "decay 0.5, 40 epochs, batch 3, 512 x 512. Not stated, so our choices: the generator is that of pix2pix "
            "(eight levels, 4 x 4 kernels, stride 2, LeakyReLU 0.2 in the encoder and ReLU in the decoder) without "
            "dropout, because dropout is the noise of pix2pix; 32 filters at the first level of both networks, half "
            "of pix2pix's, so that a laptop can train them; 100 x L1 in addition to the adversarial loss, as in "
            "pix2pix; initial weights from N(0, 0.02); moving statistics with momentum 0.9; no augmentation."
        ),
        config=_PAPER,
        reported_dice=0.9778,
    ),
    "paper-stable": Preset(
        summary="paper, stabilised: smoothed labels, decaying learning rate, gradient clipping, averaged weights",
        source=(
            "The preset paper with four changes that keep its validation Dice from fluctuating "
            "(docs/explanation/results.md): the real label smoothed to 0.9, one epoch of warm-up and a cosine learning "
            "rate, gradients clipped at norm 1, and an exponential moving average of the weights (momentum 0.99), "
            "which is validated and saved. Networks, losses and batch normalisation are unchanged; with group "
            "normalisation the generator collapsed to empty masks."
        ),
        config=_PAPER.merged(
            {
                "preset": "paper-stable",
                "loss": {"real_label": 0.9},
                "optimizer": {"schedule": "cosine", "warmup_epochs": 1.0, "clip_norm": 1.0, "ema": 0.99},
            }
        ),
    ),
    "paper-best": Preset(
        summary="paper with what validation prefers: augmentation, cross-entropy, cosine schedule, averaged weights",
        source=(
            "This project. The preset paper with those choices that the paper leaves open and validation prefers "
            "(docs/explanation/method.md): the augmentations of compact-mild, 100 x cross-entropy instead of L1, a "
            "cosine learning rate, and an exponential moving average of the weights. Networks, adversarial loss, "
            "batches, epochs and initial learning rate are the paper's."
        ),
        config=_PAPER.merged(
            {
                "preset": "paper-best",
                "loss": {"terms": {"cross_entropy": 100.0}},
                "optimizer": {"schedule": "cosine", "ema": 0.99},
                "augmentation": asdict(_MILD),
            }
        ),
    ),
    "compact": Preset(
        summary="2.7 million parameters, 256 px, designed for two CPU cores: group normalisation, augmentation",
        source=(
            "This project. A U-Net with two 3 x 3 convolutions per level, six levels, so that it sees the whole chest, "
            "and group normalisation, which does not depend on the batch; Dice and cross-entropy, with the adversarial "
            "loss at a hundredth of their weight and the real label smoothed to 0.9; cosine learning rate; an "
            "exponential moving average of the weights, which is validated and saved."
        ),
        config=_COMPACT,
    ),
    "compact-mild": Preset(
        summary="compact with mild augmentation, for radiographs similar to the training images",
        source=(
            "This project. The preset compact with batch 4 and augmentation about a third as strong, without painted "
            "opacities, borders and labels. Better on radiographs from the same source in half the epochs, worse on "
            "Montgomery (docs/explanation/table-1.md)."
        ),
        config=replace(
            _COMPACT,
            preset="compact-mild",
            epochs=40,
            batch_size=4,
            augmentation=_MILD,
        ),
    ),
    "compact-robust": Preset(
        summary="compact without an adversary, batch 4, weaker augmentation, more training steps",
        source=(
            "This project. The preset compact with batch 4, without an adversary, which brought no improvement, and "
            "with augmentation about two thirds as strong, without flips. After 60 epochs this was best on the "
            "validation images, both original and corrupted (docs/explanation/recipe.md)."
        ),
        config=_COMPACT_ROBUST,
    ),
    "compact-fast": Preset(
        summary="compact-robust with residual blocks: 2.2 million parameters, a third of the time per step and mask",
        source=(
            "This project. The recipe of compact-robust with the generator residual-unet: its residual blocks start at "
            "half the resolution, which avoids the costly convolutions at full resolution."
        ),
        config=_COMPACT_FAST,
    ),
    "compact-zoom": Preset(
        summary="two passes at 384 px: localization on the whole radiograph, refinement on the square around the lungs",
        source=(
            "This project. Trained like compact-fast, but at 384 px, with single images instead of batches, which "
            "learns more from each image, and with fluid painted into the lungs. However much surrounds the lungs, the "
            "refinement pass sees them at the same size and in more detail (docs/explanation/recipe.md)."
        ),
        config=_COMPACT_ZOOM,
    ),
    "compact-many": Preset(
        summary="compact-zoom for thousands of radiographs: 256 px, batch normalisation, batches of 8",
        source=(
            "This project. Trained like compact-zoom, but with batch normalisation, which is faster and needs batches, "
            "and with small data sets shown more often (docs/explanation/recipe.md)."
        ),
        config=_COMPACT_MANY,
    ),
    "compact-tiny": Preset(
        summary="compact-many at 192 px, with half the filters: 0.6 million parameters, for speed",
        source=(
            "This project. Trained like compact-many, but for twice as many epochs, with 8 filters at the first level "
            "and an input of 192 px."
        ),
        config=_COMPACT_TINY,
    ),
}


def find_preset(name: str) -> Preset:
    """The preset with this name.

    Raises:
        ConfigError: no preset has this name; the message suggests the nearest one.
    """
    if name in PRESETS:
        return PRESETS[name]
    raise ConfigError(f"there is no preset named {name!r}", suggest(name, PRESETS))

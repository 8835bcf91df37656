"""U-Net, and the structure that its variants share."""

from collections.abc import Callable

import keras
from keras import KerasTensor, layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.blocks import convolution_block, level_widths, require_multiple


def unet(config: GeneratorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """U-Net with "same" padding.

    With 64 filters, five levels and no normalisation it has the published 31 million parameters.
    Source: Ronneberger et al. 2015 (arXiv:1505.04597), figure 1; the normalisation and `max_filters` are ours.

    Raises:
        ConfigError: the image cannot be halved once for each level but the last.
    """
    return unet_with(lambda skip, gate, width: skip, "unet", config, shape, structures)


def unet_with(
    process_skip: Callable[[KerasTensor, KerasTensor, int], KerasTensor],
    name: str,
    config: GeneratorConfig,
    shape: tuple[int, int],
    structures: int,
) -> keras.Model:
    """A U-Net whose skips pass through `process_skip`.

    That function takes the skip (B, 2h, 2w, C), the coarser level (B, h, w, D) and the number of filters.

    Raises:
        ConfigError: the image cannot be halved once for each level but the last.
    """
    require_multiple(shape, 2 ** (config.levels - 1), f"a U-Net of {config.levels} levels")
    widths = level_widths(config.filters, config.max_filters, config.levels)
    x = inputs = keras.Input((*shape, 1), name="radiograph")
    skips = []
    for width in widths[:-1]:
        x = convolution_block(x, width, config.normalization)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolution_block(x, widths[-1], config.normalization)
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        processed = process_skip(skip, x, width)
        x = layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal")(x)
        x = convolution_block(layers.Concatenate()([processed, x]), width, config.normalization)
    outputs = layers.Conv2D(structures, 1, activation="sigmoid", dtype="float32", name="lungs")(x)
    return keras.Model(inputs, outputs, name=name)

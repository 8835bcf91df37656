"""Generators: radiograph in, lung probability out.

Every builder takes a `GeneratorConfig` and the side S of the square input in pixels and returns a Keras model from
(B, S, S, 1) in [0, 1] to (B, S, S, 1) in [0, 1].
"""

from collections.abc import Callable

import keras
from keras import layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.blocks import (
    convolution_block,
    level_widths,
    normal_initializer,
    normalization,
    unknown_part,
)


def unet(config: GeneratorConfig, image_size: int) -> keras.Model:
    """U-Net with "same" padding.

    Source: Ronneberger et al. 2015 (arXiv:1505.04597), figure 1; the normalisation and a largest width are ours.

    Raises:
        ConfigError: the image cannot be halved once for each level but the last.
    """
    step = 2 ** (config.levels - 1)
    if image_size % step:
        raise ConfigError(
            f"a U-Net of {config.levels} levels needs an image_size that is a multiple of {step}, not {image_size}",
            f"The next one is {-(-image_size // step) * step}.",
        )
    widths = level_widths(config.filters, config.max_filters, config.levels)
    x = inputs = keras.Input((image_size, image_size, 1), name="radiograph")
    skips = []
    for width in widths[:-1]:
        x = convolution_block(x, width, config.normalization)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolution_block(x, widths[-1], config.normalization)
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal")(x)
        x = layers.Concatenate()([skip, x])
        x = convolution_block(x, width, config.normalization)
    outputs = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="lungs")(x)
    return keras.Model(inputs, outputs, name="unet")


def pix2pix(config: GeneratorConfig, image_size: int) -> keras.Model:
    """The encoder-decoder with skips of pix2pix, without its dropout, which is its only source of noise.

    4 x 4 kernels of stride 2 all the way. There are `levels` levels, fewer where the image cannot be halved so often.
    Source: Isola et al. 2017 (arXiv:1611.07004), 6.1.
    """
    halvings = (image_size & -image_size).bit_length() - 1
    levels = min(config.levels, halvings)
    widths = level_widths(config.filters, config.max_filters, levels)
    x = inputs = keras.Input((image_size, image_size, 1), name="radiograph")
    skips = []
    for level, width in enumerate(widths):
        x = layers.Conv2D(width, 4, 2, "same", kernel_initializer=normal_initializer(level))(x)
        if level:  # the first level of pix2pix is not normalised
            x = normalization(config.normalization, width)(x)
        x = layers.LeakyReLU(0.2)(x)
        skips.append(x)
    for level in reversed(range(levels - 1)):
        start = normal_initializer(levels + level)
        x = layers.Conv2DTranspose(widths[level], 4, 2, "same", kernel_initializer=start)(x)
        x = layers.ReLU()(normalization(config.normalization, widths[level])(x))
        x = layers.Concatenate()([x, skips[level]])
    x = layers.Conv2DTranspose(1, 4, 2, "same", kernel_initializer=normal_initializer(2 * levels))(x)
    outputs = layers.Activation("sigmoid", dtype="float32", name="lungs")(x)
    return keras.Model(inputs, outputs, name="pix2pix")


GENERATORS: dict[str, Callable[[GeneratorConfig, int], keras.Model]] = {"unet": unet, "pix2pix": pix2pix}


def build_generator(config: GeneratorConfig, image_size: int) -> keras.Model:
    """The generator that `config` names, for square inputs of `image_size` pixels.

    Raises:
        ConfigError: no generator or normalisation has that name.
    """
    if config.name not in GENERATORS:
        raise unknown_part("generator", config.name, tuple(GENERATORS))
    return GENERATORS[config.name](config, image_size)

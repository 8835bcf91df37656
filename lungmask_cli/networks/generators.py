"""Generators: radiograph in, lung probability out.

Every builder takes a `GeneratorConfig` and the side S of the square input in pixels and returns a Keras model from
(B, S, S, 1) in [0, 1] to (B, S, S, 1) in [0, 1].
"""

import math
from collections.abc import Callable

import keras
from keras import layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.blocks import convolution_block, normal_initializer, normalization, unknown_part


def unet(config: GeneratorConfig, image_size: int) -> keras.Model:
    """U-Net with "same" padding: `levels` levels, `filters` at the first, doubled at each further one.

    Source: Ronneberger et al. 2015 (arXiv:1505.04597), figure 1; the normalisation is ours.
    """
    x = inputs = keras.Input((image_size, image_size, 1), name="radiograph")
    skips = []
    for level in range(config.levels - 1):
        x = convolution_block(x, config.filters * 2**level, config.normalization)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolution_block(x, config.filters * 2 ** (config.levels - 1), config.normalization)
    for level in reversed(range(config.levels - 1)):
        x = layers.Conv2DTranspose(config.filters * 2**level, 2, strides=2, kernel_initializer="he_normal")(x)
        x = layers.Concatenate()([skips[level], x])
        x = convolution_block(x, config.filters * 2**level, config.normalization)
    outputs = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="lungs")(x)
    return keras.Model(inputs, outputs, name="unet")


def pix2pix(config: GeneratorConfig, image_size: int) -> keras.Model:
    """The encoder-decoder with skips of pix2pix, without its dropout, which is its only source of noise.

    4 x 4 kernels of stride 2 all the way; `filters` at the first level, doubled up to eight times that. There are
    `levels` levels, fewer where the image is too small for them. Source: Isola et al. 2017 (arXiv:1611.07004), 6.1.
    """
    levels = min(config.levels, int(math.log2(image_size)))
    widths = [config.filters * min(2**level, 8) for level in range(levels)]
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

"""The generator of pix2pix, taken as that of the paper."""

import keras
from keras import layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.blocks import level_widths, normal_initializer, normalization, require_multiple


def pix2pix(config: GeneratorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """The encoder-decoder with skips of pix2pix, without its dropout, which is its only source of noise.

    All kernels are 4 x 4 with stride 2. There are `levels` levels, or fewer if the image cannot be halved as often.
    Source: Isola et al. 2017 (arXiv:1611.07004), section 6.1.

    Raises:
        ConfigError: the image cannot be halved at all.
    """
    require_multiple(shape, 2, "a pix2pix generator")
    levels = min(config.levels, *((side & -side).bit_length() - 1 for side in shape))
    widths = level_widths(config.filters, config.max_filters, levels)
    x = inputs = keras.Input((*shape, 1), name="radiograph")
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
    x = layers.Conv2DTranspose(structures, 4, 2, "same", kernel_initializer=normal_initializer(2 * levels))(x)
    outputs = layers.Activation("sigmoid", dtype="float32", name="lungs")(x)
    return keras.Model(inputs, outputs, name="pix2pix")

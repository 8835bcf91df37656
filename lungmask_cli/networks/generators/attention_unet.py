"""U-Net with attention gates on its skips."""

import keras
from keras import KerasTensor, layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.blocks import convolution_block, level_widths, require_multiple


def attention_unet(config: GeneratorConfig, shape: tuple[int, int]) -> keras.Model:
    """U-Net whose skips are weighted, pixel by pixel, by what the coarser level attends to.

    Source: Oktay et al. 2018 (arXiv:1804.03999), figures 1 and 2, in two dimensions and without its deep supervision.

    Raises:
        ConfigError: the image cannot be halved once for each level but the last.
    """
    require_multiple(shape, 2 ** (config.levels - 1), f"an attention U-Net of {config.levels} levels")
    widths = level_widths(config.filters, config.max_filters, config.levels)
    x = inputs = keras.Input((*shape, 1), name="radiograph")
    skips = []
    for width in widths[:-1]:
        x = convolution_block(x, width, config.normalization)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolution_block(x, widths[-1], config.normalization)
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        attended = _attend(skip, x, width)
        x = layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal")(x)
        x = convolution_block(layers.Concatenate()([attended, x]), width, config.normalization)
    outputs = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="lungs")(x)
    return keras.Model(inputs, outputs, name="attention_unet")


def _attend(skip: KerasTensor, gate: KerasTensor, width: int) -> KerasTensor:
    """The additive gate: skip (B, 2h, 2w, C) times weights in [0, 1] that are found on the gate's (B, h, w, D) grid."""
    features = layers.Conv2D(width, 2, 2, use_bias=False, kernel_initializer="he_normal")(skip)
    gating = layers.Conv2D(width, 1, kernel_initializer="he_normal")(gate)
    x = layers.ReLU()(layers.Add()([features, gating]))
    x = layers.Conv2D(1, 1, activation="sigmoid")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    return layers.Multiply()([skip, x])

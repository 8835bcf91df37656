"""The two discriminators of the paper, and four patch discriminators at several scales."""

import keras
from keras import KerasTensor, layers

from lungmask_cli.config import DiscriminatorConfig
from lungmask_cli.networks.blocks import normal_initializer, normalization, pair_inputs, require_multiple

_HIDDEN = 4
_SCALES = 4


def patch(config: DiscriminatorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """The six-layer patch discriminator of the paper: one logit for each of H/32 x W/32 patches.

    Input, four hidden layers of convolution - normalisation - ReLU, and one output, with 4 x 4 kernels and stride 2
    throughout (paper, section III.C). The number of filters, doubled from layer to layer, is not given there.
    """
    pair = pair_inputs(shape, structures)
    x = _convolution(1, 104)(_hidden(layers.Concatenate()(pair), config))
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(pair, logits, name="patch")


def image(config: DiscriminatorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """The image discriminator of the paper: like `patch`, but the last layer covers the whole image: one logit.

    Raises:
        ConfigError: the image cannot be halved four times.
    """
    require_multiple(shape, 2**_HIDDEN, "an image discriminator")
    pair = pair_inputs(shape, structures)
    x = _hidden(layers.Concatenate()(pair), config)
    x = layers.Conv2D(1, tuple(x.shape[1:3]), kernel_initializer=normal_initializer(104))(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(pair, logits, name="image")


def four_scales(config: DiscriminatorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """Four patch discriminators, on the image and on copies at a half, a quarter and an eighth of its size.

    The model returns the list of their logits, finest scale first.
    Source: our reading of "four discriminators" (Munawar et al. 2020, arXiv:2009.05752), whose layers we do not know;
    discriminators at several scales are those of Wang et al. 2018 (arXiv:1711.11585), section 3.2.

    Raises:
        ConfigError: the image cannot be halved three times.
    """
    require_multiple(shape, 2 ** (_SCALES - 1), "a discriminator of four scales")
    pair = pair_inputs(shape, structures)
    x = layers.Concatenate()(pair)
    logits = []
    for scale in range(_SCALES):
        output = _convolution(1, 104 + 10 * scale)(_hidden(x, config, 10 * scale))
        logits.append(layers.Activation("linear", dtype="float32", name=f"logits_{2**scale}")(output))
        x = layers.AveragePooling2D(2)(x) if scale < _SCALES - 1 else x
    return keras.Model(pair, logits, name="four_scales")


def _hidden(x: KerasTensor, config: DiscriminatorConfig, seed: int = 0) -> KerasTensor:
    for layer in range(_HIDDEN):
        width = config.filters * 2**layer
        x = _convolution(width, 100 + layer + seed)(x)
        x = layers.ReLU()(normalization(config.normalization, width)(x))
    return x


def _convolution(filters: int, seed: int) -> layers.Layer:
    return layers.Conv2D(filters, 4, 2, "same", kernel_initializer=normal_initializer(seed))

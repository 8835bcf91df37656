"""The two discriminators that the paper speaks of, and several patch discriminators at once."""

import keras
from keras import KerasTensor, layers

from lungmask_cli.config import DiscriminatorConfig
from lungmask_cli.networks.blocks import normal_initializer, normalization, pair_inputs, require_multiple

_HIDDEN = 4
_SCALES = 4


def patch(config: DiscriminatorConfig, shape: tuple[int, int]) -> keras.Model:
    """The six-layer patch discriminator of the paper: one logit for each of H/32 x W/32 patches.

    Input, four hidden convolution - normalisation - ReLU, one output; kernels 4 x 4, stride 2 throughout (paper,
    section III.C). The filters, doubled from layer to layer, are not given there.
    """
    pair = pair_inputs(shape)
    x = _convolution(1, 104, config.spectral)(_hidden(layers.Concatenate()(pair), config))
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(pair, logits, name="patch")


def image(config: DiscriminatorConfig, shape: tuple[int, int]) -> keras.Model:
    """The image discriminator of the paper: as `patch`, but its last layer sees the whole image and gives one logit.

    Raises:
        ConfigError: the image cannot be halved once for each hidden layer.
    """
    require_multiple(shape, 2**_HIDDEN, "an image discriminator")
    pair = pair_inputs(shape)
    x = _hidden(layers.Concatenate()(pair), config)
    last = layers.Conv2D(1, tuple(x.shape[1:3]), kernel_initializer=normal_initializer(104))
    x = (layers.SpectralNormalization(last) if config.spectral else last)(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(pair, logits, name="image")


def four_scales(config: DiscriminatorConfig, shape: tuple[int, int]) -> keras.Model:
    """Four patch discriminators on the image and on copies of a half, a quarter and an eighth of its size.

    Returns a model that gives a list of their logits, finest first.
    Source: our reading of "four discriminators" (Munawar et al. 2020, arXiv:2009.05752), whose layers are not known to
    us; discriminators of several scales are those of Wang et al. 2018 (arXiv:1711.11585), 3.2.

    Raises:
        ConfigError: the image cannot be halved three times.
    """
    require_multiple(shape, 2 ** (_SCALES - 1), "a discriminator of four scales")
    pair = pair_inputs(shape)
    x = layers.Concatenate()(pair)
    logits = []
    for scale in range(_SCALES):
        judged = _convolution(1, 104 + 10 * scale, config.spectral)(_hidden(x, config, 10 * scale))
        logits.append(layers.Activation("linear", dtype="float32", name=f"logits_{2**scale}")(judged))
        x = layers.AveragePooling2D(2)(x) if scale < _SCALES - 1 else x
    return keras.Model(pair, logits, name="four_scales")


def _hidden(x: KerasTensor, config: DiscriminatorConfig, seed: int = 0) -> KerasTensor:
    for layer in range(_HIDDEN):
        width = config.filters * 2**layer
        x = _convolution(width, 100 + layer + seed, config.spectral)(x)
        x = layers.ReLU()(normalization(config.normalization, width)(x))
    return x


def _convolution(filters: int, seed: int, spectral: bool) -> layers.Layer:
    convolution = layers.Conv2D(filters, 4, 2, "same", kernel_initializer=normal_initializer(seed))
    return layers.SpectralNormalization(convolution) if spectral else convolution

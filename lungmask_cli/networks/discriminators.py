"""Discriminators: a radiograph and a mask in, logits of "drawn by hand" out.

Every builder takes a `DiscriminatorConfig` and the side S of the square input in pixels and returns a Keras model
from [(B, S, S, 1) radiograph, (B, S, S, 1) mask], both in [0, 1], to logits (B, h, w, 1).
"""

from collections.abc import Callable

import keras
from keras import layers

from lungmask_cli.config import DiscriminatorConfig
from lungmask_cli.networks.blocks import normal_initializer, normalization, unknown_part


def patch(config: DiscriminatorConfig, image_size: int) -> keras.Model:
    """The six-layer patch discriminator of the paper: one logit for each of S/32 x S/32 patches.

    Input, four hidden convolution - normalisation - ReLU, one output; kernels 4 x 4, stride 2 throughout (paper,
    section III.C). The filters, doubled from layer to layer, are not given there.
    """
    radiograph = keras.Input((image_size, image_size, 1), name="radiograph")
    mask = keras.Input((image_size, image_size, 1), name="mask")
    x = layers.Concatenate()([radiograph, mask])
    for layer in range(4):
        width = config.filters * 2**layer
        x = _convolution(width, 100 + layer, config.spectral)(x)
        x = layers.ReLU()(normalization(config.normalization, width)(x))
    x = _convolution(1, 104, config.spectral)(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model([radiograph, mask], logits, name="patch")


def _convolution(filters: int, seed: int, spectral: bool) -> layers.Layer:
    convolution = layers.Conv2D(filters, 4, 2, "same", kernel_initializer=normal_initializer(seed))
    return layers.SpectralNormalization(convolution) if spectral else convolution


DISCRIMINATORS: dict[str, Callable[[DiscriminatorConfig, int], keras.Model]] = {"patch": patch}


def build_discriminator(config: DiscriminatorConfig, image_size: int) -> keras.Model | None:
    """The discriminator that `config` names, or None for `none`.

    Raises:
        ConfigError: no discriminator or normalisation has that name.
    """
    if config.name == "none":
        return None
    if config.name not in DISCRIMINATORS:
        raise unknown_part("discriminator", config.name, (*DISCRIMINATORS, "none"))
    return DISCRIMINATORS[config.name](config, image_size)

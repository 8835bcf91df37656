"""U-Net with attention gates on its skips."""

import keras
from keras import KerasTensor, layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.generators.unet import unet_with


def attention_unet(config: GeneratorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """U-Net whose skips are weighted pixel by pixel, under the control of the coarser level.

    Source: Oktay et al. 2018 (arXiv:1804.03999), figures 1 and 2, in two dimensions and without deep supervision.

    Raises:
        ConfigError: the image cannot be halved once for each level but the last.
    """
    return unet_with(_attend, "attention_unet", config, shape, structures)


def _attend(skip: KerasTensor, gate: KerasTensor, width: int) -> KerasTensor:
    """The additive gate: skip (B, 2h, 2w, C) times weights in [0, 1], computed on the grid of the gate (B, h, w, D)."""
    features = layers.Conv2D(width, 2, 2, use_bias=False, kernel_initializer="he_normal")(skip)
    gating = layers.Conv2D(width, 1, kernel_initializer="he_normal")(gate)
    x = layers.ReLU()(layers.Add()([features, gating]))
    x = layers.Conv2D(1, 1, activation="sigmoid")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    return layers.Multiply()([skip, x])

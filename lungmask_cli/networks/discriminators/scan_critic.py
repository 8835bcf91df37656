"""The critic of the Structure Correcting Adversarial Network."""

import keras
from keras import layers

from lungmask_cli.config import DiscriminatorConfig
from lungmask_cli.networks.blocks import level_widths, pair_inputs, require_multiple, residual_encoder

_LEVELS = 5


def scan_critic(config: DiscriminatorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """The residual blocks of SCAN's segmentation network, global average pooling, and one logit: (B, 1, 1, 1).

    Source: Dai et al. 2018 (arXiv:1703.08770), section 3.

    Raises:
        ConfigError: the image cannot be halved four times.
    """
    require_multiple(shape, 2 ** (_LEVELS - 1), "SCAN's critic")
    widths = level_widths(config.filters, 8 * config.filters, _LEVELS)
    pair = pair_inputs(shape, structures)
    x = residual_encoder(layers.Concatenate()(pair), widths, config.normalization)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    logits = layers.Conv2D(1, 1, dtype="float32", name="logits")(x)
    return keras.Model(pair, logits, name="scan_critic")

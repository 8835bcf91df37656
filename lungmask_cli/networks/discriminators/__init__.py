"""Discriminators map a radiograph and a mask to logits; a large logit means that the mask is a reference mask.

Every builder takes a `DiscriminatorConfig` and the height and width of the input in pixels. It returns a Keras model
that maps [(B, H, W, 1) radiograph, (B, H, W, 1) mask], both in [0, 1], to logits (B, h, w, 1), or to a list of them.
Builders are registered in `networks/parts.py`.
"""

import keras

from lungmask_cli.config import DiscriminatorConfig
from lungmask_cli.networks.parts import DISCRIMINATORS, NO_DISCRIMINATOR, find_part


def build_discriminator(config: DiscriminatorConfig, shape: tuple[int, int]) -> keras.Model | None:
    """The discriminator of this configuration for inputs of this height and width in pixels; None for `none`.

    Raises:
        ConfigError: no discriminator or normalisation has this name, or the network does not support this size.
    """
    if config.name == NO_DISCRIMINATOR:
        return None
    return find_part("discriminator", config.name, DISCRIMINATORS).load()(config, shape)

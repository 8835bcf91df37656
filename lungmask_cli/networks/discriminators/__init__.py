"""Discriminators map a radiograph and its masks to logits; a large logit means that they are reference masks.

Every builder takes a `DiscriminatorConfig`, the height and width of the input in pixels, and the number of structures.
It returns a Keras model that maps [(B, H, W, 1) radiograph, (B, H, W, structures) masks], both in [0, 1], to logits
(B, h, w, 1), or to a list of them.
Builders are registered in `networks/parts.py`.
"""

import keras

from lungmask_cli.config import DiscriminatorConfig
from lungmask_cli.networks.parts import DISCRIMINATORS, NO_DISCRIMINATOR, find_part


def build_discriminator(config: DiscriminatorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model | None:
    """The discriminator of this configuration for inputs of this size, and this many structures; None for `none`.

    Raises:
        ConfigError: no discriminator or normalisation has this name, or the network does not support this size.
    """
    if config.name == NO_DISCRIMINATOR:
        return None
    return find_part("discriminator", config.name, DISCRIMINATORS).load()(config, shape, structures)

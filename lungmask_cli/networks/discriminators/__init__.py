"""Discriminators: a radiograph and a mask in, logits of "drawn by hand" out. Registered in `networks/parts.py`.

Every builder takes a `DiscriminatorConfig` and height and width of the input in pixels and returns a Keras model from
[(B, H, W, 1) radiograph, (B, H, W, 1) mask], both in [0, 1], to logits (B, h, w, 1), or to a list of such.
"""

import keras

from lungmask_cli.config import DiscriminatorConfig
from lungmask_cli.networks.parts import DISCRIMINATORS, NO_DISCRIMINATOR, find_part


def build_discriminator(config: DiscriminatorConfig, shape: tuple[int, int]) -> keras.Model | None:
    """The discriminator that `config` names, for inputs of that height and width in pixels; None for `none`.

    Raises:
        ConfigError: no discriminator or normalisation has that name, or the network cannot see images of that size.
    """
    if config.name == NO_DISCRIMINATOR:
        return None
    return find_part("discriminator", config.name, DISCRIMINATORS).load()(config, shape)

"""Generators: radiograph in, lung probability out. One file each, registered in `networks/parts.py`.

Every builder takes a `GeneratorConfig` and height and width of the input in pixels and returns a Keras model from
(B, H, W, 1) in [0, 1] to (B, H, W, 1) in [0, 1].
"""

import keras

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.parts import GENERATORS, find_part


def build_generator(config: GeneratorConfig, shape: tuple[int, int]) -> keras.Model:
    """The generator that `config` names, for inputs of that height and width in pixels.

    Raises:
        ConfigError: no generator or normalisation has that name, or the network cannot draw images of that size.
    """
    return find_part("generator", config.name, GENERATORS).load()(config, shape)

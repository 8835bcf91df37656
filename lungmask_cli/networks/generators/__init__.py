"""Generators map a radiograph to the probability of each structure. One file each, registered in `networks/parts.py`.

Every builder takes a `GeneratorConfig`, the height and width of the input in pixels, and the number of structures: the
lungs alone, or lungs and heart. It returns a Keras model that maps (B, H, W, 1) in [0, 1] to (B, H, W, structures) in
[0, 1].
"""

import keras

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.parts import GENERATORS, find_part


def build_generator(config: GeneratorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """The generator of this configuration for inputs of this height and width in pixels, and this many structures.

    Raises:
        ConfigError: no generator or normalisation has this name, or the network does not support this size.
    """
    return find_part("generator", config.name, GENERATORS).load()(config, shape, structures)

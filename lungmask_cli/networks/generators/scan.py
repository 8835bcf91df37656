"""The segmentation network of the Structure Correcting Adversarial Network."""

import keras
from keras import layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.blocks import level_widths, require_multiple, residual_encoder

_LEVELS = 5
_MAPS = 4


def scan(config: GeneratorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """Residual blocks down to a sixteenth of the image size, and one transposed convolution back.

    It always has five levels; `levels` is ignored. With 8 filters, at most 64, it is the published network of about
    271,000 parameters, except that its four maps are combined to one of each structure instead of four classes.
    Source: Dai et al. 2018 (arXiv:1703.08770), section 3; the layers are those on which two re-implementations agree.

    Raises:
        ConfigError: the image cannot be halved four times.
    """
    stride = 2 ** (_LEVELS - 1)
    require_multiple(shape, stride, "a SCAN")
    widths = level_widths(config.filters, config.max_filters, _LEVELS)
    inputs = keras.Input((*shape, 1), name="radiograph")
    x = residual_encoder(inputs, widths, config.normalization)
    x = layers.Conv2D(_MAPS, 1, kernel_initializer="he_normal")(x)
    x = layers.Conv2DTranspose(structures, 2 * stride, stride, "same", kernel_initializer="he_normal")(x)
    outputs = layers.Activation("sigmoid", dtype="float32", name="lungs")(x)
    return keras.Model(inputs, outputs, name="scan")

"""A U-Net of residual blocks that starts at half the image's resolution."""

import keras
from keras import KerasTensor, layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.blocks import convolution, level_widths, normalization, require_multiple


def residual_unet(config: GeneratorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """A U-Net that halves the image before its first level and doubles it after its last.

    Full resolution, where a U-Net spends most of its time, has only one strided and one transposed convolution, so the
    network can have twice the filters in the same time. Each level has one residual block in the encoder and one in the
    decoder, the lowest level two. Skips are added, not concatenated.
    Source: this project; the blocks are those of He et al. 2016 (arXiv:1512.03385), figure 2.

    Raises:
        ConfigError: the image cannot be halved once for each level.
    """
    require_multiple(shape, 2**config.levels, f"a residual U-Net of {config.levels} levels")
    widths = level_widths(config.filters, config.max_filters, config.levels)
    kind = config.normalization
    x = inputs = keras.Input((*shape, 1), name="radiograph")
    skips = []
    for level, width in enumerate(widths):
        x = layers.ReLU()(convolution(x, width, 2 if level else 4, kind, 2))
        x = _block(x, kind)
        skips.append(x)
    x = _block(skips.pop(), kind)
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        x = layers.Conv2D(width, 1, use_bias=False, kernel_initializer="he_normal")(x)
        enlarge, normalize = layers.UpSampling2D(2, interpolation="bilinear"), normalization(kind, width)
        # Batch normalisation directly after a convolution is folded into it when the network is exported.
        x = normalize(enlarge(x)) if kind == "group" else enlarge(normalize(x))
        x = _block(layers.Add()([skip, x]), kind)
    x = layers.Conv2DTranspose(structures, 4, 2, "same", kernel_initializer="he_normal")(x)
    outputs = layers.Activation("sigmoid", dtype="float32", name="lungs")(x)
    return keras.Model(inputs, outputs, name="residual_unet")


def _block(x: KerasTensor, kind: str) -> KerasTensor:
    """Two 3 x 3 convolutions and the identity as shortcut; the shape does not change."""
    width = x.shape[-1]
    inner = layers.ReLU()(convolution(x, width, 3, kind))
    return layers.ReLU()(layers.Add()([x, convolution(inner, width, 3, kind)]))

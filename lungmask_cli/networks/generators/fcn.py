"""The fully convolutional network FCN-8s."""

import keras
from keras import KerasTensor, layers

from lungmask_cli.config import GeneratorConfig
from lungmask_cli.networks.blocks import convolution, level_widths, require_multiple

_LEVELS = 5
_CONVOLUTIONS = (2, 2, 3, 3, 3)  # of VGG16, level by level
_WIDENED = 8  # filters of the two widest layers, as a multiple of those of the last level: 4096 = 8 x 512


def fcn(config: GeneratorConfig, shape: tuple[int, int], structures: int = 1) -> keras.Model:
    """FCN-8s: the convolutions of VGG16, two wide ones, and score maps at three strides, upsampled and added.

    With 64 filters, at most 512, it has the published 134 million parameters. It always has five levels; `levels` is
    ignored. Upsampling is bilinear; in the source it is only initialised so, and learned for all but the last.
    Normalisation replaces pre-training and dropout.
    Source: Long et al. 2015 (arXiv:1411.4038), 4.1 and 4.2; VGG16: Simonyan and Zisserman 2015 (arXiv:1409.1556).

    Raises:
        ConfigError: the image cannot be halved five times.
    """
    require_multiple(shape, 2**_LEVELS, "an FCN")
    widths = level_widths(config.filters, config.max_filters, _LEVELS)
    x = inputs = keras.Input((*shape, 1), name="radiograph")
    pooled = []
    for width, convolutions in zip(widths, _CONVOLUTIONS, strict=True):
        for _ in range(convolutions):
            x = layers.ReLU()(convolution(x, width, 3, config.normalization))
        x = layers.MaxPooling2D()(x)
        pooled.append(x)
    for size in (7, 1):
        x = layers.ReLU()(convolution(x, _WIDENED * widths[-1], size, config.normalization))
    score = _score(x, structures, "score_32")
    for features, stride in ((pooled[3], 16), (pooled[2], 8)):
        score = layers.UpSampling2D(2, interpolation="bilinear")(score)
        score = layers.Add()([score, _score(features, structures, f"score_{stride}")])
    score = layers.UpSampling2D(8, interpolation="bilinear")(score)
    outputs = layers.Activation("sigmoid", dtype="float32", name="lungs")(score)
    return keras.Model(inputs, outputs, name="fcn")


def _score(features: KerasTensor, structures: int, name: str) -> KerasTensor:
    """One score map of each structure; its weights are initialised with zeros, as in the source."""
    return layers.Conv2D(structures, 1, kernel_initializer="zeros", name=name)(features)

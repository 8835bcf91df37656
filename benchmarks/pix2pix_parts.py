"""What pix2pix does and the preset `paper` does not, and other readings of the paper: `lungmask` with them.

    python benchmarks/pix2pix_parts.py dropout,jitter train JSRT --preset paper ...

The first argument names the parts, the others are those of `lungmask`, whose package does not have the parts; the
trials of `paper_best.py` measure them. Source: Isola et al. 2017 (arXiv:1611.07004), section 6.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from scipy import ndimage

from lungmask_cli.cli.app import main
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.networks.discriminators import patch
from lungmask_cli.networks.generators import pix2pix
from lungmask_cli.training.augmentation import augment

ENLARGED = 286 / 256
DROPOUT, DROPOUT_LEVELS = 0.5, 3

Image = NDArray[np.float32]


def with_dropout(*arguments: Any) -> keras.Model:
    """Dropout in the first three levels of the decoder, before ReLU."""
    seen = 0

    def call(layer: layers.Layer, *inputs: Any, **keywords: Any) -> Any:
        nonlocal seen
        if isinstance(layer, layers.ReLU):  # the encoder has LeakyReLU
            seen += 1
            if seen <= DROPOUT_LEVELS:
                return layer(layers.Dropout(DROPOUT, seed=seen)(*inputs), **keywords)
        return layer(*inputs, **keywords)

    return keras.models.clone_model(_GENERATOR(*arguments), call_function=call)


def with_signed_input(*arguments: Any) -> keras.Model:
    """The radiograph scaled to [-1, 1] instead of [0, 1]."""
    first = True

    def call(layer: layers.Layer, *inputs: Any, **keywords: Any) -> Any:
        nonlocal first
        if first and isinstance(layer, layers.Conv2D):
            first = False
            return layer(inputs[0] * 2.0 - 1.0)
        return layer(*inputs, **keywords)

    return keras.models.clone_model(_GENERATOR(*arguments), call_function=call)


def with_leaky_relu(*arguments: Any) -> keras.Model:
    """LeakyReLU in the hidden layers of the discriminator."""

    def call(layer: layers.Layer, *inputs: Any, **keywords: Any) -> Any:
        return layers.LeakyReLU(0.2)(*inputs) if isinstance(layer, layers.ReLU) else layer(*inputs, **keywords)

    return keras.models.clone_model(_DISCRIMINATOR(*arguments), call_function=call)


def with_swapped_labels(*arguments: Any) -> keras.Model:
    """A discriminator for which reference masks are 0 and predicted masks 1."""

    def call(layer: layers.Layer, *inputs: Any, **keywords: Any) -> Any:
        return layer(ops.negative(inputs[0])) if layer.name == "logits" else layer(*inputs, **keywords)

    return keras.models.clone_model(_DISCRIMINATOR(*arguments), call_function=call)


def jitter(image: Image, mask: Image, config: Any, rng: np.random.Generator, *others: Any) -> tuple[Image, Image]:
    """Enlarge by 286 / 256, crop at random to the former size."""
    image, mask = augment(image, mask, config, rng, *others)
    size = image.shape[0]
    shift = rng.uniform(0, size - size / ENLARGED, 2)
    rows, columns = np.meshgrid(*(np.arange(size) / ENLARGED + s for s in shift), indexing="ij")
    structures = np.moveaxis(mask, -1, 0) if mask.ndim == 3 else mask[None]
    image, *masks = (ndimage.map_coordinates(one, [rows, columns], order=1) for one in (image, *structures))
    return image, np.stack(masks, -1) if mask.ndim == 3 else masks[0]


def equalize(image: Image, contrast: str) -> Image:
    """Histogram equalisation: each grey value becomes the fraction of pixels below it."""
    image = enhance(image, contrast)
    counts, edges = np.histogram(image, 256)
    return np.interp(image, edges[1:], np.cumsum(counts) / image.size).astype(np.float32)


_GENERATOR: Callable[..., keras.Model] = pix2pix.pix2pix
_DISCRIMINATOR: Callable[..., keras.Model] = patch.patch
PARTS: dict[str, list[tuple[str, Callable[..., Any]]]] = {
    "dropout": [("lungmask_cli.networks.generators.pix2pix.pix2pix", with_dropout)],
    "signed": [("lungmask_cli.networks.generators.pix2pix.pix2pix", with_signed_input)],
    "leaky": [("lungmask_cli.networks.discriminators.patch.patch", with_leaky_relu)],
    "swapped": [("lungmask_cli.networks.discriminators.patch.patch", with_swapped_labels)],
    "jitter": [("lungmask_cli.training.batches.augment", jitter)],
    "equalized": [
        ("lungmask_cli.training.batches.enhance", equalize),
        ("lungmask_cli.inference.two_pass.enhance", equalize),
    ],
}


@contextmanager
def parts(names: list[str]) -> Iterator[None]:
    """Within this context, lungmask has these parts."""
    patches = [mock.patch(target, function) for name in names for target, function in PARTS[name]]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


if __name__ == "__main__":
    with parts([name for name in sys.argv.pop(1).split(",") if name]):
        main()

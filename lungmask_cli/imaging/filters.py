"""Separable filters of small images. Importing SciPy's takes a quarter of a second, longer than a mask."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.radiograph import FloatImage, Mask

_REACH = 3  # standard deviations


def average(image: NDArray[np.float32], width: int) -> FloatImage:
    """The mean of the square of `width` pixels, an odd number, around each pixel of (H, W); mirrored at the edges."""
    return _filter(image, [1 / width] * width)


def blur(image: NDArray[np.float32], deviation: float) -> FloatImage:
    """The image (H, W) smoothed by a Gaussian with this standard deviation in pixels; mirrored at the edges."""
    reach = int(_REACH * deviation + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return _filter(image, weights / weights.sum())


def dilate(mask: Mask, width: int) -> Mask:
    """The pixels whose square of `width` pixels, an odd number, contains a pixel of the mask (H, W)."""
    reach = width // 2
    for _ in range(2):
        counts = np.cumsum(np.pad(mask.T, ((reach + 1, reach), (0, 0))), axis=0, dtype=np.int32)
        mask = counts[width:] > counts[:-width]
    return mask


def _filter(image: NDArray[np.float32], weights: Sequence[float] | NDArray[np.float64]) -> FloatImage:
    """The image filtered along its columns, then along its rows, by weights that are symmetric."""
    reach = len(weights) // 2
    for _ in range(2):
        padded = np.pad(image.T, ((reach, reach), (0, 0)), "symmetric")
        rows = image.shape[1]
        image = np.float32(weights[reach]) * padded[reach : reach + rows]
        pair = np.empty_like(image)
        for first, weight in enumerate(weights[:reach]):
            last = 2 * reach - first
            np.add(padded[first : first + rows], padded[last : last + rows], out=pair)
            pair *= np.float32(weight)
            image += pair
    return image

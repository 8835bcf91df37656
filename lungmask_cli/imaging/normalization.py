"""Grey values to the network's [0, 1]."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.geometry import resize
from lungmask_cli.imaging.radiograph import FloatImage, Radiograph

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0  # percentiles
_SAMPLED_SIDE = 512


@dataclass(frozen=True)
class _Stretch:
    """The grey values that become 0 and 1; `high` is not above `low` where the image has no contrast."""

    low: float
    high: float

    def clip(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The pixels within the limits, of their own type: of whole numbers the nearest beyond."""
        if pixels.dtype.kind in "iu":
            return np.clip(pixels, int(np.floor(self.low)), int(np.ceil(self.high)))
        return np.clip(pixels, self.low, self.high)

    def apply(self, pixels: FloatImage) -> FloatImage:
        """The pixels stretched to [0, 1]; all 0 where there is no contrast."""
        scale = np.float32(1 / (self.high - self.low)) if self.high > self.low else np.float32(np.inf)
        if not np.isfinite(scale):
            return np.zeros(pixels.shape, np.float32)
        stretched = (pixels - np.float32(self.low)) * scale
        np.clip(stretched, 0, 1, out=stretched)
        return stretched


def normalize(radiograph: Radiograph, shape: tuple[int, int] | None = None) -> FloatImage:
    """The pixels stretched so that the 1st percentile is 0 and the 99th is 1, clipped: (H, W) float32 in [0, 1].

    Padding, and pixels at the very smallest and largest value, do not count for the percentiles: those are
    collimation, burnt-in labels and saturation, not chest. Padding becomes 0. A constant image becomes all 0.
    Of images larger than 512 pixels a regular sample of about that size is looked at.

    Args:
        radiograph: as a reader gave it.
        shape: height and width to resize it to; None keeps its own.
    """
    stretch = _find_stretch(radiograph)
    pixels = stretch.clip(radiograph.pixels)
    if radiograph.valid is not None:
        pixels = np.where(radiograph.valid, pixels, pixels.dtype.type(stretch.low))
    return stretch.apply(resize(pixels, *(shape or radiograph.shape)))


def _find_stretch(radiograph: Radiograph) -> _Stretch:
    pixels, valid = radiograph.pixels, radiograph.valid
    step = max(1, round(max(pixels.shape) / _SAMPLED_SIDE))
    counted = pixels[::step, ::step] if valid is None else pixels[valid][:: step * step]
    inner = counted[(counted > counted.min()) & (counted < counted.max())]
    if inner.size < max(1, counted.size // 100):  # constant or nearly binary: there is no chest between the extremes
        inner = counted
    low, high = (float(value) for value in np.percentile(inner, (LOW_PERCENTILE, HIGH_PERCENTILE)))
    return _Stretch(low, high)

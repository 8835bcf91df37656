"""Grey values to the network's [0, 1]."""

import numpy as np

from lungmask_cli.imaging.radiograph import FloatImage, Radiograph

_LOW, _HIGH = 1.0, 99.0  # percentiles


def normalize(radiograph: Radiograph) -> FloatImage:
    """The pixels stretched so that the 1st percentile is 0 and the 99th is 1, clipped: (H, W) float32 in [0, 1].

    Padding, and pixels at the very smallest and largest value, do not count for the percentiles: those are
    collimation, burnt-in labels and saturation, not chest. Padding becomes 0. A constant image becomes all 0.
    """
    pixels = radiograph.pixels
    counted = pixels if radiograph.valid is None else pixels[radiograph.valid]
    inner = counted[(counted > counted.min()) & (counted < counted.max())]
    if inner.size < max(1, counted.size // 100):  # constant or nearly binary: there is no chest between the extremes
        inner = counted
    low, high = np.percentile(inner, (_LOW, _HIGH))
    if high <= low:
        return np.zeros(pixels.shape, np.float32)
    stretched = np.clip((pixels - low) / (high - low), 0, 1).astype(np.float32)
    return stretched if radiograph.valid is None else np.where(radiograph.valid, stretched, np.float32(0))

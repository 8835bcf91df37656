"""Grey values stretched to the network's range [0, 1]."""

import numpy as np

from lungmask_cli.imaging.geometry import resize
from lungmask_cli.imaging.radiograph import FloatImage, Radiograph

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
_SAMPLED_SIDE = 512
_BLOCKS = 1.3  # of averaged pixels per new pixel: networks see no difference from more


def normalize(radiograph: Radiograph, shape: tuple[int, int] | None = None) -> FloatImage:
    """The pixels stretched so that the 1st percentile is 0 and the 99th is 1, clipped: (H, W) float32 in [0, 1].

    Padding and the pixels of the smallest and the largest value are left out of the percentiles: they are collimation,
    burnt-in labels and saturation, not chest. Padding becomes 0. A constant image becomes all 0. Of images larger than
    512 pixels, the percentiles are those of a regular sample of about that size.

    Args:
        radiograph: as a reader returns it.
        shape: height and width to resize it to; None keeps its own.
    """
    low, high = _measure_percentiles(radiograph)
    if radiograph.pixels.dtype.kind in "iu":  # integers stay integers, and the limits are rounded outwards
        pixels = np.clip(radiograph.pixels, int(np.floor(low)), int(np.ceil(high)))
    else:
        pixels = np.clip(radiograph.pixels, low, high)
    if radiograph.valid is not None:
        pixels = np.where(radiograph.valid, pixels, pixels.dtype.type(low))
    pixels = resize(pixels, *(shape or radiograph.shape), _BLOCKS)
    scale = np.float32(1 / (high - low)) if high > low else np.float32(np.inf)
    if not np.isfinite(scale):
        return np.zeros(pixels.shape, np.float32)
    stretched = (pixels - np.float32(low)) * scale
    return np.clip(stretched, 0, 1, out=stretched)


def _measure_percentiles(radiograph: Radiograph) -> tuple[float, float]:
    pixels, valid = radiograph.pixels, radiograph.valid
    step = max(1, round(max(pixels.shape) / _SAMPLED_SIDE))
    sample = pixels[::step, ::step] if valid is None else pixels[valid][:: step * step]
    # NumPy's stable sort of integers of up to 16 bits is a radix sort, which takes half as long as `np.percentile`.
    ordered = np.sort(sample, axis=None, kind="stable" if sample.dtype.itemsize <= 2 else None)
    inner = ordered[np.searchsorted(ordered, ordered[0], "right") : np.searchsorted(ordered, ordered[-1])]
    if inner.size < max(1, sample.size // 100):  # constant or nearly binary: there is no chest between the extremes
        inner = ordered
    at = np.array((LOW_PERCENTILE, HIGH_PERCENTILE)) / 100 * (inner.size - 1)
    below, above = (inner[index.astype(np.int64)].astype(np.float64) for index in (np.floor(at), np.ceil(at)))
    low, high = (below + (above - below) * (at % 1)).tolist()
    return low, high

"""Uniform borders of an image: the page, the collimation and the black margin beside a radiograph."""

import numpy as np

from lungmask_cli.imaging.morphology import Box
from lungmask_cli.imaging.radiograph import FloatImage

_UNIFORM_RANGE = 0.04
_SHARES = np.array([0.03, 0.97])


def find_exposed_area(image: FloatImage) -> Box:
    """The rows and columns of (H, W) in [0, 1] that remain after nearly uniform ones are trimmed from the edges.

    At least a third of each side remains. Meant for small copies of about 128 x 128 pixels.
    """
    starts, ends = [0, 0], list(image.shape)
    trimmed = True
    while trimmed:
        trimmed = False
        for axis in (0, 1):
            for at_start in (True, False):
                while ends[axis] - starts[axis] > max(image.shape[axis] // 3, 1):
                    inner = image[starts[0] : ends[0], starts[1] : ends[1]]
                    # Percentiles, because a border may hold a label; np.percentile takes much longer.
                    line = np.sort(np.take(inner, 0 if at_start else -1, axis))
                    low, high = np.interp(_SHARES * (len(line) - 1), np.arange(len(line)), line)
                    if high - low >= _UNIFORM_RANGE:
                        break
                    starts[axis] += at_start
                    ends[axis] -= not at_start
                    trimmed = True
    return slice(starts[0], ends[0]), slice(starts[1], ends[1])

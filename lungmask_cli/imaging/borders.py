"""What is no picture: pages, collimation and the black beside a radiograph."""

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.radiograph import FloatImage

_UNIFORM = 0.04


def find_content(image: FloatImage) -> tuple[slice, slice]:
    """The rows and columns of (H, W) in [0, 1] within those at its edges that are nearly of one value.

    Never less than a third of a side is left. Meant for small copies, of about 128 pixels.
    """
    starts, ends = [0, 0], list(image.shape)
    trimmed = True
    while trimmed:
        trimmed = False
        for axis in (0, 1):
            for at_start in (True, False):
                while ends[axis] - starts[axis] > max(image.shape[axis] // 3, 1):
                    inner = image[starts[0] : ends[0], starts[1] : ends[1]]
                    if not _is_uniform(np.take(inner, 0 if at_start else -1, axis)):
                        break
                    starts[axis] += at_start
                    ends[axis] -= not at_start
                    trimmed = True
    return slice(starts[0], ends[0]), slice(starts[1], ends[1])


def _is_uniform(line: NDArray[np.float32]) -> bool:
    low, high = np.percentile(line, (3, 97))  # a label may lie on the border
    return bool(high - low < _UNIFORM)

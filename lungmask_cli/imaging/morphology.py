"""Bounding box, erosion and outline of a mask. A pixel's neighbours are the four that share a side with it."""

import numpy as np

from lungmask_cli.imaging.radiograph import Mask

Box = tuple[slice, slice]


def bounding_box(mask: Mask) -> Box:
    """The rows and columns of the smallest box around the mask (H, W).

    Raises:
        ValueError: the mask is empty.
    """
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not rows.size:
        raise ValueError("an empty mask has no bounding box")
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def erode(mask: Mask) -> Mask:
    """The pixels of the mask (H, W) whose neighbours are all in the mask; what lies outside the image is not."""
    inner = mask.copy()
    inner[0] = inner[-1] = inner[:, 0] = inner[:, -1] = False
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return inner


def outline(mask: Mask, width: int = 1) -> Mask:
    """The outermost pixels of the mask (H, W): those that `width` erosions remove."""
    inner = mask
    for _ in range(width):
        inner = erode(inner)
    return mask ^ inner

"""Right and left lung in a mask that does not tell them apart."""

import numpy as np

from lungmask_cli.imaging.radiograph import Mask
from lungmask_cli.scoring.surface import boundary


def split_like(mask: Mask, right: Mask, left: Mask, spacing: tuple[float, float] = (1.0, 1.0)) -> tuple[Mask, Mask]:
    """The pixels of `mask` that are nearest to `right`, and those nearest to `left`; all (H, W) bool.

    Pixels within both are in both results. Where one of the two is empty, all pixels are the other's.
    """
    if not right.any() or not left.any():
        nothing = np.zeros_like(mask)
        return (mask, nothing) if right.any() or not left.any() else (nothing, mask)
    nearest_right, nearest_left = mask & right, mask & left
    rest = np.argwhere(mask & ~(right | left))
    if len(rest):
        from scipy.spatial import cKDTree

        to_right, to_left = (cKDTree(boundary(side) * spacing).query(rest * spacing)[0] for side in (right, left))
        nearer = to_right <= to_left
        nearest_right[tuple(rest[nearer].T)] = True
        nearest_left[tuple(rest[~nearer].T)] = True
    return nearest_right, nearest_left

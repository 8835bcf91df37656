"""How far the boundaries of two masks are from each other."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.morphology import bounding_box, outline
from lungmask_cli.imaging.radiograph import Mask

_PERCENTILE = 95
_ROUNDING = 1e-9


@dataclass(frozen=True)
class SurfaceDistances:
    """The distance of each boundary pixel of one mask to the nearest of the other's, both ways.

    An empty side means that a mask is empty: with both empty everything is NaN, with one empty distances are infinite
    and the share within a tolerance is 0.
    """

    from_drawn: NDArray[np.float64]
    from_truth: NDArray[np.float64]

    @property
    def hd(self) -> float:
        """Hausdorff distance: the largest of all distances."""
        return self._missing() or float(max(self.from_drawn.max(), self.from_truth.max()))

    @property
    def hd95(self) -> float:
        """The larger of the 95th percentiles of either way."""
        return self._missing() or float(
            max(np.percentile(self.from_drawn, _PERCENTILE), np.percentile(self.from_truth, _PERCENTILE))
        )

    @property
    def assd(self) -> float:
        """Average symmetric surface distance: the mean of all distances."""
        total = self.from_drawn.sum() + self.from_truth.sum()
        return self._missing() or float(total / (self.from_drawn.size + self.from_truth.size))

    def within(self, tolerance: float) -> float:
        """Normalised surface distance: the share of all boundary pixels that are no farther than the tolerance."""
        tolerance *= 1 + _ROUNDING  # what is exactly at the tolerance is within it, wherever in the image it lies
        near = np.count_nonzero(self.from_drawn <= tolerance) + np.count_nonzero(self.from_truth <= tolerance)
        count = self.from_drawn.size + self.from_truth.size
        return near / count if count else math.nan

    def _missing(self) -> float:
        """NaN with both masks empty, infinite with one, else 0."""
        empty = (self.from_drawn.size == 0) + (self.from_truth.size == 0)
        return (0.0, math.inf, math.nan)[empty]


def surface_distances(drawn: Mask, truth: Mask, spacing: tuple[float, float] = (1.0, 1.0)) -> SurfaceDistances:
    """Distances between the boundaries of two masks (H, W); `spacing` is that of rows and of columns.

    Only the pixels of the boundaries take part, in a k-d tree, which is exact and far faster than a distance map of the
    image.
    """
    from scipy.spatial import cKDTree

    one, other = boundary(drawn) * spacing, boundary(truth) * spacing
    if not (len(one) and len(other)):
        return SurfaceDistances(np.full(len(one), np.inf), np.full(len(other), np.inf))
    trees = [cKDTree(points, balanced_tree=False, compact_nodes=False) for points in (one, other)]
    return SurfaceDistances(trees[1].query(one)[0], trees[0].query(other)[0])


def boundary(mask: Mask) -> NDArray[np.intp]:
    """Row and column (N, 2) of the pixels that have one of four neighbours outside the mask (H, W) or the image."""
    if not mask.any():
        return np.empty((0, 2), np.intp)
    box = bounding_box(mask)
    part = outline(mask[box])  # neighbours beyond the box are outside the mask
    rows, columns = np.divmod(np.flatnonzero(part), part.shape[1])
    return np.stack([rows + box[0].start, columns + box[1].start], axis=1)

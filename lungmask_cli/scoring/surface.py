"""The boundaries of masks, and distances to them.

SciPy is loaded late, here as elsewhere in scoring: it takes long, and Dice alone does not need it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.morphology import bounding_box, outline
from lungmask_cli.imaging.radiograph import Mask

_ROUNDING = 1e-9
_SMOOTHING = 0.03  # the standard deviation of the Gaussian, as a fraction of the square root of the area
_SMOOTHING_REACH = 4  # standard deviations


@dataclass(frozen=True)
class SurfaceDistances:
    """The distance of each boundary pixel of one mask to the nearest boundary pixel of the other, in both directions.

    An empty array means that the mask is empty. If both are empty, all values are NaN; if one is empty, distances are
    infinite and the share within a tolerance is 0.
    """

    from_predicted: NDArray[np.float64]
    from_truth: NDArray[np.float64]

    @property
    def hd(self) -> float:
        """Hausdorff distance: the largest of all distances."""
        return self._if_empty() or float(max(self.from_predicted.max(), self.from_truth.max()))

    @property
    def hd95(self) -> float:
        """The larger of the 95th percentiles of the two directions."""
        directions = (self.from_predicted, self.from_truth)
        return self._if_empty() or float(max(np.percentile(distances, 95) for distances in directions))

    @property
    def assd(self) -> float:
        """Average symmetric surface distance: the mean of all distances."""
        total = self.from_predicted.sum() + self.from_truth.sum()
        return self._if_empty() or float(total / (self.from_predicted.size + self.from_truth.size))

    def nsd(self, tolerance: float) -> float:
        """Normalised surface distance: the share of all boundary pixels whose distance is at most the tolerance."""
        tolerance *= 1 + _ROUNDING  # a distance equal to the tolerance is within it, wherever it is in the image
        near = np.count_nonzero(self.from_predicted <= tolerance) + np.count_nonzero(self.from_truth <= tolerance)
        count = self.from_predicted.size + self.from_truth.size
        return near / count if count else math.nan

    def _if_empty(self) -> float:
        """NaN if both masks are empty, infinite if one is, otherwise 0."""
        empty = (self.from_predicted.size == 0) + (self.from_truth.size == 0)
        return (0.0, math.inf, math.nan)[empty]


def surface_distances(predicted: Mask, truth: Mask, spacing: tuple[float, float] = (1.0, 1.0)) -> SurfaceDistances:
    """The distances between the boundaries of two masks (H, W); `spacing` is that of rows and of columns.

    Only boundary pixels are compared, in a k-d tree. This is exact, and far faster than a distance map of the image.
    """
    from scipy.spatial import cKDTree

    one, other = boundary(predicted) * spacing, boundary(truth) * spacing
    if not (len(one) and len(other)):
        return SurfaceDistances(np.full(len(one), np.inf), np.full(len(other), np.inf))
    trees = [cKDTree(points, balanced_tree=False, compact_nodes=False) for points in (one, other)]
    return SurfaceDistances(trees[1].query(one)[0], trees[0].query(other)[0])


def assign_to_lungs(
    mask: Mask, right: Mask, left: Mask, spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[Mask, Mask]:
    """The pixels of `mask` that are nearest to the lung `right`, and those nearest to `left`; all masks (H, W).

    Pixels inside both lungs are in both results. If one lung is empty, all pixels are assigned to the other.
    """
    if not right.any() or not left.any():
        nothing = np.zeros_like(mask)
        return (mask, nothing) if right.any() or not left.any() else (nothing, mask)
    nearest_right, nearest_left = mask & right, mask & left
    outside = np.argwhere(mask & ~(right | left))
    if len(outside):
        from scipy.spatial import cKDTree

        to_right, to_left = (cKDTree(boundary(lung) * spacing).query(outside * spacing)[0] for lung in (right, left))
        is_right = to_right <= to_left
        nearest_right[tuple(outside[is_right].T)] = True
        nearest_left[tuple(outside[~is_right].T)] = True
    return nearest_right, nearest_left


def raggedness(mask: Mask) -> float:
    """The length of the boundary of a mask (H, W), divided by that of the smoothed mask, minus 1.

    About 0 for a disc, and higher for corners, teeth and the stairs of a mask that was enlarged. NaN if the mask
    is empty, or vanishes when it is smoothed.
    """
    from scipy import ndimage

    if not mask.any():
        return math.nan
    deviation = _SMOOTHING * math.sqrt(np.count_nonzero(mask))
    part = np.pad(mask[bounding_box(mask)], math.ceil(_SMOOTHING_REACH * deviation) + 1)
    smoothed = ndimage.gaussian_filter(part.astype(np.float32), deviation, truncate=_SMOOTHING_REACH) > 0.5
    return _boundary_length(part) / _boundary_length(smoothed) - 1 if smoothed.any() else math.nan


def _boundary_length(mask: Mask) -> float:
    """The length of the boundary in pixels, by the Cauchy-Crofton formula in four directions.

    It is proportional to the number of intersections with lines of each direction. The mask does not touch the edge.
    """
    straight = np.count_nonzero(mask[1:] ^ mask[:-1]) + np.count_nonzero(mask[:, 1:] ^ mask[:, :-1])
    diagonal = np.count_nonzero(mask[1:, 1:] ^ mask[:-1, :-1]) + np.count_nonzero(mask[1:, :-1] ^ mask[:-1, 1:])
    return math.pi / 8 * float(straight + diagonal / math.sqrt(2))


def boundary(mask: Mask) -> NDArray[np.intp]:
    """Row and column (N, 2) of the pixels that have one of four neighbours outside the mask (H, W) or the image."""
    if not mask.any():
        return np.empty((0, 2), np.intp)
    box = bounding_box(mask)
    part = outline(mask[box])  # neighbours beyond the box are outside the mask
    rows, columns = np.divmod(np.flatnonzero(part), part.shape[1])
    return np.stack([rows + box[0].start, columns + box[1].start], axis=1)

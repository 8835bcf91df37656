"""Separation of the right from the left lung in one mask."""

import math

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.components import SPECK_SHARE, Integers, PixelRuns, encode_runs
from lungmask_cli.imaging.radiograph import Mask

# A component is both lungs if at least this share of it lies on either side of the image's middle (in 764 reference
# masks, both lungs have at least 0.20 there, a single lung at most 0.07) and its aspect ratio is at least that of two.
_LEAST_SHARE_PER_HALF = 0.1
_LEAST_ASPECT_OF_TWO = 0.6
_SMALLEST_LUNG = 0.15  # as a share of both lungs' area, beside the cut
_BLOCKS = 256  # on the longer side of the coarse grid on which cuts and distances are computed
_OFF_CENTRE_COST = 1.5  # the additional cost of a cut that is off the lungs' centre by their whole width


def split_sides(mask: Mask) -> tuple[Mask, Mask]:
    """As `split_runs`, for a mask (H, W): two masks (H, W)."""
    right, left = split_runs(encode_runs(mask))
    return right.paint(), left.paint()


def split_runs(runs: PixelRuns) -> tuple[PixelRuns, PixelRuns]:
    """The patient's right and left lung in the runs of a mask of both; image left is the patient's right.

    8-connected components stay whole: of the large ones the leftmost is the right lung and the rightmost the left lung;
    every other component belongs to the nearer of the two. Lungs that touch are cut where they are narrowest. A single
    lung belongs to the half of the image in which its centroid lies.

    Returns:
        Two masks that have no pixel in common; together they are the mask.
    """
    if not len(runs.rows):
        return runs, runs
    # Of a mask and its mirror image always the same one is split, so that ties are resolved alike in both.
    mirrored = (runs.lengths * (runs.starts + runs.ends - runs.shape[1])).sum() > 0
    runs, is_right = _assign_sides(runs.mirror() if mirrored else runs)
    right, left = runs.select(is_right), runs.select(~is_right)
    return (left.mirror(), right.mirror()) if mirrored else (right, left)


def _assign_sides(runs: PixelRuns) -> tuple[PixelRuns, NDArray[np.bool_]]:
    """The runs, some of them cut in two, and whether each belongs to the right lung."""
    _, labels = runs.label(diagonally=True)
    areas = runs.areas(labels)
    _, centres = runs.centroids(labels)
    large = np.flatnonzero(areas >= SPECK_SHARE * areas.max())
    right, left = (int(large[index]) for index in (centres[large].argmin(), centres[large].argmax()))
    # Two components of one lung lie one above the other, not side by side.
    beside = runs.ends[labels == right].max() <= centres[left] and runs.starts[labels == left].min() >= centres[right]
    if right != left and beside:
        return runs, _is_nearer_to_right(runs, labels, right, left)
    largest = labels == areas.argmax()
    if not _is_both_lungs(runs.select(largest)):
        centre = np.average((runs.starts + runs.ends) / 2, weights=runs.lengths)
        return runs, np.full(len(runs.rows), centre <= runs.shape[1] / 2)
    return _assign_cut_sides(*_cut(runs, largest))


def _assign_cut_sides(runs: PixelRuns, cut_sides: Integers) -> tuple[PixelRuns, NDArray[np.bool_]]:
    """As `_assign_sides`, for runs with 1 on the left and 2 on the right side of a cut, and 0 beside the lungs."""
    labels = np.empty_like(cut_sides)
    count = 0
    for side in (0, 1, 2):
        more, labels[cut_sides == side] = runs.select(cut_sides == side).label(diagonally=True)
        labels[cut_sides == side] += count
        count += more
    right, left = (int(np.bincount(labels, runs.lengths * (cut_sides == side)).argmax()) for side in (1, 2))
    is_right = _is_nearer_to_right(runs, labels, right, left)
    # A component that the cut has severed from its own lung touches nothing else, and is returned to that lung.
    severed = (cut_sides > 0) & (labels != right) & (labels != left)
    is_right[severed] = cut_sides[severed] == 2
    return runs, is_right


def _is_both_lungs(component: PixelRuns) -> bool:
    """Whether the component is too wide, and too much on both sides of the image's middle, to be a single lung."""
    width, height = component.ends.max() - component.starts.min(), component.rows[-1] - component.rows[0] + 1
    lengths = component.lengths
    share = np.clip(component.shape[1] / 2 - component.starts, 0, lengths).sum() / lengths.sum()
    return bool(width > 1 and width >= _LEAST_ASPECT_OF_TWO * height and min(share, 1 - share) >= _LEAST_SHARE_PER_HALF)


def _is_nearer_to_right(runs: PixelRuns, labels: Integers, right: int, left: int) -> NDArray[np.bool_]:
    """Whether the centroid of each run's component is nearer to the component `right` than to `left`."""
    if labels.max() == 1:
        return labels == right
    from scipy import ndimage  # takes longer to import than a mask takes

    block = math.ceil(max(runs.shape) / _BLOCKS)
    rows, columns = (np.floor(centre).astype(np.int64) // block for centre in runs.centroids(labels))
    to_right, to_left = (
        ndimage.distance_transform_edt(_count_per_block(runs.select(labels == lung), block) == 0)[rows, columns]
        for lung in (right, left)
    )
    is_right = to_right <= to_left
    is_right[[right, left]] = True, False  # a centroid may lie outside its lung
    nearer: NDArray[np.bool_] = is_right[labels]
    return nearer


def _cut(runs: PixelRuns, component: NDArray[np.bool_]) -> tuple[PixelRuns, Integers]:
    """The runs, those of one component cut in two, and the side of each: 1 left of the cut, 2 right of it, else 0."""
    lungs = runs.select(component)
    columns, block = _find_cut(lungs)
    cuts = columns[lungs.rows - lungs.rows[0]]
    # A gap between the lungs may be narrower than the block that limits the precision of the cut.
    cuts = np.where(cuts - lungs.starts < block, np.minimum(cuts, lungs.starts), cuts)
    cuts = np.where(lungs.ends - cuts < block, np.maximum(cuts, lungs.ends), cuts)
    at = runs.ends.copy()
    at[component] = cuts
    starts = np.stack([runs.starts, np.maximum(runs.starts, at)], 1).ravel()
    ends = np.stack([np.minimum(runs.ends, at), runs.ends], 1).ravel()
    sides = (np.stack([component, component], 1) * [1, 2]).ravel()
    not_empty = starts < ends
    return PixelRuns(np.repeat(runs.rows, 2), starts, ends, runs.shape).select(not_empty), sides[not_empty]


def _find_cut(lungs: PixelRuns) -> tuple[Integers, int]:
    """The first column of the left lung in each row of a component of both lungs, and the precision in pixels.

    The cut is the path from the component's top to its bottom with the shortest length within the component.
    """
    left = int(lungs.starts.min())
    height, width = int(lungs.rows[-1] - lungs.rows[0]) + 1, int(lungs.ends.max()) - left
    block = math.ceil(max(height, width) / _BLOCKS)
    moved = PixelRuns(lungs.rows - lungs.rows[0], lungs.starts - left, lungs.ends - left, (height, width))
    path = _find_cheapest_path(_count_per_block(moved, block) / block**2)
    columns = np.interp((np.arange(height) + 0.5) / block - 0.5, np.arange(len(path)), path)
    return left + np.clip(np.ceil((columns + 0.5) * block - 0.5).astype(np.int64), 1, width - 1), block


def _find_cheapest_path(shares: NDArray[np.float64]) -> Integers:
    """The column in each row of (H, W) in [0, 1] of the path from top to bottom with the least sum of shares.

    Each step goes straight down or to a neighbouring column, and counts by its length. At least `_SMALLEST_LUNG` of the
    whole remains on either side; of equal paths the one nearest to the centre is taken.
    """
    mass = np.cumsum(shares.sum(0)) / shares.sum()
    first, last = np.searchsorted(mass, (_SMALLEST_LUNG, 1 - _SMALLEST_LUNG))
    off_centre = np.abs(np.arange(first, last + 1) - (first + last) / 2) / len(mass)
    costs = shares[:, first : last + 1] * (1 + _OFF_CENTRE_COST * off_centre)
    total = np.full(costs.shape[1] + 2, np.inf)
    total[1:-1] = 0
    moves = np.empty(costs.shape, np.int64)
    for row, cost in enumerate(costs):
        diagonal, straight = np.minimum(total[:-2], total[2:]) + math.sqrt(2) * cost, total[1:-1] + cost
        moves[row] = np.where(diagonal < straight, np.where(total[:-2] <= total[2:], -1, 1), 0)
        total[1:-1] = np.minimum(diagonal, straight)
    path = np.empty(len(costs), np.int64)
    column = int(total[1:-1].argmin())
    for row in range(len(costs) - 1, -1, -1):
        path[row] = column
        column += int(moves[row, column])
    return path + first


def _count_per_block(runs: PixelRuns, block: int) -> Integers:
    """The number of the runs' pixels in each block of `block` x `block` pixels of the image."""
    height, width = runs.shape
    changes = np.zeros((-(-height // block), width // block + 2), np.int64)  # from each block to the next
    for columns, sign in ((runs.starts, 1), (runs.ends, -1)):
        blocks, within = np.divmod(columns, block)
        np.add.at(changes, (runs.rows // block, blocks), sign * (block - within))
        np.add.at(changes, (runs.rows // block, blocks + 1), sign * within)
    return changes.cumsum(1)[:, : -(-width // block)]

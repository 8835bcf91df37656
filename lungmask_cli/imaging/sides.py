"""Right and left lung in one mask."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.components import Integers, Runs, find_runs
from lungmask_cli.imaging.radiograph import Mask

# Parts with less than this share of the largest part's area are no lung, as in the clean-up of masks.
_SMALLEST_SHARE = 0.1
# One part is both lungs if at least this share of it lies on either side of the image's middle (of 764 masks by hand,
# both lungs have at least 0.20, a single lung at most 0.07), and if it is at least so wide for its height.
_BESIDE_MIDDLE = 0.1
_BOTH_ASPECT = 0.6
_SMALLEST_LUNG = 0.15  # of both lungs' area, beside the cut
_COARSE = 256  # squares on the longer side of what is looked at for the cut and for distances
_OFF_MIDDLE = 1.5  # how much more a cut costs as far from the lungs' middle as they are wide


def split_sides(mask: Mask) -> tuple[Mask, Mask]:
    """The patient's right and left lung in a mask (H, W) of both; image left is the patient's right.

    Parts of the mask, 8-connected, stay whole: of the large ones the leftmost is the right lung, the rightmost the left
    lung, and each other part belongs to the nearer of these two. Lungs that touch are cut where they are narrowest. One
    lung alone belongs to the side of the image's middle on which its centroid lies.

    Returns:
        Two masks (H, W) that have no pixel in common; their union is `mask`.
    """
    runs = find_runs(mask)
    if not len(runs.rows):
        return mask.copy(), mask.copy()
    # Always seen from the same side, so that what is equally near to both lungs is the same in the mirrored mask.
    mirrored = ((runs.ends - runs.starts) * (runs.starts + runs.ends - runs.width)).sum() > 0
    runs, is_right = _told_apart(_mirrored(runs) if mirrored else runs, len(mask))
    side = _mirrored(_chosen(runs, ~is_right)) if mirrored else _chosen(runs, is_right)
    right = side.paint(np.zeros(mask.shape, np.bool_), np.ones(len(side.rows), np.bool_), value=True)
    return right, mask ^ right


def _told_apart(runs: Runs, height: int) -> tuple[Runs, NDArray[np.bool_]]:
    """The runs, some of them cut in two, and whether each is of the right lung."""
    _, parts = runs.labels(diagonally=True)
    areas = runs.areas(parts)
    _, middles = _centroids(runs, parts)
    large = np.flatnonzero(areas >= _SMALLEST_SHARE * areas.max())
    right, left = (int(large[place]) for place in (middles[large].argmin(), middles[large].argmax()))
    # Parts of one lung lie above one another.
    beside = runs.ends[parts == right].max() <= middles[left] and runs.starts[parts == left].min() >= middles[right]
    if right != left and beside:
        return runs, _nearer(runs, parts, right, left, height)
    largest = parts == areas.argmax()
    if not _is_both(_chosen(runs, largest)):
        middle = np.average((runs.starts + runs.ends) / 2, weights=runs.ends - runs.starts)
        return runs, np.full(len(runs.rows), middle <= runs.width / 2)
    return _nearer_after_cut(*_cut(runs, largest), height)


def _nearer_after_cut(runs: Runs, sides: Integers, height: int) -> tuple[Runs, NDArray[np.bool_]]:
    """The same for runs of which the lungs are on the sides 1 and 2 of a cut, and others, 0, beside the lungs."""
    parts = np.empty_like(sides)
    count = 0
    for side in (0, 1, 2):
        more, parts[sides == side] = _chosen(runs, sides == side).labels(diagonally=True)
        parts[sides == side] += count
        count += more
    right, left = (int(np.bincount(parts, (runs.ends - runs.starts) * (sides == side)).argmax()) for side in (1, 2))
    is_right = _nearer(runs, parts, right, left, height)
    # What the cut has split off from its own lung, and which thus touches nothing else, goes back to it.
    split_off = (sides > 0) & (parts != right) & (parts != left)
    is_right[split_off] = sides[split_off] == 2
    return runs, is_right


def _is_both(part: Runs) -> bool:
    """Whether one part is too wide, and too much on both sides of the image's middle, to be a single lung."""
    width, height = part.ends.max() - part.starts.min(), part.rows[-1] - part.rows[0] + 1
    areas = part.ends - part.starts
    share = np.clip(part.width / 2 - part.starts, 0, areas).sum() / areas.sum()
    return bool(width > 1 and width >= _BOTH_ASPECT * height and min(share, 1 - share) >= _BESIDE_MIDDLE)


def _nearer(runs: Runs, parts: Integers, right: int, left: int, height: int) -> NDArray[np.bool_]:
    """Whether each run is of a part whose centroid is nearer to the part `right` than to `left`."""
    from scipy import ndimage

    if parts.max() == 1:
        return parts == right
    step = math.ceil(max(height, runs.width) / _COARSE)
    rows, columns = (np.floor(middle).astype(np.int64) // step for middle in _centroids(runs, parts))
    to_right, to_left = (
        ndimage.distance_transform_edt(_covered(_chosen(runs, parts == lung), height, step) == 0)[rows, columns]
        for lung in (right, left)
    )
    is_right = to_right <= to_left
    is_right[[right, left]] = True, False  # a centroid may lie outside
    nearer: NDArray[np.bool_] = is_right[parts]
    return nearer


def _cut(runs: Runs, which: NDArray[np.bool_]) -> tuple[Runs, Integers]:
    """The runs, those of one part cut in two, and where each lies: 1 on the cut's left, 2 on its right, else 0."""
    part = _chosen(runs, which)
    columns, step = _narrowest(part)
    ways = columns[part.rows - part.rows[0]]
    # A gap between the lungs may be thinner than the cut is exact.
    ways = np.where(ways - part.starts < step, np.minimum(ways, part.starts), ways)
    ways = np.where(part.ends - ways < step, np.maximum(ways, part.ends), ways)
    at = runs.ends.copy()
    at[which] = ways
    starts = np.stack([runs.starts, np.maximum(runs.starts, at)], 1).ravel()
    ends = np.stack([np.minimum(runs.ends, at), runs.ends], 1).ravel()
    sides = (np.stack([which, which], 1) * [1, 2]).ravel()
    there = starts < ends
    return _chosen(Runs(np.repeat(runs.rows, 2), starts, ends, runs.width), there), sides[there]


def _narrowest(part: Runs) -> tuple[Integers, int]:
    """The first column of the left lung in each row of a part that holds both lungs, and how exact it is in pixels.

    It follows the way from the part's top to its bottom of which the least lies within the part.
    """
    left = int(part.starts.min())
    height, width = int(part.rows[-1] - part.rows[0]) + 1, int(part.ends.max()) - left
    step = math.ceil(max(height, width) / _COARSE)
    way = _cheapest_way(
        _covered(Runs(part.rows - part.rows[0], part.starts - left, part.ends - left, width), height, step) / step**2
    )
    columns = np.interp((np.arange(height) + 0.5) / step - 0.5, np.arange(len(way)), way)
    first: Integers = left + np.clip(np.ceil((columns + 0.5) * step - 0.5).astype(np.int64), 1, width - 1)
    return first, step


def _cheapest_way(shares: NDArray[np.float64]) -> Integers:
    """The column in each row of (H, W) in [0, 1] of the way down that has the least sum of shares along its length.

    From row to row it goes straight down or to a neighbouring column. It leaves at least `_SMALLEST_LUNG` of the whole
    on either side, and of equal ways it is the one nearest to the middle.
    """
    mass = np.cumsum(shares.sum(0)) / shares.sum()
    first, last = np.searchsorted(mass, (_SMALLEST_LUNG, 1 - _SMALLEST_LUNG))
    off = np.abs(np.arange(first, last + 1) - (first + last) / 2) / len(mass)
    costs = shares[:, first : last + 1] * (1 + _OFF_MIDDLE * off)
    total = np.full(costs.shape[1] + 2, np.inf)
    total[1:-1] = 0
    moves = np.empty(costs.shape, np.int64)
    for row, cost in enumerate(costs):
        aslant, straight = np.minimum(total[:-2], total[2:]) + math.sqrt(2) * cost, total[1:-1] + cost
        moves[row] = np.where(aslant < straight, np.where(total[:-2] <= total[2:], -1, 1), 0)
        total[1:-1] = np.minimum(aslant, straight)
    way = np.empty(len(costs), np.int64)
    place = int(total[1:-1].argmin())
    for row in range(len(costs) - 1, -1, -1):
        way[row] = place
        place += int(moves[row, place])
    return way + first


def _chosen(runs: Runs, which: NDArray[np.bool_]) -> Runs:
    return replace(runs, rows=runs.rows[which], starts=runs.starts[which], ends=runs.ends[which])


def _mirrored(runs: Runs) -> Runs:
    order = np.lexsort((-runs.starts, runs.rows))
    starts, ends = runs.width - runs.ends[order], runs.width - runs.starts[order]
    return replace(runs, rows=runs.rows[order], starts=starts, ends=ends)


def _centroids(runs: Runs, parts: Integers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column of each part's centroid, in pixels from the image's edges."""
    lengths = runs.ends - runs.starts
    doubled = (lengths * (2 * runs.rows + 1), lengths * (runs.starts + runs.ends))
    rows, columns = (np.bincount(parts, places) / (2 * runs.areas(parts)) for places in doubled)
    return rows, columns


def _covered(runs: Runs, height: int, step: int) -> Integers:
    """How many pixels of each square of `step` x `step` pixels of an image of that height are in the runs."""
    changes = np.zeros((-(-height // step), runs.width // step + 2), np.int64)  # from a square to that on its right
    for places, sign in ((runs.starts, 1), (runs.ends, -1)):
        columns, within = np.divmod(places, step)
        np.add.at(changes, (runs.rows // step, columns), sign * (step - within))
        np.add.at(changes, (runs.rows // step, columns + 1), sign * within)
    return changes.cumsum(1)[:, : -(-runs.width // step)]

"""Masks as runs of pixels along rows, by which connected parts are found without a look at each pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lungmask_cli.imaging.radiograph import Mask

Integers = NDArray[np.int64]

_SMALLEST_SHARE = 0.1


@dataclass(frozen=True)
class Runs:
    """The runs of a mask (H, W), from the upper left to the lower right.

    Args:
        rows: the row of each.
        starts: its first column.
        ends: the column after its last.
        width: W.
    """

    rows: Integers
    starts: Integers
    ends: Integers
    width: int

    def labels(self, diagonally: bool) -> tuple[int, Integers]:
        """How many connected parts there are, and the number of that of each run.

        Args:
            diagonally: pixels that share a corner are connected (8 neighbours), not only those that share a side.
        """
        if not len(self.rows):
            return 0, np.zeros(0, np.int64)
        above, below = self._neighbours(int(diagonally))
        graph = coo_array((np.ones(len(above), np.bool_), (above, below)), shape=(len(self.rows),) * 2)
        count, labels = connected_components(graph, directed=False)
        return int(count), labels.astype(np.int64)

    def areas(self, labels: Integers) -> Integers:
        """The pixels of each part."""
        return np.bincount(labels, self.ends - self.starts).astype(np.int64)

    def centres(self, labels: Integers) -> NDArray[np.float64]:
        """The mean column of each part, from 0 at the left edge to the width at the right one."""
        areas = self.ends - self.starts
        centres: NDArray[np.float64] = np.bincount(labels, areas * (self.starts + self.ends) / 2) / self.areas(labels)
        return centres

    def paint(self, mask: Mask, chosen: NDArray[np.bool_], value: bool) -> Mask:
        """A copy of the mask with the chosen runs set to `value`."""
        painted = mask.copy()
        for row, start, end in zip(self.rows[chosen], self.starts[chosen], self.ends[chosen], strict=True):
            painted[row, start:end] = value
        return painted

    def _neighbours(self, reach: int) -> tuple[Integers, Integers]:
        """Every pair of a run and one that it touches in the next row."""
        step = self.width + 2  # so that no run reaches into another row
        first = np.searchsorted(self.rows * step + self.ends, (self.rows + 1) * step + self.starts - reach, "right")
        beyond = np.searchsorted(self.rows * step + self.starts, (self.rows + 1) * step + self.ends + reach, "left")
        counts = np.maximum(beyond - first, 0)
        above = np.repeat(np.arange(len(self.rows)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return above, np.repeat(first, counts) + within


def find_runs(mask: Mask) -> Runs:
    """The runs of what is true in (H, W)."""
    flat, width = mask.ravel(), mask.shape[1]
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    outer = np.array([0, flat.size])[flat[[0, -1]]]
    around = (
        np.flatnonzero(mask[:-1, -1] & mask[1:, 0]) + 1
    ) * width  # where one row ends with a run and the next begins
    edges = np.sort(np.concatenate([outer, changes, around, around]))
    rows = edges[::2] // width
    return Runs(rows, edges[::2] - rows * width, edges[1::2] - rows * width, width)


def fill_holes(mask: Mask) -> Mask:
    """The mask and every 4-connected part of the background that does not reach the image's edge."""
    runs = find_runs(~mask)
    count, labels = runs.labels(diagonally=False)
    outside = np.zeros(count, np.bool_)
    at_edge = (runs.rows == 0) | (runs.rows == len(mask) - 1) | (runs.starts == 0) | (runs.ends == mask.shape[1])
    outside[labels[at_edge]] = True
    return runs.paint(mask, ~outside[labels], value=True)


def clean(mask: Mask, most: int | None = 2) -> Mask:
    """The mask (H, W) with its holes filled and only its two largest parts kept.

    Of more than two, those near the middle column count as larger than those at the sides, such as the air beside the
    arms, of which only as much of the area counts as they are near. Parts with under a tenth of the largest one's area
    are dropped: they are specks, not lungs. Parts are 8-connected.

    Args:
        mask: what was drawn.
        most: how many parts are kept; None for all that are no specks.
    """
    filled = fill_holes(mask)
    runs = find_runs(filled)
    count, labels = runs.labels(diagonally=True)
    if count < 2:
        return filled
    areas = runs.areas(labels)
    near = 1 - np.abs(2 * runs.centres(labels) / mask.shape[1] - 1)
    largest = np.argsort(areas * near)[::-1][:most]
    kept = [label for label in largest if areas[label] >= _SMALLEST_SHARE * areas.max()]
    return runs.paint(filled, ~np.isin(labels, kept), value=False)

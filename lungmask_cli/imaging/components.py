"""Connected components of masks, from the runs of pixels along their rows, which are fewer than the pixels."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.radiograph import Mask

Integers = NDArray[np.int64]

# Components below this share of the largest component's area are specks, not lungs.
SPECK_SHARE = 0.1


@dataclass(frozen=True)
class PixelRuns:
    """The horizontal runs of a mask (H, W), ordered by row and column.

    Args:
        rows: the row of each run.
        starts: its first column.
        ends: the column after its last.
        width: W.
    """

    rows: Integers
    starts: Integers
    ends: Integers
    width: int

    @property
    def lengths(self) -> Integers:
        """The number of pixels of each run."""
        return self.ends - self.starts

    def select(self, selected: NDArray[np.bool_]) -> "PixelRuns":
        """The selected runs alone."""
        return replace(self, rows=self.rows[selected], starts=self.starts[selected], ends=self.ends[selected])

    def mirror(self) -> "PixelRuns":
        """The runs of the mask with image left and right exchanged."""
        order = np.lexsort((-self.starts, self.rows))
        starts, ends = self.width - self.ends[order], self.width - self.starts[order]
        return replace(self, rows=self.rows[order], starts=starts, ends=ends)

    def label(self, diagonally: bool) -> tuple[int, Integers]:
        """The number of connected components, and the label of each run's component, from 0.

        Args:
            diagonally: pixels that share a corner are connected (8 neighbours), not only those that share a side (4).
        """
        contacts = np.stack(self._find_contacts(int(diagonally)))
        first = np.arange(len(self.rows))  # of the runs that are known to be connected to each run
        while contacts.size:
            np.minimum.at(first, contacts.max(0), contacts.min(0))
            while (first != first[first]).any():
                first = first[first]
            contacts = first[contacts]
            contacts = contacts[:, contacts[0] != contacts[1]]
        starts, labels = np.unique(first, return_inverse=True)
        return len(starts), labels

    def areas(self, labels: Integers) -> Integers:
        """The number of pixels of each component."""
        return np.bincount(labels, self.lengths).astype(np.int64)

    def centroids(self, labels: Integers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Row and column of each component's centroid, in pixels from the upper and left edge of the image."""
        doubled = (self.lengths * (2 * self.rows + 1), self.lengths * (self.starts + self.ends))
        rows, columns = (np.bincount(labels, moments) / (2 * self.areas(labels)) for moments in doubled)
        return rows, columns

    def paint(self, mask: Mask, value: bool) -> Mask:
        """A copy of the mask (H, W) with the pixels of the runs set to `value`."""
        painted = mask.copy()
        for row, start, end in zip(self.rows, self.starts, self.ends, strict=True):
            painted[row, start:end] = value
        return painted

    def _find_contacts(self, reach: int) -> tuple[Integers, Integers]:
        """Every pair of a run and one in the next row that touches it; with `reach` 1, a corner is enough."""
        step = self.width + 2  # so that no run reaches into another row
        first = np.searchsorted(self.rows * step + self.ends, (self.rows + 1) * step + self.starts - reach, "right")
        beyond = np.searchsorted(self.rows * step + self.starts, (self.rows + 1) * step + self.ends + reach, "left")
        counts = np.maximum(beyond - first, 0)
        above = np.repeat(np.arange(len(self.rows)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return above, np.repeat(first, counts) + within


def encode_runs(mask: Mask) -> PixelRuns:
    """The runs of the true pixels of (H, W)."""
    flat, width = mask.ravel(), mask.shape[1]
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    outer = np.array([0, flat.size])[flat[[0, -1]]]
    # Where one row ends with a run and the next begins with one, the flat mask does not change.
    wrapped = (np.flatnonzero(mask[:-1, -1] & mask[1:, 0]) + 1) * width
    edges = np.sort(np.concatenate([outer, changes, wrapped, wrapped]))
    rows = edges[::2] // width
    return PixelRuns(rows, edges[::2] - rows * width, edges[1::2] - rows * width, width)


def count_components(mask: Mask) -> int:
    """The number of 8-connected components of the mask (H, W)."""
    return encode_runs(mask).label(diagonally=True)[0]


def fill_holes(mask: Mask) -> Mask:
    """The mask with its holes: the 4-connected components of the background that do not reach the image's edge."""
    runs = encode_runs(~mask)
    count, labels = runs.label(diagonally=False)
    outside = np.zeros(count, np.bool_)
    at_edge = (runs.rows == 0) | (runs.rows == len(mask) - 1) | (runs.starts == 0) | (runs.ends == mask.shape[1])
    outside[labels[at_edge]] = True
    return runs.select(~outside[labels]).paint(mask, value=True)


def clean(mask: Mask, most: int | None = 2) -> Mask:
    """The mask (H, W) with its holes filled and only its `most` largest 8-connected components kept.

    Components are ranked by area, weighted by how near they are to the middle column, because the air beside the arms
    may be segmented, too. Components with less than a tenth of the largest area are removed as specks.

    Args:
        mask: the predicted mask.
        most: how many components are kept; None for all but specks.
    """
    filled = fill_holes(mask)
    runs = encode_runs(filled)
    count, labels = runs.label(diagonally=True)
    if count < 2:
        return filled
    areas = runs.areas(labels)
    nearness = 1 - np.abs(2 * runs.centroids(labels)[1] / mask.shape[1] - 1)
    largest = np.argsort(areas * nearness)[::-1][:most]
    kept = [label for label in largest if areas[label] >= SPECK_SHARE * areas.max()]
    return runs.select(~np.isin(labels, kept)).paint(filled, value=False)

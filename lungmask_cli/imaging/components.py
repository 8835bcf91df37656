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
        shape: H and W.
    """

    rows: Integers
    starts: Integers
    ends: Integers
    shape: tuple[int, int]

    @property
    def lengths(self) -> Integers:
        """The number of pixels of each run."""
        return self.ends - self.starts

    @property
    def area(self) -> int:
        """The number of pixels."""
        return int(self.lengths.sum())

    def paint(self) -> Mask:
        """The mask, (H, W) bool."""
        mask = np.zeros(self.shape, np.bool_)
        for row, start, end in zip(self.rows.tolist(), self.starts.tolist(), self.ends.tolist(), strict=True):
            mask[row, start:end] = True
        return mask

    def select(self, selected: NDArray[np.bool_]) -> "PixelRuns":
        """The selected runs alone."""
        return replace(self, rows=self.rows[selected], starts=self.starts[selected], ends=self.ends[selected])

    def mirror(self) -> "PixelRuns":
        """The runs of the mask with image left and right exchanged."""
        order = np.lexsort((-self.starts, self.rows))
        starts, ends = self.shape[1] - self.ends[order], self.shape[1] - self.starts[order]
        return replace(self, rows=self.rows[order], starts=starts, ends=ends)

    def complement(self) -> "PixelRuns":
        """The runs of all other pixels."""
        height, width = self.shape
        every, none = np.arange(height), np.zeros(height, np.int64)
        rows = np.concatenate([self.rows, self.rows, every, every])
        return runs_between(rows, np.concatenate([self.starts, self.ends, none, none + width]), self.shape)

    def join(self, other: "PixelRuns") -> "PixelRuns":
        """These runs and others, which have no pixel in common with them."""
        rows = np.concatenate([self.rows, self.rows, other.rows, other.rows])
        return runs_between(rows, np.concatenate([self.starts, self.ends, other.starts, other.ends]), self.shape)

    def sample(self, rows: Integers, columns: Integers) -> "PixelRuns":
        """The runs of the mask that consists of these rows and columns of this one, both ascending."""
        first, last = np.searchsorted(self.rows, rows), np.searchsorted(self.rows, rows, "right")
        counts = last - first
        taken = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        starts, ends = (np.searchsorted(columns, edges[taken]) for edges in (self.starts, self.ends))
        sampled = PixelRuns(np.repeat(np.arange(len(rows)), counts), starts, ends, (len(rows), len(columns)))
        return sampled.select(starts < ends)

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

    def fill_holes(self) -> "PixelRuns":
        """The runs with their holes: the 4-connected components of the rest that do not reach the image's edge."""
        rest = self.complement()
        count, labels = rest.label(diagonally=False)
        height, width = self.shape
        outside = np.zeros(count, np.bool_)
        outside[labels[(rest.rows == 0) | (rest.rows == height - 1) | (rest.starts == 0) | (rest.ends == width)]] = True
        return self.join(rest.select(~outside[labels])) if count > np.count_nonzero(outside) else self

    def clean(self, most: int | None = 2) -> "PixelRuns":
        """The runs with their holes filled, and of these only the `most` largest 8-connected components.

        Components are ranked by area, weighted by how near they are to the middle column, because the air beside the
        arms may be segmented, too. Components with less than a tenth of the largest area are removed as specks.

        Args:
            most: how many components are kept; None for all but specks.
        """
        filled = self.fill_holes()
        count, labels = filled.label(diagonally=True)
        if count < 2:
            return filled
        areas = filled.areas(labels)
        nearness = 1 - np.abs(2 * filled.centroids(labels)[1] / self.shape[1] - 1)
        largest = np.argsort(areas * nearness)[::-1][:most]
        return filled.select(np.isin(labels, largest[areas[largest] >= SPECK_SHARE * areas.max()]))

    def _find_contacts(self, reach: int) -> tuple[Integers, Integers]:
        """Every pair of a run and one in the next row that touches it; with `reach` 1, a corner is enough."""
        step = self.shape[1] + 2  # so that no run reaches into another row
        first = np.searchsorted(self.rows * step + self.ends, (self.rows + 1) * step + self.starts - reach, "right")
        beyond = np.searchsorted(self.rows * step + self.starts, (self.rows + 1) * step + self.ends + reach, "left")
        counts = np.maximum(beyond - first, 0)
        above = np.repeat(np.arange(len(self.rows)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return above, np.repeat(first, counts) + within


def runs_between(rows: Integers, columns: Integers, shape: tuple[int, int]) -> PixelRuns:
    """The runs whose starts and ends are these columns of these rows, in any order; pairs of equal ones cancel."""
    step = shape[1] + 1  # the end of a row is not the start of the next
    edges, counts = np.unique(rows * step + columns, return_counts=True)
    starts, ends = edges[counts % 2 == 1].reshape(-1, 2).T
    return PixelRuns(starts // step, starts % step, ends % step, shape)


def encode_runs(mask: Mask) -> PixelRuns:
    """The runs of the true pixels of (H, W)."""
    flat, width = mask.ravel(), mask.shape[1]
    rows, columns = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]) + 1, width)
    within = columns > 0
    first, last = np.flatnonzero(mask[:, 0]), np.flatnonzero(mask[:, -1])
    rows = np.concatenate([rows[within], first, last])
    return runs_between(rows, np.concatenate([columns[within], 0 * first, 0 * last + width]), mask.shape)


def clean(mask: Mask, most: int | None = 2) -> Mask:
    """As `PixelRuns.clean`, for a mask (H, W)."""
    return encode_runs(mask).clean(most).paint()


def fill_holes(mask: Mask) -> Mask:
    """As `PixelRuns.fill_holes`, for a mask (H, W)."""
    return encode_runs(mask).fill_holes().paint()


def count_components(mask: Mask) -> int:
    """The number of 8-connected components of the mask (H, W)."""
    return encode_runs(mask).label(diagonally=True)[0]

"""The cardiothoracic ratio: the greatest transverse width of the heart by the greatest inner width of the thorax.

Source: Danzer 1919 (The American Journal of the Medical Sciences 157:513), on posteroanterior radiographs. The inner
width of the thorax is taken between the outermost borders of the lungs. Both widths are measured along the rows of the
image, so a rotated patient is measured as the image shows him.
"""

from dataclasses import dataclass

import numpy as np

from lungmask_cli.imaging.components import PixelRuns


@dataclass(frozen=True)
class Extent:
    """The columns that a structure covers.

    Args:
        first: the first column with a pixel.
        end: the column after the last.
        row: the row in which its width is drawn: halfway between its outermost pixels.
    """

    first: int
    end: int
    row: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.end - self.first


@dataclass(frozen=True)
class CardiothoracicRatio:
    """The cardiothoracic ratio, and the two widths that it compares."""

    heart: Extent
    thorax: Extent

    @property
    def value(self) -> float:
        """The ratio; columns are equally far apart, so that it needs no pixel spacing."""
        return self.heart.width / self.thorax.width


def measure_ratio(heart: PixelRuns, right: PixelRuns, left: PixelRuns) -> CardiothoracicRatio | None:
    """The ratio from the runs of the heart and of both lungs; None where one of them is missing."""
    if not (heart.area and right.area and left.area):
        return None
    return CardiothoracicRatio(find_extent(heart), find_extent(right, left))


def find_extent(*parts: PixelRuns) -> Extent:
    """The columns that parts with at least one pixel cover together."""
    rows, starts, ends = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "starts", "ends")
    )
    first, end = int(starts.min()), int(ends.max())
    outermost = rows[starts == first].mean(), rows[ends == end].mean()
    return Extent(first, end, round(sum(outermost) / 2))

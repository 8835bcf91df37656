"""How far two masks cover each other."""

import math
from dataclasses import dataclass

import numpy as np

from lungmask_cli.imaging.radiograph import Mask


@dataclass(frozen=True)
class Overlap:
    """Areas in pixels, and the ratios that follow from them, in [0, 1].

    With both masks empty all ratios are NaN, that is undefined; with one empty `dice` and `iou` are 0. `sensitivity`
    is undefined without truth, `precision` without anything drawn. Source: the paper, equation 2; Metrics Reloaded
    (s41592-023-02151-z).
    """

    drawn: int
    truth: int
    common: int

    @property
    def dice(self) -> float:
        """2 |X and Y| / (|X| + |Y|)."""
        return _ratio(2 * self.common, self.drawn + self.truth)

    @property
    def iou(self) -> float:
        """Intersection over union, |X and Y| / |X or Y|."""
        return _ratio(self.common, self.drawn + self.truth - self.common)

    @property
    def sensitivity(self) -> float:
        """|X and Y| / |Y|."""
        return _ratio(self.common, self.truth)

    @property
    def precision(self) -> float:
        """|X and Y| / |X|."""
        return _ratio(self.common, self.drawn)

    @property
    def over_segmented(self) -> int:
        """What was drawn and is no lung, in pixels."""
        return self.drawn - self.common

    @property
    def under_segmented(self) -> int:
        """Lung that was not drawn, in pixels."""
        return self.truth - self.common


def overlap(drawn: Mask, truth: Mask) -> Overlap:
    """The areas of two masks (H, W) and of what they have in common.

    Raises:
        ValueError: the shapes differ.
    """
    if drawn.shape != truth.shape:
        raise ValueError(f"masks of shapes {drawn.shape} and {truth.shape} cannot be compared")
    return Overlap(int(np.count_nonzero(drawn)), int(np.count_nonzero(truth)), int(np.count_nonzero(drawn & truth)))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan

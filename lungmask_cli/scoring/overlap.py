"""The overlap of two masks, and the ratios computed from it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lungmask_cli.imaging.radiograph import Mask


@dataclass(frozen=True)
class Overlap:
    """Areas in pixels, and the ratios that follow from them, in [0, 1].

    If both masks are empty, all ratios are NaN, that is undefined; if one is empty, `dice` and `iou` are 0.
    `sensitivity` is undefined if the reference mask is empty, `precision` if the predicted mask is empty. Source: the
    paper, equation 2; Metrics Reloaded (s41592-023-02151-z).
    """

    predicted: int
    truth: int
    intersection: int

    @property
    def dice(self) -> float:
        """2 |X and Y| / (|X| + |Y|)."""
        return _ratio(2 * self.intersection, self.predicted + self.truth)

    @property
    def iou(self) -> float:
        """Intersection over union, |X and Y| / |X or Y|."""
        return _ratio(self.intersection, self.predicted + self.truth - self.intersection)

    @property
    def sensitivity(self) -> float:
        """|X and Y| / |Y|."""
        return _ratio(self.intersection, self.truth)

    @property
    def precision(self) -> float:
        """|X and Y| / |X|."""
        return _ratio(self.intersection, self.predicted)

    @property
    def area_difference(self) -> int:
        """Predicted area minus reference area."""
        return self.predicted - self.truth

    @property
    def over_segmented(self) -> int:
        """Pixels that are predicted as lung but are not in the reference mask."""
        return self.predicted - self.intersection

    @property
    def under_segmented(self) -> int:
        """Pixels of the reference mask that are not predicted as lung."""
        return self.truth - self.intersection


def overlap(predicted: Mask, truth: Mask) -> Overlap:
    """The areas of two masks (H, W) and of their intersection.

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of shapes {predicted.shape} and {truth.shape} cannot be compared")
    areas = (int(np.count_nonzero(mask)) for mask in (predicted, truth, predicted & truth))
    return Overlap(*areas)


def mean_dice(dices: Iterable[float]) -> tuple[float, int]:
    """The mean of the defined values, NaN if there is none, and the number of the undefined ones, which are NaN."""
    values = list(dices)
    defined = [value for value in values if not math.isnan(value)]
    return (sum(defined) / len(defined) if defined else math.nan), len(values) - len(defined)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan

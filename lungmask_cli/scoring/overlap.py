"""How far two masks agree."""

from dataclasses import dataclass

import numpy as np

from lungmask_cli.imaging.radiograph import Mask


@dataclass(frozen=True)
class Overlap:
    """Agreement of two masks: `dice` and `iou`, both in [0, 1]; NaN, that is undefined, where both masks are empty."""

    dice: float
    iou: float


def overlap(drawn: Mask, truth: Mask) -> Overlap:
    """Dice 2 |X and Y| / (|X| + |Y|) and intersection over union |X and Y| / |X or Y| of two (H, W) bool masks.

    With one mask empty both are 0, with both empty both are NaN. Source: the paper, equation 2; Metrics Reloaded
    (s41592-023-02151-z).

    Raises:
        ValueError: the shapes differ.
    """
    if drawn.shape != truth.shape:
        raise ValueError(f"masks of shapes {drawn.shape} and {truth.shape} cannot be compared")
    common = int(np.count_nonzero(drawn & truth))
    areas = int(np.count_nonzero(drawn)) + int(np.count_nonzero(truth))
    if areas == 0:
        return Overlap(float("nan"), float("nan"))
    return Overlap(2 * common / areas, common / (areas - common))

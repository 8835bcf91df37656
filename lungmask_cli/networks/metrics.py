"""The Dice coefficient as a Keras metric."""

import math
from typing import Any

from keras import KerasTensor, metrics, ops


class MeanDice(metrics.Metric):
    """Mean over images of 2 |X and Y| / (|X| + |Y|), masks thresholded at 0.5; images with two empty masks are skipped.

    Takes the reference mask and the predicted probability, both (B, H, W, 1). Source: the paper, equation 2.
    """

    def __init__(self, name: str = "dice", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")

    def update_state(self, y_true: KerasTensor, y_pred: KerasTensor, sample_weight: Any = None) -> None:
        """Add one batch; `sample_weight` is ignored."""
        truth = ops.cast(y_true > 0.5, "float32")
        predicted = ops.cast(y_pred > 0.5, "float32")
        overlap = ops.sum(truth * predicted, axis=(1, 2, 3))
        area = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(predicted, axis=(1, 2, 3))
        self.total.assign_add(ops.sum(2.0 * overlap / ops.maximum(area, 1.0)))
        self.count.assign_add(ops.sum(ops.cast(area > 0, "float32")))

    def result(self) -> KerasTensor:
        """The mean so far; NaN if there was no image with a mask."""
        return ops.where(self.count > 0, self.total / ops.maximum(self.count, 1.0), math.nan)

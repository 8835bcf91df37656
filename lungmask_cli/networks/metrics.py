"""The Dice coefficient as a Keras metric."""

import math
from typing import Any

from keras import KerasTensor, metrics, ops

from lungmask_cli.config import LUNGS
from lungmask_cli.networks.losses import is_annotated


def dice_name(structure: str) -> str:
    """The name of the Dice of a structure: `dice` for the lungs, `heart_dice` for the heart."""
    return "dice" if structure == LUNGS else f"{structure}_dice"


class MeanDice(metrics.Metric):
    """Mean over images of 2 |X and Y| / (|X| + |Y|), masks thresholded at 0.5, of one structure.

    Images with two empty masks, and those in which the structure is not drawn, are skipped.

    Takes the reference masks and the predicted probabilities, both (B, H, W, structures). Source: the paper,
    equation 2.

    Args:
        name: the name of the metric.
        structure: the index of the structure.
        kwargs: as in Keras.
    """

    def __init__(self, name: str = "dice", structure: int = 0, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.structure = structure
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")

    def update_state(self, y_true: KerasTensor, y_pred: KerasTensor, sample_weight: Any = None) -> None:
        """Add one batch; `sample_weight` is ignored."""
        own = slice(self.structure, self.structure + 1)
        drawn = ops.cast(is_annotated(ops.convert_to_tensor(y_true)[..., own]), "float32")
        truth = ops.cast(y_true[..., own] > 0.5, "float32")
        predicted = ops.cast(y_pred[..., own] > 0.5, "float32") * drawn
        overlap = ops.sum(truth * predicted, axis=(1, 2, 3))
        area = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(predicted, axis=(1, 2, 3))
        self.total.assign_add(ops.sum(2.0 * overlap / ops.maximum(area, 1.0)))
        self.count.assign_add(ops.sum(ops.cast(area > 0, "float32")))

    def result(self) -> KerasTensor:
        """The mean so far; NaN if there was no image with a mask."""
        return ops.where(self.count > 0, self.total / ops.maximum(self.count, 1.0), math.nan)

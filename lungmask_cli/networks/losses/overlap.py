"""Losses that compare the areas of two masks, image by image."""

from keras import KerasTensor, ops

from lungmask_cli.networks.losses.mean import mean

_MISSED = 0.7  # weight of missed lung; the rest is that of what is drawn too much
_FOCUS = 4 / 3


def dice(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """One minus the mean over images of 2 sum(t p) / (sum(t) + sum(p)), with one pixel added against 0 / 0.

    Source: Milletari et al. 2016 (arXiv:1606.04797), with the sums unsquared.
    """
    overlap = ops.sum(truth * probability, axis=(1, 2, 3))
    total = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    return mean(1.0 - (2.0 * overlap + 1.0) / (total + 1.0))


def focal_tversky(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The mean over images of (1 - T)^(3/4), T = sum(t p) / (sum(t p) + 0.7 missed + 0.3 too much), one pixel added.

    Source: Abraham and Khan 2018 (arXiv:1810.07842), equations 3 and 4, with alpha 0.7 and gamma 4/3.
    """
    overlap = ops.sum(truth * probability, axis=(1, 2, 3))
    missed = ops.sum(truth * (1.0 - probability), axis=(1, 2, 3))
    added = ops.sum((1.0 - truth) * probability, axis=(1, 2, 3))
    index = (overlap + 1.0) / (overlap + _MISSED * missed + (1.0 - _MISSED) * added + 1.0)
    # The power has no slope at 0, which a perfect mask would turn into NaN.
    return mean(ops.maximum(1.0 - index, 1e-7) ** (1 / _FOCUS))

"""What the generator and the discriminator are asked to make small.

Masks and probabilities are (B, H, W, 1) in [0, 1], logits (B, h, w, 1); every loss is a scalar.
"""

import keras
from keras import KerasTensor, ops

from lungmask_cli.config import LossConfig


def soft_dice_loss(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """One minus the mean over images of 2 sum(t p) / (sum(t) + sum(p)), with one pixel added against 0 / 0.

    Source: Milletari et al. 2016 (arXiv:1606.04797), with the sums unsquared.
    """
    overlap = ops.sum(truth * probability, axis=(1, 2, 3))
    total = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    return _mean(1.0 - (2.0 * overlap + 1.0) / (total + 1.0))


def segmentation_loss(config: LossConfig, truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The weighted sum of those losses that compare the drawn mask with the hand-made one."""
    loss = ops.zeros(())
    if config.l1:
        loss += config.l1 * _mean(ops.abs(truth - probability))
    if config.cross_entropy:
        loss += config.cross_entropy * _mean(keras.losses.binary_crossentropy(truth, probability))
    if config.dice:
        loss += config.dice * soft_dice_loss(truth, probability)
    return loss


def adversarial_loss(logits: KerasTensor, label: float) -> KerasTensor:
    """Binary cross-entropy of the discriminator's logits against one label for every patch."""
    target = ops.full_like(logits, label)
    return ops.mean(keras.losses.binary_crossentropy(target, logits, from_logits=True))


def _mean(values: KerasTensor) -> KerasTensor:
    """The mean, 0 of nothing: of several devices, one may be left without an image of the last batch."""
    return ops.sum(values) / ops.cast(ops.maximum(ops.size(values), 1), keras.backend.standardize_dtype(values.dtype))

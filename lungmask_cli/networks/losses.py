"""The losses of the generator and the discriminator.

Losses that compare masks are registered in `networks/parts.py`. Each takes the reference mask of one structure and its
predicted probability, both (B, H, W, 1) in [0, 1], and returns a scalar: a mean over images.
"""

from collections.abc import Mapping

import keras
from keras import KerasTensor, ops

from lungmask_cli.networks.parts import LOSSES, find_part

_MISSED = 0.7  # the weight of missed lung; false lung has the rest
_FOCUS = 4 / 3


def structures_loss(terms: Mapping[str, float], truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The sum of the segmentation losses of all structures; 0 for a structure in an image in which it is not drawn.

    It is a mean over the labelled images: those with a structure that is drawn.

    Args:
        terms: as in `segmentation_loss`.
        truth: the reference masks, (B, H, W, structures) in [0, 1]; -1 where a structure is not drawn.
        probability: the predicted probabilities, of the same shape.

    Raises:
        ConfigError: no loss has this name.
    """
    drawn, labelled = is_annotated(truth), ops.cast(is_labelled(truth), "float32")
    truth, probability = (ops.where(drawn, values, 0.0) for values in (truth, probability))  # two empty masks
    own = [slice(index, index + 1) for index in range(truth.shape[-1])]
    loss = sum(segmentation_loss(terms, truth[..., one], probability[..., one]) for one in own)
    return loss * (ops.cast(ops.size(labelled), "float32") / ops.maximum(ops.sum(labelled), 1.0))


def is_labelled(truth: KerasTensor) -> KerasTensor:
    """Whether any structure is drawn in each image: (B, 1, 1, 1) bool."""
    return ops.any(is_annotated(truth), axis=-1, keepdims=True)


def is_annotated(truth: KerasTensor) -> KerasTensor:
    """Whether each structure is drawn in each image: (B, 1, 1, structures) bool."""
    return ops.min(truth, axis=(1, 2), keepdims=True) >= 0


def segmentation_loss(terms: Mapping[str, float], truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The weighted sum of registered losses of one structure; `terms` maps their names to their weights.

    Raises:
        ConfigError: no loss has this name.
    """
    loss = ops.zeros(())
    for name, weight in terms.items():
        loss += weight * find_part("loss", name, LOSSES).load()(truth, probability)
    return loss


def adversarial_loss(
    logits: KerasTensor | list[KerasTensor], label: float, images: KerasTensor | None = None
) -> KerasTensor:
    """Binary cross-entropy of logits against one label for all patches; the mean over several discriminators.

    With label 1 for predicted masks it is the generator's non-saturating loss (Goodfellow et al. 2014,
    arXiv:1406.2661, section 3).

    Args:
        logits: (B, h, w, 1), or a list of them.
        label: the label.
        images: (B,), 1 for the images to take the mean of, and 0 for the others; all by default.
    """
    losses = []
    for output in keras.tree.flatten(logits):
        entropy = keras.losses.binary_crossentropy(ops.full_like(output, label), output, from_logits=True)
        losses.append(ops.mean(entropy) if images is None else mean_of(ops.mean(entropy, axis=(1, 2)), images))
    return sum(losses) / len(losses)


def mean_of(values: KerasTensor, images: KerasTensor) -> KerasTensor:
    """The mean of the values (B,) of those images that are 1 and not 0 in `images` (B,); 0 without any."""
    return ops.sum(values * images) / ops.maximum(ops.sum(images), 1.0)


def mean(values: KerasTensor) -> KerasTensor:
    """The mean, or 0 without values: one of several devices may have no image of the last batch."""
    return ops.sum(values) / ops.cast(ops.maximum(ops.size(values), 1), keras.backend.standardize_dtype(values.dtype))


def l1(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The mean absolute difference, as in pix2pix (Isola et al. 2017, arXiv:1611.07004, equation 3)."""
    return mean(ops.abs(truth - probability))


def cross_entropy(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The mean binary cross-entropy."""
    return mean(keras.losses.binary_crossentropy(truth, probability))


def dice(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """One minus the mean over images of 2 sum(t p) / (sum(t) + sum(p)); one pixel is added against 0 / 0.

    Source: Milletari et al. 2016 (arXiv:1606.04797), with the sums unsquared.
    """
    overlap = ops.sum(truth * probability, axis=(1, 2, 3))
    total = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    return mean(1.0 - (2.0 * overlap + 1.0) / (total + 1.0))


def focal_tversky(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The mean over images of (1 - T)^(3/4), T = sum(t p) / (sum(t p) + 0.7 missed + 0.3 false), one pixel added.

    Source: Abraham and Khan 2018 (arXiv:1810.07842), equations 3 and 4, with alpha 0.7 and gamma 4/3.
    """
    overlap = ops.sum(truth * probability, axis=(1, 2, 3))
    missed = ops.sum(truth * (1.0 - probability), axis=(1, 2, 3))
    false = ops.sum((1.0 - truth) * probability, axis=(1, 2, 3))
    index = (overlap + 1.0) / (overlap + _MISSED * missed + (1.0 - _MISSED) * false + 1.0)
    # The gradient of the power is infinite at 0, so a perfect mask would give NaN.
    return mean(ops.maximum(1.0 - index, 1e-7) ** (1 / _FOCUS))

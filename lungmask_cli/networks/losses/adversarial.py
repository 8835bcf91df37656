"""What the two players say of each other."""

import keras
from keras import KerasTensor, ops


def adversarial_loss(logits: KerasTensor | list[KerasTensor], label: float) -> KerasTensor:
    """Binary cross-entropy of logits against one label for every patch; of several discriminators the mean of theirs.

    With label 1 for drawn masks it is the generator's non-saturating loss (Goodfellow et al. 2014, arXiv:1406.2661, 3).
    """
    losses = [_against(one, label) for one in keras.tree.flatten(logits)]
    return sum(losses) / len(losses)


def _against(logits: KerasTensor, label: float) -> KerasTensor:
    return ops.mean(keras.losses.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True))

"""Losses that compare two masks pixel by pixel."""

import keras
from keras import KerasTensor, ops

from lungmask_cli.networks.losses.mean import mean


def l1(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The mean absolute difference, as in pix2pix (Isola et al. 2017, arXiv:1611.07004, equation 3)."""
    return mean(ops.abs(truth - probability))


def cross_entropy(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The mean binary cross-entropy."""
    return mean(keras.losses.binary_crossentropy(truth, probability))

"""The losses, on masks small enough for calculation by hand."""

import numpy as np
import pytest
import tensorflow as tf

from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.losses import adversarial_loss, segmentation_loss
from lungmask_cli.networks.parts import LOSSES

TRUTH = tf.reshape(tf.constant([1.0, 1.0, 0.0, 0.0]), (1, 2, 2, 1))
PREDICTED = tf.reshape(tf.constant([0.9, 0.5, 0.5, 0.1]), (1, 2, 2, 1))


def loss(name, truth=TRUTH, predicted=PREDICTED):
    return float(LOSSES[name].load()(truth, predicted))


def test_l1_by_hand():
    assert loss("l1") == pytest.approx((0.1 + 0.5 + 0.5 + 0.1) / 4)


def test_cross_entropy_by_hand():
    assert loss("cross_entropy") == pytest.approx(-(2 * np.log(0.9) + 2 * np.log(0.5)) / 4, rel=1e-5)


def test_dice_by_hand():
    assert loss("dice") == pytest.approx(1 - (2 * 1.4 + 1) / (2 + 2 + 1))


def test_focal_tversky_by_hand():
    index = (1.4 + 1) / (1.4 + 0.7 * 0.6 + 0.3 * 0.6 + 1)
    assert loss("focal_tversky") == pytest.approx((1 - index) ** 0.75, rel=1e-5)


def test_focal_tversky_penalises_missed_lung_more_than_false_lung():
    missed = tf.reshape(tf.constant([1.0, 0.0, 0.0, 0.0]), (1, 2, 2, 1))
    false = tf.reshape(tf.constant([1.0, 1.0, 1.0, 0.0]), (1, 2, 2, 1))
    assert loss("focal_tversky", predicted=missed) > loss("focal_tversky", predicted=false)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_lowest_for_equal_masks_and_has_a_finite_gradient(name):
    predicted = tf.Variable(TRUTH)
    with tf.GradientTape() as tape:
        lowest = LOSSES[name].load()(TRUTH, predicted)
    assert float(lowest) == pytest.approx(0, abs=1e-4)
    assert np.isfinite(tape.gradient(lowest, predicted).numpy()).all()
    assert loss(name) > float(lowest)


def test_losses_are_added_with_their_weights():
    terms = {"l1": 2.0, "dice": 0.5}
    assert float(segmentation_loss(terms, TRUTH, PREDICTED)) == pytest.approx(2 * loss("l1") + 0.5 * loss("dice"))
    with pytest.raises(ConfigError) as caught:
        segmentation_loss({"dise": 1.0}, TRUTH, PREDICTED)
    assert "Did you mean dice?" in caught.value.hint


def test_the_loss_is_the_mean_over_several_discriminators():
    one, two = tf.zeros((1, 4, 4, 1)), tf.fill((1, 1, 1, 1), 3.0)
    both = (float(adversarial_loss(one, 1.0)) + float(adversarial_loss(two, 1.0))) / 2
    assert float(adversarial_loss([one, two], 1.0)) == pytest.approx(both)
    assert float(adversarial_loss(one, 1.0)) == pytest.approx(np.log(2))

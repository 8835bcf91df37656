"""The losses on masks small enough to work out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.losses import adversarial_loss, segmentation_loss
from lungmask_cli.networks.parts import LOSSES

TRUTH = tf.reshape(tf.constant([1.0, 1.0, 0.0, 0.0]), (1, 2, 2, 1))
PREDICTED = tf.reshape(tf.constant([0.9, 0.5, 0.5, 0.1]), (1, 2, 2, 1))


def loss(name, truth=TRUTH, drawn=PREDICTED):
    return float(LOSSES[name].load()(truth, drawn))


def test_l1_by_hand():
    assert loss("l1") == pytest.approx((0.1 + 0.5 + 0.5 + 0.1) / 4)


def test_cross_entropy_by_hand():
    assert loss("cross_entropy") == pytest.approx(-(2 * np.log(0.9) + 2 * np.log(0.5)) / 4, rel=1e-5)


def test_dice_by_hand():
    assert loss("dice") == pytest.approx(1 - (2 * 1.4 + 1) / (2 + 2 + 1))


def test_focal_tversky_by_hand():
    index = (1.4 + 1) / (1.4 + 0.7 * 0.6 + 0.3 * 0.6 + 1)
    assert loss("focal_tversky") == pytest.approx((1 - index) ** 0.75, rel=1e-5)


def test_focal_tversky_forgives_missed_lung_least():
    missed = tf.reshape(tf.constant([1.0, 0.0, 0.0, 0.0]), (1, 2, 2, 1))
    added = tf.reshape(tf.constant([1.0, 1.0, 1.0, 0.0]), (1, 2, 2, 1))
    assert loss("focal_tversky", drawn=missed) > loss("focal_tversky", drawn=added)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_least_where_the_masks_agree_and_has_a_slope_there(name):
    drawn = tf.Variable(TRUTH)
    with tf.GradientTape() as tape:
        least = LOSSES[name].load()(TRUTH, drawn)
    assert float(least) == pytest.approx(0, abs=1e-4)
    assert np.isfinite(tape.gradient(least, drawn).numpy()).all()
    assert loss(name) > float(least)


def test_terms_are_added_with_their_weights():
    terms = {"l1": 2.0, "dice": 0.5}
    assert float(segmentation_loss(terms, TRUTH, PREDICTED)) == pytest.approx(2 * loss("l1") + 0.5 * loss("dice"))
    with pytest.raises(ConfigError) as caught:
        segmentation_loss({"dise": 1.0}, TRUTH, PREDICTED)
    assert "Did you mean dice?" in caught.value.hint


def test_several_discriminators_have_one_vote_each():
    one, two = tf.zeros((1, 4, 4, 1)), tf.fill((1, 1, 1, 1), 3.0)
    both = (float(adversarial_loss(one, 1.0)) + float(adversarial_loss(two, 1.0))) / 2
    assert float(adversarial_loss([one, two], 1.0)) == pytest.approx(both)
    assert float(adversarial_loss(one, 1.0)) == pytest.approx(np.log(2))

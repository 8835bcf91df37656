"""Networks that predict the lungs and the heart, and data in which not every heart is drawn."""

import keras
import numpy as np
import pytest

from lungmask_cli.config import HEART, LUNGS, DiscriminatorConfig, GeneratorConfig, LossConfig, TrainConfig
from lungmask_cli.networks.adversarial import AdversarialModel, build_adversarial_model
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.networks.losses import segmentation_loss, structures_loss
from lungmask_cli.networks.metrics import MeanDice
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS, LOSSES

tf = pytest.importorskip("tensorflow")
BOTH = [LUNGS, HEART]
RNG = np.random.default_rng(0)
X = RNG.random((3, 32, 32, 1), np.float32)
Y = (RNG.random((3, 32, 32, 2)) > 0.5).astype(np.float32)
Y[1:, ..., 1] = -1  # only the first heart is drawn


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_has_one_channel_for_each_structure(name):
    config = GeneratorConfig(name=name, filters=2, max_filters=4, levels=3)
    assert build_generator(config, (64, 64), 2).output_shape == (None, 64, 64, 2)
    assert build_generator(config, (64, 64)).output_shape == (None, 64, 64, 1)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_sees_the_radiograph_with_all_masks(name):
    pair = build_discriminator(DiscriminatorConfig(name=name, filters=2), (64, 64), 2).inputs
    assert [tensor.shape[-1] for tensor in pair] == [1, 2]


def gradient(terms: dict[str, float]) -> np.ndarray:
    predicted = tf.Variable(RNG.uniform(0.1, 0.9, Y.shape).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = structures_loss(terms, tf.constant(Y), tf.convert_to_tensor(predicted))
    return tape.gradient(loss, predicted).numpy()


@pytest.mark.parametrize("name", LOSSES)
def test_a_heart_that_is_not_drawn_has_no_gradient(name):
    values = gradient({name: 1.0})
    assert np.isfinite(values).all()
    assert np.abs(values[1:, ..., 1]).max() == 0
    for drawn in (values[..., 0], values[0, ..., 1]):
        assert np.abs(drawn).max() > 0


def test_the_loss_is_the_sum_over_structures():
    predicted = RNG.uniform(0.1, 0.9, Y.shape).astype(np.float32)
    terms = {"dice": 1.0, "cross_entropy": 0.5}
    lungs = segmentation_loss(terms, Y[..., :1], predicted[..., :1])
    heart = segmentation_loss(terms, Y[:1, ..., 1:], predicted[:1, ..., 1:])
    # The mean is over all three images, of which two have no heart.
    assert float(structures_loss(terms, Y, predicted)) == pytest.approx(float(lungs) + float(heart) / 3, rel=1e-5)


def test_without_any_heart_the_lungs_alone_are_trained():
    """The weights of the heart's output get no gradient from data without hearts."""
    truth = Y.copy()
    truth[..., 1] = -1
    changes = {"image_size": 32, "structures": BOTH, "generator": {"name": "unet", "filters": 2, "levels": 2}}
    model = build_adversarial_model(TrainConfig().merged(changes))
    with tf.GradientTape() as tape:
        loss = model.compute_loss(X, truth, model(X, training=True))
    kernel, bias = tape.gradient(loss, model.generator.get_layer("lungs").trainable_variables)
    assert np.abs(kernel.numpy()[..., 1]).max() == np.abs(bias.numpy()[1]) == 0
    assert np.abs(kernel.numpy()[..., 0]).max() > 0


def test_neither_network_learns_from_a_heart_that_is_not_drawn():
    """Where it is not drawn, the discriminator sees the same heart in both masks, and passes no gradient on."""
    changes = {
        "image_size": 32,
        "structures": BOTH,
        "generator": {"name": "unet", "filters": 2, "levels": 2},
        "discriminator": {"name": "patch", "filters": 2, "normalization": "none"},
        "loss": {"adversarial": 1.0},
    }
    model: AdversarialModel = build_adversarial_model(TrainConfig().merged(changes))
    predicted = tf.Variable(RNG.uniform(0.1, 0.9, Y.shape).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = model._adversarial_losses(
            model.discriminator, tf.constant(X), tf.constant(Y), tf.convert_to_tensor(predicted)
        )
    values = tape.gradient(loss, predicted).numpy()
    assert np.abs(values[1:, ..., 1]).max() == 0
    assert np.abs(values[0, ..., 1]).max() > 0
    assert np.abs(values[..., 0]).max() > 0


def test_the_dice_of_a_structure_counts_only_the_images_in_which_it_is_drawn():
    truth = np.zeros((2, 2, 2, 2), np.float32)
    truth[0, :, :, 0] = truth[0, 0, :, 1] = truth[1, 0, :, 0] = 1
    truth[1, ..., 1] = -1
    predicted = np.ones_like(truth)
    lungs, heart = MeanDice(), MeanDice("heart_dice", 1)
    for metric in (lungs, heart):
        metric.update_state(truth, predicted)
    assert float(lungs.result()) == pytest.approx((1 + 2 / 3) / 2)
    assert float(heart.result()) == pytest.approx(2 / 3)


def test_one_structure_stays_exactly_what_it_was():
    truth, predicted = Y[..., :1], RNG.uniform(0.1, 0.9, (*Y.shape[:3], 1)).astype(np.float32)
    terms = dict.fromkeys(LOSSES, 1.0)
    assert float(structures_loss(terms, truth, predicted)) == pytest.approx(
        float(segmentation_loss(terms, truth, predicted)), rel=1e-6
    )
    assert [layer.name for layer in AdversarialModel(keras.Sequential(), None, LossConfig()).dices] == ["dice"]

"""Generator and discriminator have one loss, but separate gradients."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from lungmask_cli.config import DiscriminatorConfig, GeneratorConfig, LossConfig, TrainConfig
from lungmask_cli.networks.adversarial import build_adversarial_model
from lungmask_cli.networks.losses import adversarial_loss, segmentation_loss
from lungmask_cli.networks.parts import DISCRIMINATORS, LOSSES
from tests.phantoms import draw_phantom

pytestmark = pytest.mark.usefixtures("eagerly")
CONFIG = TrainConfig(
    image_size=64,
    batch_size=2,
    generator=GeneratorConfig(filters=4, levels=3),
    discriminator=DiscriminatorConfig(filters=4),
    loss=LossConfig(terms={"cross_entropy": 1.0, "dice": 1.0}, adversarial=0.5, real_label=0.9),
)
PHANTOMS = [draw_phantom(64, 64, seed) for seed in (1, 2)]
X = tf.constant(np.stack([phantom.image for phantom in PHANTOMS])[..., None])
Y = tf.constant(np.stack([phantom.lungs for phantom in PHANTOMS])[..., None].astype(np.float32))


def gradients(loss, discriminator="patch"):
    """Gradients of the loss for the generator and the discriminator, always from the same initial weights."""
    config = replace(CONFIG, loss=loss, discriminator=replace(CONFIG.discriminator, name=discriminator))
    model = build_adversarial_model(config)
    with tf.GradientTape() as tape:
        total = model.compute_loss(X, Y, model(X, training=True))
    weights = [
        [weight.value for weight in network.trainable_weights] for network in (model.generator, model.discriminator)
    ]
    return [[np.asarray(gradient) for gradient in network] for network in tape.gradient(total, weights)]


def all_close(one, two):
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_the_generators_losses_do_not_train_the_discriminator(discriminator):
    _, one = gradients(CONFIG.loss, discriminator)
    other = {"cross_entropy": 3.0, "l1": 5.0, "focal_tversky": 2.0}
    _, two = gradients(replace(CONFIG.loss, adversarial=7.0, terms=other), discriminator)
    assert all_close(one, two)


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_the_discriminators_loss_does_not_train_the_generator(discriminator):
    one, discriminator_one = gradients(CONFIG.loss, discriminator)
    two, discriminator_two = gradients(replace(CONFIG.loss, real_label=0.6), discriminator)
    assert all_close(one, two)
    assert not all_close(discriminator_one, discriminator_two)


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_the_adversarial_loss_trains_the_generator(discriminator):
    one, _ = gradients(CONFIG.loss, discriminator)
    two, _ = gradients(replace(CONFIG.loss, adversarial=0.0), discriminator)
    assert not all_close(one, two)


@pytest.mark.parametrize("term", LOSSES)
def test_every_segmentation_loss_trains_the_generator_alone(term):
    one, discriminator_one = gradients(CONFIG.loss)
    two, discriminator_two = gradients(replace(CONFIG.loss, terms={**CONFIG.loss.terms, term: 9.0}))
    assert not all_close(one, two)
    assert all_close(discriminator_one, discriminator_two)


def test_while_the_generator_is_trained_alone_the_discriminator_does_not_change():
    model = build_adversarial_model(CONFIG)
    model.adversary.assign(0.0)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=False)
    before = [weight.numpy() for weight in model.discriminator.trainable_weights]
    model.fit(X, Y, epochs=2, verbose=0)
    assert all_close(before, [weight.numpy() for weight in model.discriminator.trainable_weights])
    alone = build_adversarial_model(replace(CONFIG, discriminator=DiscriminatorConfig(name="none")))
    alone.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=False)
    alone.fit(X, Y, epochs=2, verbose=0)
    for one, two in zip(model.generator.get_weights(), alone.generator.get_weights(), strict=True):
        assert np.allclose(one, two, atol=1e-5)


def test_the_gradients_are_those_of_two_separate_tapes():
    model = build_adversarial_model(CONFIG)
    loss = CONFIG.loss
    with tf.GradientTape() as for_generator, tf.GradientTape() as for_discriminator:
        predicted = model.generator(X, training=True)
        adversarial = adversarial_loss(model.discriminator([X, predicted], training=True), 1.0)
        generator_loss = segmentation_loss(loss.terms, Y, predicted) + loss.adversarial * adversarial
        real = adversarial_loss(model.discriminator([X, Y], training=True), loss.real_label)
        fake = adversarial_loss(model.discriminator([X, tf.stop_gradient(predicted)], training=True), 0.0)
        discriminator_loss = 0.5 * (real + fake)
    reference = [
        for_generator.gradient(generator_loss, [w.value for w in model.generator.trainable_weights]),
        for_discriminator.gradient(discriminator_loss, [w.value for w in model.discriminator.trainable_weights]),
    ]
    for found, expected in zip(gradients(loss), reference, strict=True):
        assert all_close(found, [np.asarray(gradient) for gradient in expected])


def test_without_a_discriminator_it_is_plain_supervised_training():
    model = build_adversarial_model(replace(CONFIG, discriminator=DiscriminatorConfig(name="none")))
    predicted = model(X)
    total = model.compute_loss(X, Y, predicted)
    assert float(total) == pytest.approx(float(segmentation_loss(CONFIG.loss.terms, Y, predicted)))
    assert not [w for w in model.weights if "patch" in w.path]


def test_the_initial_weights_follow_from_the_seed():
    one, two = (build_adversarial_model(replace(CONFIG, seed=seed)) for seed in (4, 4))
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))


def test_generator_and_discriminator_learn():
    model = build_adversarial_model(CONFIG)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=False)
    before = model.get_weights()
    history = model.fit(X, Y, epochs=8, verbose=0).history
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert np.mean(moved) > 0.95
    assert history["segmentation_loss"][-1] < history["segmentation_loss"][0]
    assert all(value > 0 for value in history["discriminator_loss"])

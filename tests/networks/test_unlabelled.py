"""What the networks learn from radiographs without masks."""

import keras
import numpy as np
import pytest
from keras import ops

from lungmask_cli.config import HEART, LUNGS, TrainConfig
from lungmask_cli.networks.adversarial import build_adversarial_model
from lungmask_cli.networks.losses import adversarial_loss, structures_loss
from lungmask_cli.networks.parts import DISCRIMINATORS, LOSSES, NO_DISCRIMINATOR

tf = pytest.importorskip("tensorflow")
RNG = np.random.default_rng(0)
X = RNG.random((4, 32, 32, 2), np.float32)
Y = (RNG.random((4, 32, 32, 1)) > 0.5).astype(np.float32)
HALF = np.concatenate([Y[:2], np.full_like(Y[2:], -1)])
NONE = np.full_like(Y, -1)


def build(discriminator="patch", structures=(LUNGS,), **unlabelled):
    return build_adversarial_model(
        TrainConfig().merged(
            {
                "image_size": 32,
                "structures": list(structures),
                "generator": {"filters": 2, "levels": 2},
                "discriminator": {"name": discriminator, "filters": 2, "normalization": "none"},
                "unlabelled": {"adversarial": 0.01, "consistency": 0.0, **unlabelled},
            }
        ),
        unlabelled=True,
    )


def gradients(model, truth, x=X):
    """Those of the loss, of the generator and of the discriminator, as one vector each; zeros where there are none."""
    variables = [model.generator.trainable_variables]
    if model.discriminator:
        variables.append(model.discriminator.trainable_variables)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, truth, model(x, training=True))
    return [flatten(grads, own) for grads, own in zip(tape.gradient(loss, variables), variables, strict=True)]


def flatten(grads, variables):
    zeros = (np.zeros(variable.shape) for variable in variables)
    pairs = zip(grads, zeros, strict=True)
    return np.concatenate([np.ravel(zero if grad is None else grad.numpy()) for grad, zero in pairs])


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS.keys() - {NO_DISCRIMINATOR}))
def test_the_generator_learns_from_them_through_the_adversary_alone(name):
    model = build(name, adversarial=0.5)
    generator, discriminator = gradients(model, NONE)
    frozen = [tf.convert_to_tensor(weight.value) for weight in model.discriminator.trainable_variables]
    with tf.GradientTape() as tape:
        predicted = model.generator(X[..., :1], training=True)
        logits, _ = model.discriminator.stateless_call(frozen, [], [X[..., :1], predicted], training=True)
        loss = 0.5 * adversarial_loss(logits, 1.0)
    own = model.generator.trainable_variables
    assert np.abs(generator).max() > 0
    assert generator == pytest.approx(flatten(tape.gradient(loss, own), own), rel=1e-4, abs=1e-7)
    # The discriminator learns from reference masks, and there are none.
    assert np.abs(discriminator).max() == 0


def test_the_discriminator_does_not_learn_from_them_beside_others():
    model = build(adversarial=0.5)
    _, both = gradients(model, HALF)
    _, alone = gradients(model, Y[:2], X[:2])
    assert np.abs(both).max() > 0
    assert both == pytest.approx(alone, rel=1e-4, abs=1e-7)


def test_the_generator_learns_from_them_through_consistency_alone():
    model = build("none", adversarial=0.0, consistency=2.0)
    (generator,) = gradients(model, NONE)
    reference = ops.cast(model.generator(X[..., 1:]) > 0.5, "float32")
    with tf.GradientTape() as tape:
        loss = 2.0 * structures_loss(model.loss_config.terms, reference, model.generator(X[..., :1], training=True))
    own = model.generator.trainable_variables
    assert np.abs(generator).max() > 0
    assert generator == pytest.approx(flatten(tape.gradient(loss, own), own), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("switch", ["unlabelled", "adversary"])
def test_nothing_is_learnt_from_them_before_they_are_switched_on(switch):
    model = build(adversarial=0.5)
    getattr(model, switch).assign(0.0)
    assert np.abs(gradients(model, NONE)[0]).max() == 0


def test_they_do_not_change_the_segmentation_loss_of_the_others():
    predicted = RNG.uniform(0.1, 0.9, Y.shape).astype(np.float32)
    terms = dict.fromkeys(LOSSES, 0.5)
    alone = float(structures_loss(terms, Y[:2], predicted[:2]))
    assert float(structures_loss(terms, HALF, predicted)) == pytest.approx(alone, rel=1e-4)
    assert float(structures_loss(terms, NONE, predicted)) == pytest.approx(0, abs=1e-4)


def test_a_heart_that_is_not_drawn_is_not_learnt_but_both_structures_of_a_radiograph_without_masks_are():
    model = build(structures=(LUNGS, HEART), adversarial=0.5)
    undrawn = np.concatenate([Y, np.full_like(Y, -1)], -1)
    kernel = model.generator.get_layer("lungs").trainable_variables[:1]
    learnt = []
    for truth in (undrawn, np.full_like(undrawn, -1)):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(X, truth, model(X, training=True))
        (gradient,) = tape.gradient(loss, kernel)
        learnt.append([np.abs(gradient.numpy()[..., channel]).max() > 0 for channel in (0, 1)])
    assert learnt == [[True, False], [True, True]]


def test_a_model_without_them_has_the_variables_that_it_always_had():
    """Checkpoints number them."""
    config = TrainConfig().merged({"image_size": 32, "generator": {"filters": 2, "levels": 2}})
    names = [variable.name for variable in build_adversarial_model(config).non_trainable_variables]
    assert "unlabelled" not in names
    assert [metric.name for metric in build_adversarial_model(config).metrics if "unlabelled" in metric.name] == []


def test_consistency_and_adversary_train_with_fit():
    model = build(adversarial=0.1, consistency=1.0)
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    logs = model.fit(X, HALF, batch_size=4, epochs=1, verbose=0).history
    assert {"unlabelled_adversarial_loss", "consistency_loss"} <= set(logs)
    assert logs["consistency_loss"][0] > 0

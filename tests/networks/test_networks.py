import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from lungmask_cli.config import DiscriminatorConfig, GeneratorConfig
from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.blocks import level_widths
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.networks.metrics import MeanDice
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS
from lungmask_cli.networks.presets import PRESETS


@pytest.mark.parametrize("shape", [(64, 64), (32, 96)])
@pytest.mark.parametrize("name", GENERATORS)
def test_generators_predict_a_probability_for_every_pixel(name, shape):
    generator = build_generator(GeneratorConfig(name=name, filters=4, max_filters=8), shape)
    predicted = np.asarray(generator(np.random.default_rng(0).random((2, *shape, 1), np.float32)))
    assert predicted.shape == (2, *shape, 1)
    assert predicted.min() >= 0
    assert predicted.max() <= 1


@pytest.mark.parametrize(
    ("name", "step"), [("unet", 16), ("attention-unet", 16), ("fcn", 32), ("scan", 16), ("residual-unet", 32)]
)
def test_a_generator_refuses_wrong_sizes_and_suggests_the_next(name, step):
    config = GeneratorConfig(name=name, filters=2)
    with pytest.raises(ConfigError, match=f"multiples of {step}, not 90 x 64") as caught:
        build_generator(config, (90, 64))
    assert "96 x 64" in caught.value.hint
    assert build_generator(config, (96, 64)).output_shape == (None, 96, 64, 1)


def test_pix2pix_supports_every_even_size():
    with pytest.raises(ConfigError, match="multiples of 2, not 33 x 64"):
        build_generator(GeneratorConfig(name="pix2pix", filters=2), (33, 64))
    assert build_generator(GeneratorConfig(name="pix2pix", filters=2), (34, 64)).output_shape == (None, 34, 64, 1)


@pytest.mark.parametrize("size", [32, 96, 160])
def test_pix2pix_has_as_many_levels_as_the_image_can_be_halved(size):
    generator = build_generator(GeneratorConfig(name="pix2pix", filters=2, levels=8), (size, size))
    assert generator.output_shape == (None, size, size, 1)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("preset", ["paper", "compact"])
def test_every_generator_fits_into_every_preset(preset, name):
    changes = {"generator": {"name": name, "filters": 2, "max_filters": 4}}
    config = PRESETS[preset].config.merged(changes)
    assert build_generator(config.generator, (256, 256)).output_shape == (None, 256, 256, 1)


@pytest.mark.parametrize(
    ("name", "logits"),
    [
        ("patch", [(2, 3)]),
        ("image", [(1, 1)]),
        ("scan", [(1, 1)]),
        ("four-scales", [(2, 3), (1, 2), (1, 1), (1, 1)]),
    ],
)
def test_discriminators_have_logits_for_patches_or_images(name, logits):
    assert name in DISCRIMINATORS
    discriminator = build_discriminator(DiscriminatorConfig(name=name, filters=2), (64, 96))
    assert [tensor.shape for tensor in discriminator.inputs] == [(None, 64, 96, 1)] * 2
    assert [tuple(tensor.shape[1:]) for tensor in discriminator.outputs] == [(*size, 1) for size in logits]


@pytest.mark.parametrize("name", ["image", "scan", "four-scales"])
def test_a_discriminator_refuses_wrong_sizes(name):
    with pytest.raises(ConfigError, match="not 30 x 64"):
        build_discriminator(DiscriminatorConfig(name=name, filters=2), (30, 64))


def test_the_image_discriminator_sees_the_whole_image():
    image = build_discriminator(DiscriminatorConfig(name="image", filters=16), (64, 64))
    radiograph, mask = (keras.random.normal((1, 64, 64, 1), seed=seed) for seed in (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(mask)
        logit = image([radiograph, mask])
    slope = tape.gradient(logit, mask).numpy()[0, ..., 0]
    for corner in (slope[:8, :8], slope[:8, -8:], slope[-8:, :8], slope[-8:, -8:]):
        assert np.abs(corner).max() > 0


def test_filters_double_up_to_the_maximum():
    assert level_widths(16, 160, 6) == [16, 32, 64, 128, 160, 160]


@pytest.mark.parametrize("name", PRESETS)
def test_generators_have_no_dropout(name):
    config = PRESETS[name].config
    generator = build_generator(config.generator, (256, 256))
    assert not [layer for layer in generator.layers if isinstance(layer, keras.layers.Dropout)]


def parameters(preset):
    return build_generator(PRESETS[preset].config.generator, (256, 256)).count_params()


@pytest.mark.parametrize(("preset", "published", "share"), [("unet", 31.0e6, 0.002), ("fcn", 134.3e6, 0.001)])
def test_networks_have_their_published_number_of_parameters(preset, published, share):
    assert parameters(preset) == pytest.approx(published, rel=share)


def test_scan_has_about_its_published_number_of_parameters():
    assert parameters("scan") == pytest.approx(271e3, rel=0.01)
    critic = build_discriminator(PRESETS["scan"].config.discriminator, (400, 400))
    assert critic.count_params() == pytest.approx(258e3, rel=0.05)


def test_pix2pix_has_its_published_number_of_parameters():
    config = GeneratorConfig(name="pix2pix", filters=64, max_filters=512, levels=8, normalization="batch")
    assert build_generator(config, (256, 256)).count_params() == pytest.approx(54.4e6, rel=0.002)


def test_compact_has_at_most_three_million_parameters():
    assert parameters("compact") <= 3_000_000


def test_the_attention_gate_can_close_a_skip():
    generator = build_generator(GeneratorConfig(name="attention-unet", filters=2, levels=2), (32, 32))
    gate = next(layer for layer in generator.layers if isinstance(layer, keras.layers.Multiply))
    weights = keras.Model(generator.inputs, gate.input[1])
    image = np.random.default_rng(0).random((1, 32, 32, 1), np.float32)
    gate_weights = np.asarray(weights(image))
    assert gate_weights.shape == (1, 32, 32, 1)
    assert gate_weights.min() > 0
    assert gate_weights.max() < 1


def test_the_paper_discriminator_has_six_layers_of_stride_2():
    config = PRESETS["paper"].config
    discriminator = build_discriminator(config.discriminator, (512, 512))
    assert discriminator is not None
    convolutions = [layer for layer in discriminator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 5  # and the input is the sixth
    assert all(layer.kernel_size == (4, 4) and layer.strides == (2, 2) for layer in convolutions)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in discriminator.layers) == 4
    assert sum(isinstance(layer, keras.layers.ReLU) for layer in discriminator.layers) == 4
    assert discriminator.output_shape == (None, 16, 16, 1)
    assert [tensor.shape for tensor in discriminator.inputs] == [(None, 512, 512, 1)] * 2


def test_unknown_parts_name_the_nearest_one():
    with pytest.raises(ConfigError) as caught:
        build_generator(GeneratorConfig(name="u-net"), (64, 64))
    assert "Did you mean unet?" in caught.value.hint
    with pytest.raises(ConfigError):
        build_discriminator(DiscriminatorConfig(name="patches"), (64, 64))
    with pytest.raises(ConfigError):
        build_generator(GeneratorConfig(normalization="layer"), (64, 64))
    assert build_discriminator(DiscriminatorConfig(name="none"), (64, 64)) is None


def test_mean_dice_by_hand():
    metric = MeanDice()
    truth = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.float32).reshape(3, 2, 2, 1)
    predicted = np.array([[0.9, 0.1, 0.6, 0], [0.7, 0, 0, 0], [0, 0, 0, 0]], np.float32).reshape(3, 2, 2, 1)
    metric.update_state(truth[:2], predicted[:2])
    metric.update_state(truth[2:], predicted[2:])  # both masks empty: skipped
    assert float(metric.result()) == pytest.approx((0.5 + 1) / 2)
    metric.reset_state()
    metric.update_state(truth[2:], predicted[2:])
    assert math.isnan(float(metric.result()))

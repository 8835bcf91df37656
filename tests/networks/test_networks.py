import keras
import numpy as np
import pytest

from lungmask_cli.config import DiscriminatorConfig, GeneratorConfig
from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.blocks import level_widths
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import GENERATORS, build_generator
from lungmask_cli.networks.metrics import MeanDice
from lungmask_cli.networks.presets import PRESETS


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_give_a_probability_for_every_pixel(name):
    generator = build_generator(GeneratorConfig(name=name, filters=4, levels=4), 64)
    drawn = np.asarray(generator(np.random.default_rng(0).random((2, 64, 64, 1), np.float32)))
    assert drawn.shape == (2, 64, 64, 1)
    assert drawn.min() >= 0
    assert drawn.max() <= 1


@pytest.mark.parametrize("size", [32, 96, 160])
def test_pix2pix_has_as_many_levels_as_the_image_can_be_halved(size):
    generator = build_generator(GeneratorConfig(name="pix2pix", filters=2, levels=8), size)
    assert generator.output_shape == (None, size, size, 1)


def test_a_unet_says_which_size_it_needs():
    with pytest.raises(ConfigError, match="multiple of 64, not 96") as caught:
        build_generator(GeneratorConfig(filters=2, levels=7), 96)
    assert "128" in caught.value.hint


def test_filters_are_doubled_up_to_the_limit():
    assert level_widths(16, 160, 6) == [16, 32, 64, 128, 160, 160]


@pytest.mark.parametrize("name", PRESETS)
def test_generators_have_no_noise(name):
    config = PRESETS[name].config
    generator = build_generator(config.generator, 256)
    assert not [layer for layer in generator.layers if isinstance(layer, keras.layers.Dropout)]


def test_compact_has_at_most_three_million_parameters():
    config = PRESETS["compact"].config
    assert build_generator(config.generator, config.image_size).count_params() <= 3_000_000


def test_the_paper_discriminator_has_six_layers_of_stride_2():
    config = PRESETS["paper"].config
    discriminator = build_discriminator(config.discriminator, 512)
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
        build_generator(GeneratorConfig(name="u-net"), 64)
    assert "Did you mean unet?" in caught.value.hint
    with pytest.raises(ConfigError):
        build_discriminator(DiscriminatorConfig(name="patches"), 64)
    with pytest.raises(ConfigError):
        build_generator(GeneratorConfig(normalization="layer"), 64)
    assert build_discriminator(DiscriminatorConfig(name="none"), 64) is None


def test_mean_dice_by_hand():
    metric = MeanDice()
    truth = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.float32).reshape(3, 2, 2, 1)
    drawn = np.array([[0.9, 0.1, 0.6, 0], [0.7, 0, 0, 0], [0, 0, 0, 0]], np.float32).reshape(3, 2, 2, 1)
    metric.update_state(truth[:2], drawn[:2])
    metric.update_state(truth[2:], drawn[2:])  # both empty: does not count
    assert float(metric.result()) == pytest.approx((0.5 + 1) / 2)

import pytest

from lungmask_cli.cli.train_run import parse_losses, resolve_config
from lungmask_cli.config import TrainConfig, read_toml
from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.presets import PRESETS, find_preset


@pytest.mark.parametrize("name", PRESETS)
def test_a_written_configuration_reads_back_the_same(tmp_path, name):
    config = PRESETS[name].config
    (tmp_path / "c.toml").write_text(config.to_toml())
    assert TrainConfig().merged(read_toml(tmp_path / "c.toml")) == config
    assert config.preset == name


def test_flags_beat_the_file_and_the_file_beats_the_preset(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('preset = "paper"\nepochs = 7\nbatch_size = 5\n[optimizer]\nlearning_rate = 1\n')
    config = resolve_config(None, file, {"epochs": 9, "seed": None})
    assert (config.preset, config.epochs, config.batch_size) == ("paper", 9, 5)
    assert config.optimizer.learning_rate == 1.0
    assert config.optimizer.beta_1 == 0.5
    assert resolve_config("compact", file, {"optimizer.learning_rate": 0.5}).optimizer.learning_rate == 0.5


def test_an_unknown_key_names_the_nearest_one():
    with pytest.raises(ConfigError, match=r"unknown configuration key: optimizer\.learning_rat$") as caught:
        TrainConfig().merged({"optimizer": {"learning_rat": 1.0}})
    assert "Did you mean optimizer.learning_rate?" in caught.value.hint


def test_a_removed_key_is_ignored_with_its_default_and_refused_otherwise():
    assert TrainConfig().merged({"discriminator": {"spectral": False, "filters": 4}}).discriminator.filters == 4
    with pytest.raises(ConfigError, match=r"^discriminator\.spectral is no longer supported$"):
        TrainConfig().merged({"discriminator": {"spectral": True}})


def test_an_unknown_preset_names_the_nearest_one():
    with pytest.raises(ConfigError) as caught:
        find_preset("papr")
    assert "Did you mean paper?" in caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"epochs": "many"},
        {"image_size": 100},
        {"batch_size": True},
        {"loss": {"adversarial": -1.0}},
        {"loss": {"terms": {"dice": 0.0}}},
        {"loss": {"terms": {}}},
        {"loss": {"terms": 1.0}},
        {"loss": {"terms": {"dice": "much"}}},
        {"loss": {"pretraining": 1.0}},
        {"contrast": "more"},
        {"optimizer": {"schedule": "steps"}},
        {"augmentation": {"flip_probability": 2.0}},
        {"generator": "unet"},
        {"generator": {"max_filters": 8}},
    ],
)
def test_values_out_of_range_or_of_a_wrong_type_are_errors(changes):
    with pytest.raises(ConfigError):
        TrainConfig().merged(changes)


def test_the_paper_preset_is_what_the_paper_states():
    config = PRESETS["paper"].config
    assert (config.image_size, config.batch_size, config.epochs) == (512, 3, 40)
    assert (config.optimizer.learning_rate, config.optimizer.beta_1) == (2e-4, 0.5)
    assert config.generator.normalization == config.discriminator.normalization == "batch"


def test_parts_are_combined_by_flags():
    flags = {
        "generator.name": "attention-unet",
        "discriminator.name": "image",
        "loss.terms": parse_losses("dice, cross_entropy=0.5"),
        "loss.adversarial": 0.2,
    }
    config = resolve_config("unet", None, flags)
    assert (config.generator.name, config.generator.filters) == ("attention-unet", 64)
    assert config.discriminator.name == "image"
    assert config.loss.terms == {"dice": 1.0, "cross_entropy": 0.5}
    assert config.loss.adversarial == 0.2
    assert TrainConfig().merged(config.as_dict()) == config


def test_losses_that_are_given_take_the_place_of_the_presets():
    assert TrainConfig().merged({"loss": {"terms": {"dice": 2}}}).loss.terms == {"dice": 2.0}


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        ({"generator.name": "pix2pics"}, "pix2pix"),
        ({"discriminator.name": "pach"}, "patch"),
        ({"loss.terms": {"dise": 1.0}}, "dice"),
    ],
)
def test_an_unknown_part_is_an_error_before_anything_is_loaded(flags, meant):
    with pytest.raises(ConfigError) as caught:
        resolve_config(None, None, flags)
    assert f"Did you mean {meant}?" in caught.value.hint


@pytest.mark.parametrize("text", ["dise", "dice=much", "dice,dice=2", "", "dice=-1"])
def test_losses_that_cannot_be_read_are_errors(text):
    with pytest.raises(ConfigError):
        TrainConfig().merged({"loss": {"terms": parse_losses(text)}})


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_where_it_comes_from_and_names_known_parts(name):
    preset = PRESETS[name]
    assert resolve_config(name, None, {}) == preset.config
    assert len(preset.source) > 80
    assert len(preset.summary) < 120
    # A discriminator that is added by a flag has a say.
    assert preset.config.loss.adversarial > 0

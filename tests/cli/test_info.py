"""`lungmask info` and its subcommands, run as commands."""

import hashlib
import json
import xml.etree.ElementTree as ET

import pytest

import lungmask_cli
from lungmask_cli.models.manifest import shipped_weights
from lungmask_cli.networks.presets import PRESETS


def test_the_overview_lists_versions_devices_presets_and_weights(lungmask):
    done = lungmask("info", CUDA_VISIBLE_DEVICES="-1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for word in (lungmask_cli.__version__, "TensorFlow", "no GPU is visible", *PRESETS, *shipped_weights()):
        assert word in done.stdout


def test_the_overview_is_one_json_document(lungmask):
    done = lungmask("info", "--json", CUDA_VISIBLE_DEVICES="-1")
    facts = json.loads(done.stdout)
    assert done.stderr == ""
    assert facts["versions"]["lungmask"] == lungmask_cli.__version__
    assert facts["backend"] == "tensorflow"
    assert facts["visible"][0].startswith("cpu")
    assert [preset["name"] for preset in facts["presets"]] == list(PRESETS)
    assert facts["weights"][0]["intact"]


def test_the_overview_gives_the_reason_if_the_backend_does_not_start(lungmask):
    done = lungmask("info", KERAS_BACKEND="nonsense")
    assert done.returncode == 0, done.stderr
    assert "the backend does not start" in done.stdout
    assert "nonsense" in done.stdout
    assert "compact" in done.stdout


def test_presets_are_listed_with_their_parts_and_losses(inside):
    done = inside("info", "presets")
    row = next(line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["paper"])
    assert row == ["paper", "pix2pix", "patch", "100", "l1", "+", "1", "adversarial", "512", "40", "3", "0.9778"]
    alone = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["unet"])
    assert "adversarial" not in alone


def test_presets_as_json_have_all_settings(inside):
    facts = {preset["name"]: preset for preset in json.loads(inside("info", "presets", "--json").stdout)}
    assert facts.keys() == PRESETS.keys()
    assert facts["compact"]["config"]["generator"]["filters"] == 16
    assert facts["paper"]["reported_dice"] == 0.9778


def test_weights_are_listed_with_scores_and_sha256(inside):
    done = inside("info", "weights")
    for path in shipped_weights().values():
        assert hashlib.sha256(path.read_bytes()).hexdigest() in done.stdout
    assert "montgomery" in done.stdout
    assert "non-commercial" in done.stdout
    assert "damaged" not in done.stdout
    (facts,) = (
        weights for weights in json.loads(inside("info", "weights", "--json").stdout) if weights["name"] == "jsrt"
    )
    assert facts["intact"]
    assert {score["data"] for score in facts["scores"]} == {
        "jsrt",
        "montgomery",
        "generalblockchain",
        "shenzhen",
        "covid_qu_ex",
    }
    for score in facts["scores"]:
        low, high = score["interval"]
        assert low < score["mean_dice"] < high
    assert facts["bytes"] == shipped_weights()["jsrt"].stat().st_size


def test_a_model_is_shown_as_table_text_diagram_and_svg(inside, tmp_path):
    path = tmp_path / "new" / "compact.svg"
    done = inside("info", "model", "compact", "--size", 64, "--svg", path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"diagram: {path}\n"
    for words in (
        "generator unet: 2.68 M parameters",
        "193,355,776 multiply-adds = 386,711,552 FLOPs (1 multiply-add = 2 FLOPs",
        "2,678,577 trainable, 0 not",
        "discriminator patch",
        "GroupNormalization",
        "─────▶│ 64 × 64 × 1: 9.06 k",  # noqa: RUF001
    ):
        assert words in done.stdout
    texts = [text.text for text in ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")]
    assert sum(text.startswith(("generator unet", "discriminator patch")) for text in texts) == 2


def test_a_model_as_json_adds_up(inside):
    done = inside("info", "model", "paper", "--size", 64, "--discriminator", "four-scales", "--json")
    facts = json.loads(done.stdout)
    assert done.stderr == ""
    assert facts["image_size"] == 64
    for name, role in (("pix2pix", "generator"), ("four_scales", "discriminator")):
        network = facts[role]
        assert network["name"] == name
        assert network["flops"] == 2 * sum(layer["multiply_adds"] for layer in network["layers"])
        assert network["parameters"] == sum(layer["parameters"] for layer in network["layers"])
    assert facts["generator"]["layers"][0]["output_shape"] == [64, 64, 1]


def test_a_model_of_weights_without_layers_and_without_a_discriminator(inside):
    done = inside("info", "model", "jsrt", "--size", 64, "--no-layers", "--discriminator", "none")
    assert done.returncode == 0, done.stderr
    assert "generator residual_unet: 2.19 M parameters" in done.stdout
    assert "re_lu" not in done.stdout
    assert "No discriminator" in done.stdout


def test_a_terminal_without_box_characters_still_gets_the_numbers(lungmask):
    done = lungmask("info", "model", "scan", "--size", 64, "--no-layers", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "generator scan: 271 k parameters" in done.stdout


def test_an_unsupported_backend_is_refused(lungmask):
    done = lungmask("info", "model", "compact", KERAS_BACKEND="torch")
    assert done.returncode == 2
    assert "does not run on the Keras backend torch" in done.stderr
    assert "Set KERAS_BACKEND to tensorflow or jax." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model", "papr"], "Did you mean paper?"),
        (["model", "paper", "--generator", "unnet"], "Did you mean unet?"),
        (["model", "paper", "--discriminator", "path"], "Did you mean patch?"),
        (["model", "compact", "--size", "33"], "multiple of 32, not 33"),
        (["--json", "presets"], "lungmask info presets --json"),
        (["preset"], "presets"),
    ],
)
def test_mistakes_are_reported_with_a_hint(inside, arguments, words):
    done = inside("info", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""

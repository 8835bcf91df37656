"""Networks run by ONNX Runtime."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import UsageError
from lungmask_cli.models import onnx_file
from lungmask_cli.models.load import load_network
from lungmask_cli.models.manifest import find_weights, onnx_path
from lungmask_cli.models.onnx_file import is_converted, load_onnx, write_onnx
from tests.conftest import ENVIRONMENT
from tests.phantoms import draw_phantom

LOADED = """
import sys
from pathlib import Path
from lungmask_cli.models.onnx_file import load_onnx
import numpy as np
network = load_onnx(Path(sys.argv[1]))
print(float(network.predict(np.full((1, 64, 64), 0.5, np.float32)).mean()))
print([name for name in ("keras", "tensorflow", "tf2onnx", "onnx") if name in sys.modules])
"""


@pytest.mark.parametrize("name", ["general", "tiny"])
def test_the_batch_normalisation_of_shipped_networks_is_folded_into_convolutions(name):
    graph = onnx.load(onnx_path(find_weights(name))).graph
    # One number for each channel; the bias of the last, transposed convolution is a single one.
    constants = {constant.name for constant in graph.initializer if np.prod(constant.dims) > 1}
    scaled = [node for node in graph.node if node.op_type in ("Mul", "Add") and constants & set(node.input)]
    assert not scaled
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(onnx_file, "user_cache_path", lambda name: folder / name)
        yield folder / "lungmask"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from lungmask_cli.models.weights import save_weights
    from lungmask_cli.networks.generators import build_generator

    config = TrainConfig().merged(
        {"image_size": 64, "generator": {"filters": 2, "levels": 2, "normalization": "group"}}
    )
    path = tmp_path_factory.mktemp("weights") / "tiny.weights.h5"
    save_weights(build_generator(config.generator, (64, 64)), path, {"config": config.as_dict()})
    return path


@pytest.fixture(scope="module")
def network(cache, weights):
    return load_onnx(weights, threads=2)


def test_it_predicts_like_keras_also_from_several_threads(network, weights):
    keras = load_network(weights)
    assert (network.image_size, network.zoom, network.manifest) == (keras.image_size, keras.zoom, keras.manifest)
    images = [draw_phantom(64, 64, seed).image[None] for seed in range(12)]
    with ThreadPoolExecutor(2) as pool:
        predicted = np.concatenate(list(pool.map(network.predict, images)))
    expected = keras.predict(np.concatenate(images))
    assert np.ptp(expected) > 0.1  # otherwise any network would pass
    assert np.abs(predicted - expected).max() < 1e-4


def test_a_converted_network_loads_without_keras_and_without_telemetry(network, weights, cache, tmp_path):
    copy = tmp_path / "cache" / "lungmask"
    shutil.copytree(cache, copy)
    suppressing = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}
    kept = {name: value for name, value in ENVIRONMENT.items() if name not in suppressing}
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(weights)],
        capture_output=True,
        text=True,
        check=True,
        env={**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(copy.parent)},
    )
    mean, loaded = done.stdout.split("\n", 1)
    assert loaded.strip() == "[]"
    assert done.stderr == ""
    assert float(mean) == pytest.approx(network.predict(np.full((1, 64, 64), 0.5, np.float32)).mean(), abs=1e-5)
    # With telemetry, ONNX Runtime would store an identifier of the machine and its reports there.
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["cache", "lungmask", next(cache.iterdir()).name]
    )


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: content[:-5000] + bytes(5000), lambda content: b""]
)
def test_a_damaged_cache_file_is_converted_again(damage, network, weights, cache, monkeypatch):
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    kept.write_bytes(damage(content))

    def write_again(path, kind, converted):
        converted.write_bytes(content[onnx_file._DIGEST_BYTES :])

    monkeypatch.setattr("lungmask_cli.models.export.write_checked", write_again)  # it was tested when it was made
    load_onnx(weights)
    assert kept.read_bytes() == content


def test_an_intact_cache_file_is_used(network, weights, monkeypatch):
    monkeypatch.setattr(onnx_file, "_convert", lambda *_: pytest.fail("converted again"))
    load_onnx(weights)


def test_one_file_serves_both_passes(weights, cache, tmp_path):
    manifest = json.loads(weights.with_name("tiny.json").read_text())
    manifest["config"] |= {"image_size": 96, "zoom": True}
    (tmp_path / "tiny.json").write_text(json.dumps(manifest))
    path = Path(shutil.copy(weights, tmp_path))
    assert not is_converted(path)
    network = load_onnx(path)
    assert is_converted(path)
    for size in (network.localization_size, network.image_size):
        images = draw_phantom(size, size).image[None]
        assert np.abs(network.predict(images) - load_network(path).predict(images)).max() < 1e-4
    assert (network.localization_size, network.image_size) == (64, 96)


def test_the_file_beside_the_weights_is_used_and_checked(weights, tmp_path, monkeypatch):
    for path in (weights, weights.with_name("tiny.json")):
        shutil.copy(path, tmp_path)
    path = tmp_path / weights.name
    write_onnx(path)
    monkeypatch.setattr(onnx_file, "user_cache_path", lambda name: pytest.fail("looked into the cache"))
    images = draw_phantom(64, 64).image[None]
    assert np.abs(load_onnx(path).predict(images) - load_network(path).predict(images)).max() < 1e-4
    file = tmp_path / "tiny.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"tiny\.onnx: is damaged"):
        load_onnx(path)


def test_damaged_weights_are_refused_even_if_a_cache_file_exists(network, weights, tmp_path):
    for path in (weights, weights.with_name("tiny.json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / weights.name
    damaged.write_bytes(weights.read_bytes() + b"?")
    with pytest.raises(UsageError, match="is damaged: its SHA-256 is"):
        load_onnx(damaged)


def test_a_cache_folder_that_is_not_writable_is_named(weights, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(onnx_file, "user_cache_path", lambda name: tmp_path / "file" / name)
    monkeypatch.setattr("lungmask_cli.models.export.write_checked", lambda path, kind, to: to.write_bytes(b"network"))
    with pytest.raises(UsageError, match="cannot save the converted network"):
        load_onnx(weights)

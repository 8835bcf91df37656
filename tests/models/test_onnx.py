"""Networks run by ONNX Runtime."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import UsageError
from lungmask_cli.models import onnx_cache
from lungmask_cli.models.load import load_network
from lungmask_cli.models.onnx_cache import is_converted, load_onnx
from tests.conftest import ENVIRONMENT
from tests.phantoms import draw_phantom

for package in ("onnx", "onnxruntime", "tf2onnx"):
    pytest.importorskip(package, reason="the extra [fast] is not installed")

LOADED = """
import sys
from pathlib import Path
from lungmask_cli.models.onnx_cache import load_onnx
import numpy as np
network = load_onnx(Path(sys.argv[1]))
print(float(network.predict(np.full((1, 64, 64), 0.5, np.float32)).mean()))
print([name for name in ("keras", "tensorflow", "tf2onnx", "onnx") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(onnx_cache, "user_cache_path", lambda name: folder / name)
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

    def write_again(path, kind, converted, size):
        converted.write_bytes(content[onnx_cache._DIGEST_BYTES :])

    monkeypatch.setattr("lungmask_cli.models.export.write_checked", write_again)  # it was tested when it was made
    load_onnx(weights)
    assert kept.read_bytes() == content


def test_an_intact_cache_file_is_used(network, weights, monkeypatch):
    monkeypatch.setattr(onnx_cache, "_convert", lambda *_: pytest.fail("converted again"))
    load_onnx(weights)


def test_the_same_weights_at_another_size_are_converted_again(network, weights, tmp_path, monkeypatch):
    manifest = json.loads(weights.with_name("tiny.json").read_text())
    manifest["config"]["image_size"] = 96
    (tmp_path / "tiny.json").write_text(json.dumps(manifest))
    shutil.copy(weights, tmp_path)
    converted = []
    monkeypatch.setattr(
        onnx_cache,
        "_convert",
        lambda path, size, file: converted.append((path, size)) or onnx_cache._read_cached(next(file.parent.iterdir())),
    )
    load_onnx(tmp_path / weights.name)
    assert converted == [(tmp_path / weights.name, 96)]


def test_a_network_with_two_passes_is_converted_for_both_sizes(weights, cache, tmp_path):
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


def test_damaged_weights_are_refused_even_if_a_cache_file_exists(network, weights, tmp_path):
    for path in (weights, weights.with_name("tiny.json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / weights.name
    damaged.write_bytes(weights.read_bytes() + b"?")
    with pytest.raises(UsageError, match="is damaged: its SHA-256 is"):
        load_onnx(damaged)


def test_a_cache_folder_that_is_not_writable_is_named(weights, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(onnx_cache, "user_cache_path", lambda name: tmp_path / "file" / name)
    monkeypatch.setattr(
        "lungmask_cli.models.export.write_checked", lambda path, kind, to, size: to.write_bytes(b"network")
    )
    with pytest.raises(UsageError, match="cannot save the converted network"):
        load_onnx(weights)


def test_a_missing_runtime_is_named_with_its_extra(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="ONNX Runtime is not installed") as caught:
        load_onnx(weights)
    assert 'pip install "lungmask-cli[fast]"' in caught.value.hint

"""Networks in other formats, read back by their own runtimes."""

import json
import re
import runpy
import sys
import typing
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungmask_cli.cli.app import app
from lungmask_cli.cli.export import export
from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.geometry import ZOOM_MARGIN
from lungmask_cli.inference.two_pass import as_mask, predict
from lungmask_cli.models import export as exporting
from lungmask_cli.models.export import FORMATS, LITERT, ONNX, SAVEDMODEL, describe_network, export_network
from lungmask_cli.models.network import build_network, keras_predictor
from lungmask_cli.models.weights import load_model, save_weights
from lungmask_cli.networks.generators import build_generator
from tests.phantoms import draw_phantom, save_grey

CHANGES = {
    "image_size": 64,
    "zoom": True,
    "generator": {"name": "residual-unet", "filters": 2, "max_filters": 4, "levels": 2, "normalization": "group"},
}
NAMES = {ONNX: "tiny.onnx", SAVEDMODEL: "tiny", LITERT: "tiny.tflite"}


def write_weights(folder: Path, structures: list[str]) -> Path:
    config = TrainConfig().merged({**CHANGES, "structures": structures})
    path = folder / "tiny.weights.h5"
    generator = build_generator(config.generator, (64, 64), len(structures))
    for value in generator.weights:  # as training leaves them: no scale is one and no shift zero
        value.assign(value + np.random.default_rng(0).normal(0, 0.3, value.shape))
    save_weights(generator, path, {"config": config.as_dict(), "licence": "for tests"})
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"), ["lungs"])


def predict_with_runtime(kind, path, images):
    """The runtime's outputs for (N, S, S) by name, and the metadata of the file, without using the package."""
    if kind == ONNX:
        session = onnxruntime.InferenceSession(path)
        texts = session.get_modelmeta().custom_metadata_map
        metadata = {key: _json_or_text(text) for key, text in texts.items()}
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {"radiograph": images[..., None]}), strict=True)), metadata
    import tensorflow as tf

    if kind == SAVEDMODEL:
        serving = tf.saved_model.load(path).signatures["serving_default"]
        metadata = json.loads((path / "assets.extra" / "lungmask.json").read_text())
        outputs = serving(radiograph=tf.constant(images[..., None]))
        return {name: output.numpy() for name, output in outputs.items()}, metadata
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    (buffer,) = (entry.buffer for entry in model.metadata if entry.name == b"lungmask")
    run = tf.lite.Interpreter(str(path)).get_signature_runner()
    return run(radiograph=images[..., None]), json.loads(bytes(model.buffers[buffer].data))


def _json_or_text(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.filterwarnings("ignore:.*Interpreter is deprecated")
@pytest.mark.parametrize(
    ("kind", "structures"),
    [(ONNX, ["lungs"]), *((kind, ["lungs", "heart"]) for kind in (ONNX, SAVEDMODEL, LITERT))],
)
def test_each_format_predicts_like_keras_and_has_metadata(kind, structures, tmp_path):
    weights = write_weights(tmp_path / "weights", structures)
    tmp_path = tmp_path / "exported"
    output = tmp_path / NAMES[kind]
    assert export_network(weights, kind, output).difference < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == [output.name]
    images = np.stack([draw_phantom(64, 64, seed).image for seed in range(3)])
    model = load_model(weights)
    expected = keras_predictor(model.generator)(images)
    assert np.ptp(expected) > 0.2  # otherwise any network would pass
    predicted, metadata = predict_with_runtime(kind, output, images)
    assert set(predicted) == set(structures)
    for index, name in enumerate(structures):
        assert np.abs(predicted[name][..., 0] - expected[..., index]).max() < 1e-4
    assert [text.partition(":")[0] for text in metadata["output"].split("; ")] == structures
    assert metadata == describe_network(weights, model.manifest)
    assert (metadata["weights_sha256"], metadata["licence"]) == (model.manifest["sha256"], "for tests")
    numbers = [metadata[key] for key in ("image_size", "range", "percentiles", "threshold")]
    assert numbers == [64, [0, 1], [1, 99], 0.5]
    assert (metadata["zoom"]["side"], metadata["zoom"]["margin"]) == (128, ZOOM_MARGIN)


def test_the_command_compares_on_readable_radiographs_and_replaces_only_exports(weights, tmp_path):
    for seed in range(9):
        save_grey(tmp_path / "xrays" / f"{seed}.png", draw_phantom(90, 70, seed).image)
    (tmp_path / "xrays" / "0.png").write_bytes(b"damaged")
    output = tmp_path / "out" / "tiny"
    arguments = ["export", "--format", "savedmodel", "--weights", weights, "-o", output, "--check", tmp_path / "xrays"]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert re.search(rf"^{output}: largest difference \d\.\de[-+]\d\d on 8 radiographs$", done.stdout, re.MULTILINE)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    with pytest.raises(UsageError, match="exists already"):
        export_network(weights, SAVEDMODEL, output)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    export_network(weights, SAVEDMODEL, output, overwrite=True)
    assert (output / "saved_model.pb").stat().st_mtime_ns > before[output / "saved_model.pb"]
    assert list(output.parent.iterdir()) == [output]


def test_a_wrong_output_is_refused_before_anything_is_written(weights, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    refused = {
        r"a\.onnx: does not end in \.tflite": (LITERT, tmp_path / "a.onnx"),
        "notes: exists already": (SAVEDMODEL, tmp_path / "notes"),
    }
    for message, (kind, output) in refused.items():
        with pytest.raises(UsageError, match=message):
            export_network(weights, kind, output)
    with pytest.raises(UsageError, match="notes: is not an earlier export"):
        export_network(weights, SAVEDMODEL, tmp_path / "notes", overwrite=True)
    with pytest.raises(UsageError, match="notes: contains no readable radiograph"):
        export_network(weights, SAVEDMODEL, tmp_path / "new", tmp_path / "notes")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "notes"]


@pytest.mark.parametrize(("error", "refused"), [(0.0009, False), (-0.0011, True), (np.nan, True)])
def test_a_file_that_differs_from_keras_is_removed(error, refused, weights, tmp_path, monkeypatch):
    written = exporting.Format(
        ".tflite", lambda _, metadata, path: path.write_text("a network"), lambda _: lambda images: images + error
    )
    monkeypatch.setitem(FORMATS, LITERT, written)
    monkeypatch.setattr(exporting, "keras_predictor", lambda _: lambda images: images)
    output = tmp_path / "tiny.tflite"
    if refused:
        with pytest.raises(UsageError, match="as litert differs from Keras by"):
            export_network(weights, LITERT, output)
    else:
        assert export_network(weights, LITERT, output).difference == pytest.approx(error, rel=0.01)
    assert list(tmp_path.iterdir()) == ([] if refused else [output])


def test_the_command_offers_every_format():
    assert typing.get_args(typing.get_type_hints(export)["kind"]) == tuple(FORMATS)


def test_without_an_interpreter_litert_names_the_package_to_install(monkeypatch):
    for name in ("ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError) as caught:
        FORMATS[LITERT].load(Path("tiny.tflite"))
    assert "pip install ai-edge-litert" in caught.value.hint


def test_other_backends_are_refused(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "choose_device", lambda hardware: None)
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(UsageError, match="only TensorFlow can export a network, not jax"):
        export_network(weights, SAVEDMODEL, tmp_path / "tiny")
    assert not list(tmp_path.iterdir())


def between(images):
    """1 for medium grey values, such as those of the phantoms' lungs."""
    return ((images > 0.12) & (images < 0.45)).astype(np.float32)


def write_between(path, manifest):
    """Write an ONNX file of this function, with the metadata of an export."""
    node, shape = onnx.helper.make_node, ["N", 128, 128, 1]
    limits = [onnx.helper.make_tensor(name, 1, [], [value]) for name, value in (("low", 0.12), ("high", 0.45))]
    nodes = [
        node("Greater", ["radiograph", "low"], ["above"]),
        node("Less", ["radiograph", "high"], ["below"]),
        node("And", ["above", "below"], ["between"]),
        node("Cast", ["between"], ["lungs"], to=1),
    ]
    ends = [[onnx.helper.make_tensor_value_info(name, 1, shape)] for name in ("radiograph", "lungs")]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "between", *ends, limits),
        ir_version=8,
        opset_imports=[onnx.helper.make_opsetid("", 17)],
    )
    metadata = describe_network(Path("between.weights.h5"), manifest)
    onnx.helper.set_model_props(model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()})
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("zoom", [True, False])
def test_the_script_of_the_how_to_predicts_like_lungmask(zoom, tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
    script = tmp_path / "segment_lungs.py"
    script.write_text(re.search(r"```python\n(.*?)```", page.read_text(), re.DOTALL).group(1))
    manifest = {"sha256": "0" * 64, "config": {"image_size": 128, "zoom": zoom}}
    write_between(tmp_path / "network.onnx", manifest)
    phantom = draw_phantom(300, 240)
    source = save_grey(tmp_path / "chest.png", phantom.image)
    monkeypatch.setattr(
        sys, "argv", [str(script), *(str(tmp_path / name) for name in ("network.onnx", "chest.png", "mask.png"))]
    )
    variables = runpy.run_path(str(script))
    mask = np.asarray(Image.open(tmp_path / "mask.png")) > 0
    network = build_network(lambda images: between(images)[..., None], manifest)
    expected = as_mask(predict([network], variables["normalised"](np.asarray(Image.open(source), np.float32))))
    for truth, least in ((expected, 0.98), (phantom.lungs, 0.96)):
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > least

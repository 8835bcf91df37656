"""Exports networks to the formats of other programs, and compares each file with Keras."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli import __version__
from lungmask_cli.config import HEART, LUNGS, TrainConfig
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import atomic_write, atomic_write_folder, write_json
from lungmask_cli.formats.find import find_images
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.geometry import MIN_WIDTH, ZOOM_MARGIN, Letterbox
from lungmask_cli.imaging.normalization import HIGH_PERCENTILE, LOW_PERCENTILE
from lungmask_cli.imaging.polarity import to_network_input
from lungmask_cli.imaging.radiograph import FloatImage
from lungmask_cli.models.manifest import verify_weights
from lungmask_cli.models.network import THRESHOLD, Predictor, keras_predictor
from lungmask_cli.models.onnx_session import import_runtime, onnx_predictor
from lungmask_cli.networks.backend import Hardware, choose_device, quietly

if TYPE_CHECKING:
    import keras
    import onnx

ONNX, SAVEDMODEL, LITERT = "onnx", "savedmodel", "litert"
INPUT = "radiograph"  # the name in every format; outputs are named by their structures
TOLERANCE = 1e-3
_MAX_RADIOGRAPHS = 8
_OPSET = 17
_SIGNATURE = "serving_default"
_METADATA = "lungmask"
_SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Format:
    """An export format.

    Args:
        suffix: of its files; empty for a folder.
        write: writes a generator with its metadata to a file or folder.
        load: loads a network from a file or folder with the runtime of the format.
    """

    suffix: str
    write: Callable[["keras.Model", Mapping[str, Any], Path], None]
    load: Callable[[Path], Predictor]


@dataclass(frozen=True)
class ExportCheck:
    """The difference between an exported network and Keras.

    Args:
        difference: the largest difference of probability of any pixel, in [0, 1].
        radiographs: how many were compared, besides a synthetic image.
    """

    difference: float
    radiographs: int


def export_network(
    weights: Path, kind: str, output: Path, radiographs: Path | None = None, overwrite: bool = False
) -> ExportCheck:
    """Write the network in another format, and compare it with Keras; if they differ, nothing is written.

    Args:
        weights: the weight file.
        kind: one of `FORMATS`.
        output: the file, or the folder of a SavedModel.
        radiographs: a folder of radiographs for the comparison.
        overwrite: replace an earlier export.

    Raises:
        UsageError: `output` exists or has a wrong name, the weights are damaged, no radiograph can be read, or the
            exported network differs from Keras.
    """
    target = FORMATS[kind]
    _check_output(output, target, overwrite)
    images = _comparison_images(weights, radiographs)
    with atomic_write(output) if target.suffix else atomic_write_folder(output) as partial:
        difference = write_checked(weights, kind, partial, images)
    return ExportCheck(difference, len(images) - 1)


def write_checked(weights: Path, kind: str, path: Path, images: Sequence[FloatImage] = ()) -> float:
    """Write the network to `path`, and compare it with Keras; the file remains if they differ.

    Args:
        weights: the weight file.
        kind: one of `FORMATS`.
        path: the file or folder.
        images: for the comparison, (S, S) float32 in [0, 1]; a synthetic image if empty.

    Returns:
        The largest difference of probability.

    Raises:
        UsageError: it is above `TOLERANCE`; the weights cannot be loaded; or the backend of Keras is not TensorFlow.
    """
    target = FORMATS[kind]
    choose_device(Hardware())
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"only TensorFlow can export a network, not {keras.backend.backend()}", "Set KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    from lungmask_cli.models.weights import load_model

    with tf.device("CPU"):  # GPUs compute with fewer digits
        model = load_model(weights)
        with quietly():
            target.write(model.generator, describe_network(weights, model.manifest), path)
            config = TrainConfig().merged(model.manifest["config"])
            images = images or [_synthetic_image(config.image_size)]
            if kind == ONNX and config.zoom:
                images = [*images, _synthetic_image(config.localization_size)]
            difference = _largest_difference(keras_predictor(model.generator), target.load(path), images)
    if not difference <= TOLERANCE:  # also if it is NaN
        raise UsageError(
            f"{weights}: its network as {kind} differs from Keras by {difference:.1e}, more than {TOLERANCE:g}",
            "Please report it with the versions that lungmask info lists.",
        )
    return difference


def describe_network(weights: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of exported files: everything needed to use the network without this package, as JSON values."""
    config = TrainConfig().merged(manifest["config"])
    zoom = {"side": config.detail, "margin": ZOOM_MARGIN, "least_width": MIN_WIDTH, "how": _ZOOM}
    return {
        "name": weights.name.split(".")[0],
        "lungmask": __version__,
        "weights_sha256": manifest["sha256"],
        "licence": manifest.get("licence") or "unknown",
        "intended_use": "research; not a medical device",
        "image_size": config.image_size,
        "input": f"{INPUT}: N radiographs, bones bright and air dark",
        "output": "; ".join(map(_OUTPUTS.__getitem__, config.structures)),
        "layout": "NHWC",
        "type": "float32",
        "range": [0, 1],
        "percentiles": [LOW_PERCENTILE, HIGH_PERCENTILE],
        "normalisation": _NORMALISATION,
        "letterbox": _LETTERBOX,
        "contrast": config.contrast,
        "zoom": zoom if config.zoom else None,
        "threshold": THRESHOLD,
    }


_OUTPUTS = {
    LUNGS: f"{LUNGS}: the probability of lung for each pixel, in the same layout",
    HEART: f"{HEART}: the probability of heart, which may overlap the lungs",
}
_NORMALISATION = (
    "Grey values are scaled linearly, so that the two percentiles become 0 and 1, and clipped to [0, 1]. Padding, and "
    "pixels with the minimum or maximum value, are left out when the percentiles are computed."
)
_LETTERBOX = "The radiograph keeps its aspect ratio and is centred in a square; the rest is 0. Resizing is bilinear."
_ZOOM = (
    "Two passes, on parts of the radiograph letterboxed to `side`. The localization pass finds the lungs on the whole "
    "image; lungmask itself runs it at a smaller size. If both lungs are found and together are at least `least_width` "
    "times as wide as high, the refinement pass predicts on the square around them, enlarged on each side by `margin` "
    "times its side; otherwise on the whole image. The mask is the prediction of the refinement pass, resized to its "
    "square."
)


def _check_output(output: Path, target: Format, overwrite: bool) -> None:
    if target.suffix and output.suffix.lower() != target.suffix:
        raise UsageError(f"{output}: does not end in {target.suffix}", f"Use -o NAME{target.suffix}.")
    if not output.exists():
        return
    if not overwrite:
        raise UsageError(f"{output}: exists already", "Choose another name with -o, or replace it with --overwrite.")
    if not (output.is_file() if target.suffix else (output / _SAVED_MODEL).is_file()):
        raise UsageError(f"{output}: is not an earlier export", "Choose another name with -o.")


def _comparison_images(weights: Path, folder: Path | None) -> list[FloatImage]:
    """A synthetic image, and the first radiographs of the folder as input for the network: (S, S) each."""
    config = TrainConfig().merged(verify_weights(weights)["config"])
    images = [_synthetic_image(config.image_size)]
    if folder is None:
        return images
    for path, _ in find_images([folder]):
        if len(images) > _MAX_RADIOGRAPHS:
            break
        try:
            radiograph = read_radiograph(path)
        except ImageError:
            continue
        box = Letterbox(*radiograph.shape, config.image_size)
        image, _ = to_network_input(radiograph, shape=box.content)
        images.append(enhance(box.apply(image), config.contrast))
    if len(images) == 1:
        raise UsageError(f"{folder}: contains no readable radiograph", "Choose another folder with --check.")
    return images


def _synthetic_image(size: int) -> FloatImage:
    """A diagonal ramp with noise, (size, size) in [0, 1]: all grey values, with edges everywhere."""
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, 0.1, (size, size)).astype(np.float32)
    return np.clip((ramp[:, None] + ramp) / 2 + noise, 0, 1)


def _largest_difference(one: Predictor, other: Predictor, images: Sequence[FloatImage]) -> float:
    """The largest difference between the predictions of two networks for (S, S) images; NaN if one predicts NaN."""
    pairs = (np.stack([image, image.T]) for image in images)  # a file must accept more than one image
    return float(np.max([np.abs(one(pair) - other(pair)).max() for pair in pairs]))


def _write_onnx(generator: "keras.Model", metadata: Mapping[str, Any], path: Path) -> None:
    import_runtime()  # before tf2onnx imports it with telemetry
    import onnx
    import tf2onnx

    function = _serving_function(generator)
    model, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=_OPSET)
    if metadata["zoom"]:
        _free_size(model, generator.input_shape[1])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _free_size(model: "onnx.ModelProto", size: int) -> None:
    """Let a network of two passes accept squares of any size.

    tf2onnx moves the single channel of input and output by reshaping them to their constant size; transposing does the
    same at any size. Other operations of such networks do not depend on the size.
    """
    import onnx

    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in model.graph.initializer}
    for node in model.graph.node:
        shape = list(constants[node.input[1]]) if node.op_type == "Reshape" and node.input[1] in constants else []
        if len(shape) == 4 and size in shape:
            node.op_type = "Transpose"
            del node.input[1]
            node.ClearField("attribute")
            order = [0, 2, 3, 1] if shape[3] == 1 else [0, 3, 1, 2]
            node.attribute.append(onnx.helper.make_attribute("perm", order))
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in ((1, "height"), (2, "width")):
            value.type.tensor_type.shape.dim[axis].dim_param = name


def _write_saved_model(generator: "keras.Model", metadata: Mapping[str, Any], path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()  # Keras's own export writes all weights twice
    module.weights = [variable.value for variable in generator.variables]
    tf.saved_model.save(module, str(path), {_SIGNATURE: _serving_function(generator)})
    write_json(path / "assets.extra" / f"{_METADATA}.json", metadata)  # the format's folder for files of its users


def _load_saved_model(path: Path) -> Predictor:
    import tensorflow as tf

    network = tf.saved_model.load(str(path))  # must live as long as its signatures

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return _join_outputs(network.signatures[_SIGNATURE](**{INPUT: tf.constant(images[..., None])}))

    return predict


def _write_litert(generator: "keras.Model", metadata: Mapping[str, Any], path: Path) -> None:
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "network"
        _write_saved_model(generator, metadata, saved)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        model = flatbuffer_utils.convert_bytearray_to_object(converter.convert())
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(json.dumps(metadata).encode("utf-8"))
    entry.name, entry.buffer = _METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _load_litert(path: Path) -> Predictor:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tensorflow.lite.python.interpreter import Interpreter  # will be removed from TensorFlow
        except ImportError as error:
            raise UsageError(
                "LiteRT's interpreter, which checks the file, is not installed",
                "Install it: pip install ai-edge-litert",
            ) from error
    run = Interpreter(str(path), num_threads=1).get_signature_runner(_SIGNATURE)
    return lambda images: _join_outputs(run(**{INPUT: images[..., None]}))


def _join_outputs(outputs: Mapping[str, Any]) -> NDArray[np.float32]:
    """The probabilities (N, S, S, structures) from the output of each structure."""
    return np.concatenate([np.asarray(outputs[name]) for name in (LUNGS, HEART) if name in outputs], axis=-1)


def _serving_function(generator: "keras.Model") -> Any:
    """The generator as a TensorFlow function of any number of images, with an output (N, S, S, 1) per structure."""
    import tensorflow as tf

    def predict(radiograph: Any) -> dict[str, Any]:
        predicted = generator(radiograph, training=False)
        if predicted.shape[-1] == 1:
            return {LUNGS: predicted}
        return {LUNGS: predicted[..., :1], HEART: predicted[..., 1:]}

    return tf.function(predict, [tf.TensorSpec((None, *generator.input_shape[1:]), tf.float32, INPUT)])


FORMATS = {
    ONNX: Format(".onnx", _write_onnx, lambda path: onnx_predictor(path.read_bytes(), 1)),
    SAVEDMODEL: Format("", _write_saved_model, _load_saved_model),
    LITERT: Format(".tflite", _write_litert, _load_litert),
}

"""A network in the formats of other programs: written, computed by their own runtime, and compared with Keras."""

import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli import __version__
from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import atomic_write, atomic_write_folder
from lungmask_cli.formats.find import find_images
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.geometry import MIN_WIDTH, ZOOM_MARGIN, Letterbox
from lungmask_cli.imaging.normalization import HIGH_PERCENTILE, LOW_PERCENTILE
from lungmask_cli.imaging.polarity import to_network_input
from lungmask_cli.imaging.radiograph import FloatImage
from lungmask_cli.models.manifest import checked_manifest
from lungmask_cli.models.network import THRESHOLD, Predictor, keras_predictor
from lungmask_cli.models.onnx_session import import_runtime, onnx_predictor
from lungmask_cli.networks.backend import Hardware, choose_device, quietly

if TYPE_CHECKING:
    import keras

ONNX, SAVEDMODEL, LITERT = "onnx", "savedmodel", "litert"
INPUT, OUTPUT = "radiograph", "lungs"  # as the formats name them
TOLERANCE = 1e-3
_MOST_RADIOGRAPHS = 8
_AT_ONCE = 2  # so that it shows whether a file takes more than one image
_OPSET = 17
_SIGNATURE = "serving_default"
_METADATA = "lungmask"
_SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Format:
    """How networks are written in one format, and computed from it.

    Args:
        suffix: of its files; empty where it is a folder.
        packages: what it needs besides TensorFlow, all from one extra.
        write: makes the file or folder of a generator, with what is to be said about it.
        load: the network in a file or folder, computed by the format's own runtime.
    """

    suffix: str
    packages: tuple[str, ...]
    write: Callable[["keras.Model", Mapping[str, Any], Path], None]
    load: Callable[[Path], Predictor]


@dataclass(frozen=True)
class Check:
    """How far what was written is from Keras.

    Args:
        difference: the largest of two probabilities of the same pixel, in [0, 1].
        radiographs: how many were drawn, besides an image that was made up.
    """

    difference: float
    radiographs: int


def export(weights: Path, kind: str, output: Path, radiographs: Path | None = None, overwrite: bool = False) -> Check:
    """Write the network in another format, whole and checked, or not at all.

    Args:
        weights: the weight file.
        kind: one of `FORMATS`.
        output: the file, or the folder of a SavedModel.
        radiographs: a folder of those on which the file is to draw what Keras draws.
        overwrite: replace what an earlier export has left there.

    Raises:
        UsageError: there is no such format, it cannot be written with what is installed, or there is something at
            `output`; the weights are damaged; no radiograph can be read; or what was written draws something else.
    """
    chosen = find_format(kind)
    _require_place(output, chosen, overwrite)
    shown = _shown(weights, radiographs)
    with _whole(output, chosen) as partial:
        difference = write_checked(weights, kind, partial, shown)
    return Check(difference, len(shown) - 1)


def find_format(kind: str) -> Format:
    """The format of that name.

    Raises:
        UsageError: there is none, or packages that it needs are not installed.
    """
    if kind not in FORMATS:
        raise UsageError(f"there is no format named {kind!r}", f"Use {', '.join(FORMATS)}.")
    missing = [name for name in FORMATS[kind].packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the format {kind} needs {', '.join(missing)}", 'Install it: pip install "lungmask-cli[onnx]"'
        )
    return FORMATS[kind]


def write_checked(
    weights: Path, kind: str, path: Path, images: Sequence[FloatImage] = (), size: int | None = None
) -> float:
    """Write the network at `path`, and compare it with Keras; what is wrong is left there.

    Args:
        weights: the weight file.
        kind: one of `FORMATS`.
        path: what to write.
        images: what both are to draw, (S, S) float32 in [0, 1]; none for an image that is made up.
        size: S; None for that of the weights.

    Returns:
        The largest difference of probability.

    Raises:
        UsageError: it is above `TOLERANCE`; the weights cannot be loaded; Keras runs on another backend than
            TensorFlow; or as in `find_format`.
    """
    chosen = find_format(kind)
    choose_device(Hardware())
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"only TensorFlow can export a network, not {keras.backend.backend()}", "Set KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    from lungmask_cli.models.weights import load_model

    with tf.device("CPU"):  # GPUs round to fewer digits
        model = load_model(weights, size)
        with quietly():
            chosen.write(model.generator, described(weights, model.manifest), path)
            difference = _difference(
                keras_predictor(model.generator),
                chosen.load(path),
                images or [_made_up(model.generator.input_shape[1])],
            )
    if not difference <= TOLERANCE:  # nor where it is not a number
        raise UsageError(
            f"{weights}: its network as {kind} differs from Keras by {difference:.1e}, more than {TOLERANCE:g}",
            "Please report it, with the versions that lungmask info lists.",
        )
    return difference


def described(weights: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """All that has to be known to use the network without this package; values are those of JSON."""
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
        "output": f"{OUTPUT}: of each pixel the probability of lung, in the same layout",
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


_NORMALISATION = (
    "The grey values at the two percentiles become 0 and 1, what is beyond them is clipped. Padding, and pixels at the "
    "very smallest and largest value, do not count for the percentiles."
)
_LETTERBOX = "The radiograph keeps its shape and lies in the middle of a square; the rest is 0. Resizing is bilinear."
_ZOOM = (
    "Two looks, at parts of the radiograph letterboxed to `side`. First at the whole picture, only to find the lungs, "
    "for which lungmask itself shows it smaller. Where both are found, at least `least_width` of their height wide "
    "together, then at the square around them, with `margin` of its side more on each side; else at the whole picture. "
    "The second drawing counts, put back where it was seen."
)


def _require_place(output: Path, chosen: Format, overwrite: bool) -> None:
    if chosen.suffix and output.suffix.lower() != chosen.suffix:
        raise UsageError(
            f"{output}: does not end in {chosen.suffix}", f"Give -o a name such as general{chosen.suffix}."
        )
    if not output.exists():
        return
    if not overwrite:
        raise UsageError(f"{output}: is there already", "Choose another name with -o, or replace it with --overwrite.")
    if not (output.is_file() if chosen.suffix else (output / _SAVED_MODEL).is_file()):
        raise UsageError(f"{output}: is not what an export has left there", "Choose another name with -o.")


def _whole(output: Path, chosen: Format) -> AbstractContextManager[Path]:
    return atomic_write(output) if chosen.suffix else atomic_write_folder(output)


def _shown(weights: Path, folder: Path | None) -> list[FloatImage]:
    """What the networks are compared on, (S, S) each: an image that is made up, and the first radiographs there are.

    Raises:
        UsageError: there is a folder, but no radiograph in it that can be read.
    """
    config = TrainConfig().merged(checked_manifest(weights)["config"])
    shown = [_made_up(config.image_size)]
    if folder is None:
        return shown
    for path, _ in find_images([folder]):
        if len(shown) > _MOST_RADIOGRAPHS:
            break
        try:
            radiograph = read_radiograph(path)
        except ImageError:
            continue
        box = Letterbox(*radiograph.shape, config.image_size)
        image, _ = to_network_input(radiograph, shape=box.content)
        shown.append(enhance(box.apply(image), config.contrast))
    if len(shown) == 1:
        raise UsageError(f"{folder}: holds no radiograph that can be read", "Give another folder with --check.")
    return shown


def _made_up(size: int) -> FloatImage:
    """A ramp under noise, (size, size) in [0, 1]: every grey value, at every place of it, and edges everywhere."""
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, 0.1, (size, size)).astype(np.float32)
    return np.clip((ramp[:, None] + ramp) / 2 + noise, 0, 1)


def _difference(one: Predictor, other: Predictor, images: Sequence[FloatImage]) -> float:
    """The largest of what two networks draw on images of (S, S); not a number where one draws such."""
    pairs = (np.stack(images[first : first + _AT_ONCE]) for first in range(0, len(images), _AT_ONCE))
    return float(np.max([np.abs(one(seen) - other(seen)).max() for seen in pairs]))


def _write_onnx(generator: "keras.Model", facts: Mapping[str, Any], path: Path) -> None:
    import_runtime()  # before tf2onnx does, which lets it tell its maker
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(_function(generator), [_input(generator)], opset=_OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    words = {key: fact if isinstance(fact, str) else json.dumps(fact) for key, fact in facts.items()}
    onnx.helper.set_model_props(model, words)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _load_onnx(path: Path) -> Predictor:
    return onnx_predictor(path.read_bytes(), threads=1)


def _write_saved_model(generator: "keras.Model", facts: Mapping[str, Any], path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()  # Keras's own export writes all weights twice
    module.weights = [variable.value for variable in generator.variables]
    tf.saved_model.save(module, str(path), {_SIGNATURE: _function(generator)})
    beside = path / "assets.extra" / f"{_METADATA}.json"  # where the format keeps what is its user's
    beside.parent.mkdir()
    beside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _load_saved_model(path: Path) -> Predictor:
    import tensorflow as tf

    network = tf.saved_model.load(str(path))  # which must live as long as its signatures

    def draw(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        drawn: NDArray[np.float32] = network.signatures[_SIGNATURE](**{INPUT: tf.constant(seen[..., None])})[OUTPUT]
        return np.asarray(drawn)[..., 0]

    return draw


def _write_litert(generator: "keras.Model", facts: Mapping[str, Any], path: Path) -> None:
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "network"
        _write_saved_model(generator, facts, saved)
        model = flatbuffer_utils.convert_bytearray_to_object(
            tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert()
        )
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(json.dumps(facts).encode("utf-8"))
    entry.name, entry.buffer = _METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _load_litert(path: Path) -> Predictor:
    run = _interpreter()(str(path), num_threads=1).get_signature_runner(_SIGNATURE)

    def draw(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        drawn: NDArray[np.float32] = run(**{INPUT: seen[..., None]})[OUTPUT]
        return drawn[..., 0]

    return draw


def _interpreter() -> Any:
    """LiteRT's own interpreter, or that of TensorFlow, which is to lose it."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tensorflow.lite.python.interpreter import Interpreter
        except ImportError as error:
            raise UsageError(
                "LiteRT's interpreter, which checks the file, is not installed",
                "Install it: pip install ai-edge-litert",
            ) from error
    return Interpreter


def _function(generator: "keras.Model") -> Any:
    """The generator as TensorFlow's function of any number of images, with input and output named."""
    import tensorflow as tf

    def draw(radiograph: Any) -> dict[str, Any]:
        return {OUTPUT: generator(radiograph, training=False)}

    return tf.function(draw, [_input(generator)])


def _input(generator: "keras.Model") -> Any:
    import tensorflow as tf

    return tf.TensorSpec((None, *generator.input_shape[1:]), tf.float32, INPUT)


FORMATS = {
    ONNX: Format(".onnx", ("onnx", "onnxruntime", "tf2onnx"), _write_onnx, _load_onnx),
    SAVEDMODEL: Format("", (), _write_saved_model, _load_saved_model),
    LITERT: Format(".tflite", (), _write_litert, _load_litert),
}

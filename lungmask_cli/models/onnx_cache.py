"""Networks computed by ONNX Runtime, on the CPU: it starts in a moment, for neither Keras nor TensorFlow is imported.

A network is converted once, by Keras, for each size of what it is shown, and kept in the user's cache.
"""

import dataclasses
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from lungmask_cli import __version__
from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import UsageError
from lungmask_cli.files import atomic_write
from lungmask_cli.models.manifest import checked_manifest
from lungmask_cli.models.network import Network, build_network
from lungmask_cli.models.onnx_session import import_runtime, onnx_predictor
from lungmask_cli.processes import available_cores

FORMAT = 1  # of what is kept
_DIGEST = 32  # bytes of SHA-256


def load_onnx(path: Path, threads: int | None = None) -> Network:
    """The network whose weights are at `path`, computed by ONNX Runtime.

    Args:
        path: the weight file.
        threads: how many threads will ask it to draw at once, with one core each; None for one that has all cores.

    Raises:
        UsageError: the weights are damaged or unknown, as in `load_model`; ONNX Runtime is not installed; or the
            network must be converted and cannot be, as in `write_checked`, or cannot be kept.
    """
    import_runtime()
    manifest = checked_manifest(path)
    cores = 1 if threads else available_cores()
    draws = {
        size: onnx_predictor(_read(place) or _convert(path, size, place), cores)
        for size, place in _places(manifest).items()
    }
    return build_network(lambda seen: draws[seen.shape[1]](seen), manifest)


def is_converted(path: Path) -> bool:
    """Whether the network was converted before, so that it is at hand at once.

    Raises:
        UsageError: the weights are damaged or unknown.
    """
    return all(_read(place) for place in _places(checked_manifest(path)).values())


def _places(manifest: dict[str, Any]) -> dict[int, Path]:
    """Where the converted network is kept for each size, named by all that decides what it is."""
    config = TrainConfig().merged(manifest["config"])
    parts = [FORMAT, __version__, manifest["sha256"], dataclasses.asdict(config.generator)]
    sizes = {config.image_size, config.localization_size} if config.zoom else {config.image_size}
    names = {size: json.dumps([*parts, size], sort_keys=True).encode() for size in sizes}
    folder = user_cache_path("lungmask")
    return {size: folder / f"network-{hashlib.sha256(name).hexdigest()}" for size, name in names.items()}


def _read(place: Path) -> bytes | None:
    """The converted network, or None where there is none or it is damaged."""
    try:
        content = place.read_bytes()
    except OSError:
        return None
    digest, model = content[:_DIGEST], content[_DIGEST:]
    return model if hashlib.sha256(model).digest() == digest else None


def _convert(path: Path, size: int, place: Path) -> bytes:
    """The network for radiographs of that size, compared with Keras's and kept: its SHA-256, then ONNX."""
    from lungmask_cli.models.export import ONNX, write_checked

    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "network.onnx"
        write_checked(path, ONNX, converted, size=size)
        model = converted.read_bytes()
    try:
        with atomic_write(place) as partial:
            partial.write_bytes(hashlib.sha256(model).digest() + model)
    except OSError as error:
        raise UsageError(
            f"{place}: the converted network cannot be kept there: {error.strerror or error}",
            "Set XDG_CACHE_HOME to a folder that can be written to, or use --runtime keras.",
        ) from error
    return model

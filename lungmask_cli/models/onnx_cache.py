"""Networks run by ONNX Runtime on the CPU, which starts quickly because neither Keras nor TensorFlow is imported.

Keras converts a network once for each input size. The converted networks are kept in the user's cache folder.
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
from lungmask_cli.models.manifest import verify_weights
from lungmask_cli.models.network import Network, build_network
from lungmask_cli.models.onnx_session import import_runtime, onnx_predictor
from lungmask_cli.processes import available_cores

CACHE_FORMAT = 1
_DIGEST_BYTES = 32  # of SHA-256


def load_onnx(path: Path, threads: int | None = None) -> Network:
    """Load a network with ONNX Runtime.

    Args:
        path: the weight file.
        threads: how many threads will use it in parallel, with one core each; None for one thread with all cores.

    Raises:
        UsageError: the weights are damaged or unknown, as in `load_model`; ONNX Runtime is not installed; or the
            network must be converted and cannot be, as in `write_checked`, or cannot be saved.
    """
    import_runtime()
    manifest = verify_weights(path)
    cores = 1 if threads else available_cores()
    predictors = {
        size: onnx_predictor(_read_cached(file) or _convert(path, size, file), cores)
        for size, file in _cache_files(manifest).items()
    }
    return build_network(lambda images: predictors[images.shape[1]](images), manifest)


def is_converted(path: Path) -> bool:
    """Whether the network is in the cache for all sizes, so that it loads quickly.

    Raises:
        UsageError: the weights are damaged or unknown.
    """
    return all(_read_cached(file) for file in _cache_files(verify_weights(path)).values())


def _cache_files(manifest: dict[str, Any]) -> dict[int, Path]:
    """The cache file for each input size; its name is a hash of everything that determines its contents."""
    config = TrainConfig().merged(manifest["config"])
    parts = [CACHE_FORMAT, __version__, manifest["sha256"], dataclasses.asdict(config.generator)]
    sizes = {config.image_size, config.localization_size} if config.zoom else {config.image_size}
    keys = {size: json.dumps([*parts, size], sort_keys=True).encode() for size in sizes}
    folder = user_cache_path("lungmask")
    return {size: folder / f"network-{hashlib.sha256(key).hexdigest()}" for size, key in keys.items()}


def _read_cached(file: Path) -> bytes | None:
    """The converted network, or None if the file is missing or damaged."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, model = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return model if hashlib.sha256(model).digest() == digest else None


def _convert(path: Path, size: int, file: Path) -> bytes:
    """Convert the network for this input size, compare it with Keras, and save it: its SHA-256, then the ONNX model."""
    from lungmask_cli.models.export import ONNX, write_checked

    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "network.onnx"
        write_checked(path, ONNX, converted, size=size)
        model = converted.read_bytes()
    try:
        with atomic_write(file) as partial:
            partial.write_bytes(hashlib.sha256(model).digest() + model)
    except OSError as error:
        raise UsageError(
            f"{file}: cannot save the converted network: {error.strerror or error}",
            "Set XDG_CACHE_HOME to a writable folder, or use --runtime keras.",
        ) from error
    return model

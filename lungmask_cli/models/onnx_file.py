"""Networks run by ONNX Runtime on the CPU, which starts quickly because neither Keras nor TensorFlow is imported.

Training writes the network as an ONNX file beside its best weights, and shipped weights have one. Other weights are
converted once; the result is kept in the user's cache folder.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from lungmask_cli import __version__
from lungmask_cli.errors import UsageError
from lungmask_cli.files import atomic_write, file_sha256, write_json
from lungmask_cli.models.manifest import manifest_path, onnx_path, read_weights_manifest, verify_weights
from lungmask_cli.models.network import Network, build_network
from lungmask_cli.models.onnx_session import onnx_predictor
from lungmask_cli.processes import available_cores

SHA256 = "onnx_sha256"  # in the manifest
_CACHE_FORMAT = 2
_DIGEST_BYTES = 32  # of SHA-256


def load_onnx(path: Path, threads: int | None = None) -> Network:
    """Load a network with ONNX Runtime.

    Args:
        path: the weight file.
        threads: how many threads will use it in parallel, with one core each; None for one thread with all cores.

    Raises:
        UsageError: the weights or the ONNX file are damaged or unknown; or the network must be converted and cannot be,
            as in `write_checked`, or cannot be saved.
    """
    model = _read_model(path) or _convert(path)
    return build_network(onnx_predictor(model, 1 if threads else available_cores()), read_weights_manifest(path))


def is_converted(path: Path) -> bool:
    """Whether there is an ONNX file of the network, so that it loads quickly.

    Raises:
        UsageError: as in `load_onnx`.
    """
    return _read_model(path) is not None


def write_onnx(path: Path) -> None:
    """Write the network of the weight file `path` as an ONNX file beside it, with its SHA-256 in the manifest.

    Raises:
        UsageError: as in `write_checked`.
    """
    from lungmask_cli.models.export import ONNX, write_checked

    manifest, target = verify_weights(path), onnx_path(path)
    with atomic_write(target) as partial:
        write_checked(path, ONNX, partial)
    write_json(manifest_path(path), {**manifest, SHA256: file_sha256(target)})


def _read_model(path: Path) -> bytes | None:
    """The ONNX file beside the weights or in the cache; None if there is none, or that in the cache is damaged."""
    manifest, file = read_weights_manifest(path), onnx_path(path)
    if SHA256 in manifest and file.is_file():
        model = file.read_bytes()
        if hashlib.sha256(model).hexdigest() != manifest[SHA256]:
            raise UsageError(f"{file}: is damaged: its SHA-256 is not that of its manifest", "Copy both files again.")
        return model
    try:
        content = _cache_file(verify_weights(path)).read_bytes()
    except OSError:
        return None
    digest, model = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return model if hashlib.sha256(model).digest() == digest else None


def _cache_file(manifest: dict[str, Any]) -> Path:
    """The cache file; its name is a hash of everything that determines its contents."""
    key = json.dumps([_CACHE_FORMAT, __version__, manifest["sha256"], manifest["config"]], sort_keys=True)
    return user_cache_path("lungmask") / f"network-{hashlib.sha256(key.encode()).hexdigest()}"


def _convert(path: Path) -> bytes:
    """Convert the network, compare it with Keras, and save it: its SHA-256, then the ONNX model."""
    from lungmask_cli.models.export import ONNX, write_checked

    file = _cache_file(verify_weights(path))
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "network.onnx"
        write_checked(path, ONNX, converted)
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

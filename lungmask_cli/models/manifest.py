"""Finds weight files and reads their manifests, without Keras."""

import json
from pathlib import Path
from typing import Any

import lungmask_cli
from lungmask_cli.errors import UsageError, suggest

BEST = "best"
DEFAULT_WEIGHTS = "general"
FORMAT = 1
KERAS_MAJOR = 3
_SUFFIX = ".weights.h5"
_LARGE = 100_000_000  # bytes; to convert `fcn`, of 540 MB, takes more than 20 GB of memory


def shipped_folder() -> Path:
    """The folder of the shipped weights: inside the installed package, or beside it in a checkout."""
    package = Path(lungmask_cli.__file__).parent
    return package / "weights" if (package / "weights").is_dir() else package.parent / "weights"


def shipped_weights() -> dict[str, Path]:
    """The shipped weight files, by their name for `--weights`."""
    return {file.name.removesuffix(_SUFFIX): file for file in sorted(shipped_folder().glob(f"*{_SUFFIX}"))}


def find_weights(name: str) -> Path:
    """The weight file for `--weights`: the name of shipped weights, a `.weights.h5` file, or a run folder (best epoch).

    Raises:
        UsageError: there is no such weight file; the message lists the shipped weights.
    """
    path = Path(name)
    if path.is_dir():
        path = path / f"{BEST}{_SUFFIX}"
    if path.is_file():
        return path
    shipped = shipped_weights()
    if name in shipped:
        return shipped[name]
    hint = suggest(name, shipped, "Shipped weights")
    raise UsageError(f"there are no weights at {path}", f"{hint} Or use a run folder.")


def read_weights_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of the weight file `path`.

    Raises:
        UsageError: it is missing, broken or lacks a key, or it or its weights have a later format.
    """
    file = manifest_path(path)
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        missing = {"config", "sha256"} - set(manifest)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{file}: is not a readable weights manifest", "Keep it beside its .weights.h5 file."
        ) from error
    if missing:
        raise UsageError(f"{file}: lacks {', '.join(sorted(missing))}", "Copy it again from the source of the weights.")
    found, keras = manifest.get("format", FORMAT), str(manifest.get("keras", KERAS_MAJOR)).split()[0]
    if found != FORMAT or keras.split(".")[0] != str(KERAS_MAJOR):
        raise UsageError(
            f"{file}: has format {found} for Keras {keras}, but this lungmask reads "
            f"format {FORMAT} for Keras {KERAS_MAJOR}",
            "Use the lungmask that wrote it, or a newer one.",
        )
    return manifest


def verify_weights(path: Path) -> dict[str, Any]:
    """Read the manifest of the weight file `path`, and check the SHA-256 of the file.

    Raises:
        UsageError: as in `read_weights_manifest`; or the file is damaged or replaced.
    """
    from lungmask_cli.files import file_sha256

    manifest = read_weights_manifest(path)
    sha256 = file_sha256(path)
    if sha256 != manifest["sha256"]:
        raise UsageError(
            f"{path}: is damaged: its SHA-256 is {sha256}, but {manifest_path(path).name} says {manifest['sha256']}",
            "Copy both files again.",
        )
    return manifest


def manifest_path(path: Path) -> Path:
    """The path of the manifest of the weight file `path`."""
    return path.with_name(path.name.removesuffix(_SUFFIX) + ".json")


def is_large(path: Path) -> bool:
    """Whether the weight file is so large that its network is converted for ONNX Runtime only if the user names it."""
    return path.stat().st_size > _LARGE


def onnx_path(path: Path) -> Path:
    """The path of the ONNX file of the weight file `path`."""
    return path.with_name(path.name.removesuffix(_SUFFIX) + ".onnx")

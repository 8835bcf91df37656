"""Weight files and their manifests, found and read without Keras."""

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


def shipped_folder() -> Path:
    """Where the weights that ship lie: inside the installed package, or beside it in a checkout."""
    package = Path(lungmask_cli.__file__).parent
    return package / "weights" if (package / "weights").is_dir() else package.parent / "weights"


def shipped_weights() -> dict[str, Path]:
    """The weight files that ship, by the name that `--weights` takes."""
    return {file.name.removesuffix(_SUFFIX): file for file in sorted(shipped_folder().glob(f"*{_SUFFIX}"))}


def find_weights(name: str) -> Path:
    """The weight file for `--weights`: a name that ships, a `.weights.h5` file, or a run folder (its best epoch).

    Raises:
        UsageError: there is no such weight file; the names that ship are given.
    """
    path = Path(name)
    if path.is_dir():
        path = path / f"{BEST}{_SUFFIX}"
    if path.is_file():
        return path
    shipped = shipped_weights()
    if name in shipped:
        return shipped[name]
    hint = suggest(name, shipped, "Names of the weights that ship")
    raise UsageError(f"there are no weights at {path}", f"{hint} Or give a run folder.")


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest beside the weight file `path`.

    Raises:
        UsageError: it is missing, broken or lacks a key, or it or its weights are of a format that came later.
    """
    place = manifest_path(path)
    try:
        manifest: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        missing = {"config", "sha256"} - set(manifest)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{place}: is not a readable weights manifest", "Keep it beside its .weights.h5 file."
        ) from error
    if missing:
        raise UsageError(
            f"{place}: lacks {', '.join(sorted(missing))}", "Copy it again from where the weights came from."
        )
    kept, keras = manifest.get("format", FORMAT), str(manifest.get("keras", KERAS_MAJOR)).split()[0]
    if kept != FORMAT or keras.split(".")[0] != str(KERAS_MAJOR):
        raise UsageError(
            f"{place}: is of format {kept} for Keras {keras}; "
            f"this lungmask reads format {FORMAT} for Keras {KERAS_MAJOR}",
            "Use the lungmask that wrote it, or a newer one.",
        )
    return manifest


def checked_manifest(path: Path) -> dict[str, Any]:
    """The manifest beside the weight file `path`, which is the one that it was written for.

    Raises:
        UsageError: as in `read_manifest`; or the file is damaged, or another one.
    """
    from lungmask_cli.files import file_sha256

    manifest = read_manifest(path)
    found = file_sha256(path)
    if found != manifest["sha256"]:
        raise UsageError(
            f"{path}: is damaged: its SHA-256 is {found}, but {manifest_path(path).name} says {manifest['sha256']}",
            "Copy both files again.",
        )
    return manifest


def manifest_path(path: Path) -> Path:
    """Where the manifest of the weight file `path` is."""
    return path.with_name(path.name.removesuffix(_SUFFIX) + ".json")

"""Weights with their manifest: NAME.weights.h5 and NAME.json.

The manifest holds everything that rebuilds the network, so loading reads numbers and runs no code.
"""

import difflib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import lungmask_cli
from lungmask_cli.config import TrainConfig
from lungmask_cli.datasets.prepared import file_sha256
from lungmask_cli.errors import ConfigError, UsageError
from lungmask_cli.imaging.write import write_text, written_whole
from lungmask_cli.networks.generators import build_generator

BEST = "best"
_SUFFIX = ".weights.h5"


@dataclass(frozen=True)
class LoadedModel:
    """A generator with its weights and the manifest they came with."""

    generator: keras.Model
    image_size: int
    manifest: dict[str, Any]


def shipped_folder() -> Path:
    """Where the weights that ship lie: inside the installed package, or beside it in a checkout."""
    package = Path(lungmask_cli.__file__).parent
    return package / "weights" if (package / "weights").is_dir() else package.parent / "weights"


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
    shipped = shipped_folder() / f"{name}{_SUFFIX}"
    if shipped.is_file():
        return shipped
    names = sorted(file.name.removesuffix(_SUFFIX) for file in shipped_folder().glob(f"*{_SUFFIX}"))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"there are no weights at {path}", f"{hint}Shipped: {', '.join(names) or 'none'}; or give a run folder."
    )


def save_weights(generator: keras.Model, path: Path, manifest: dict[str, Any], half: bool = False) -> None:
    """Write the generator's weights and, beside them, the manifest with their SHA-256.

    Args:
        generator: the network.
        path: the weight file, ending in `.weights.h5`.
        manifest: what to record; `config` must be the resolved configuration.
        half: store half precision, half the size.
    """
    with written_whole(path) as partial:
        generator.save_weights(partial)
        if half:
            _halve(partial)
    record = {**manifest, "file": path.name, "sha256": file_sha256(path), "precision": "float16" if half else "float32"}
    write_text(_manifest_path(path), json.dumps(record, indent=2) + "\n")


def load_model(path: Path) -> LoadedModel:
    """The generator at `path`, built from its manifest, with its weights.

    Raises:
        UsageError: the manifest is missing or broken, or the file is not the one that the manifest was made for.
    """
    manifest = read_manifest(path)
    if file_sha256(path) != manifest["sha256"]:
        raise UsageError(
            f"{path}: is damaged, its SHA-256 is not the one in {_manifest_path(path).name}", "Copy both files again."
        )
    try:
        config = TrainConfig().merged(manifest["config"])
        generator = build_generator(config.generator, config.image_size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what then fails as an error of its own
            generator.load_weights(path)
    except (ConfigError, ValueError, OSError, KeyError) as error:
        raise UsageError(
            f"{path}: its weights do not fit its manifest: {error}", "Was it written by a newer version?"
        ) from error
    return LoadedModel(generator, config.image_size, manifest)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest beside the weight file `path`.

    Raises:
        UsageError: it is missing, broken or lacks a key.
    """
    place = _manifest_path(path)
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
    return manifest


def _manifest_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(_SUFFIX) + ".json")


def _halve(path: Path) -> None:
    """Rewrite the HDF5 file with float16 numbers; Keras casts them back when it loads them."""
    import h5py

    single = path.with_name(path.name + ".single")
    path.rename(single)

    def copy(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            values = np.asarray(node)
            halved = target.create_dataset(
                name, data=values.astype(np.float16) if values.dtype == np.float32 else values
            )
            halved.attrs.update(node.attrs)
        else:
            target.require_group(name).attrs.update(node.attrs)

    try:
        with h5py.File(single) as source, h5py.File(path, "w") as target:
            target.attrs.update(source.attrs)
            source.visititems(copy)
    finally:
        single.unlink()

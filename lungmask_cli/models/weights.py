"""Saves and loads weights with their manifest: NAME.weights.h5 and NAME.json.

The manifest contains everything that is needed to rebuild the network, so loading weights does not execute code.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lungmask_cli import __version__
from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import ConfigError, UsageError
from lungmask_cli.files import atomic_write, file_sha256, write_json
from lungmask_cli.models.manifest import manifest_path, verify_weights
from lungmask_cli.networks.generators import build_generator


@dataclass(frozen=True)
class LoadedModel:
    """A generator with its weights, and the manifest of the weights."""

    generator: keras.Model
    manifest: dict[str, Any]


def save_weights(generator: keras.Model, path: Path, manifest: dict[str, Any], half: bool = False) -> None:
    """Write the generator's weights and, beside them, the manifest with their SHA-256.

    Args:
        generator: the network.
        path: the weight file, ending in `.weights.h5`.
        manifest: the other entries; `config` must be the resolved configuration.
        half: store float16 instead of float32, which halves the file.
    """
    with atomic_write(path) as partial:
        generator.save_weights(partial)
        if half:
            _halve(partial)
    record = {**manifest, "file": path.name, "sha256": file_sha256(path), "precision": "float16" if half else "float32"}
    write_json(manifest_path(path), record)


def load_model(path: Path) -> LoadedModel:
    """Build the generator from its manifest and load its weights.

    Args:
        path: the weight file.

    Raises:
        UsageError: the manifest is missing or broken, has a later format, names a network that this version does not
            know, or belongs to another file.
    """
    manifest = verify_weights(path)
    try:
        config = TrainConfig().merged(manifest["config"])
        generator = build_generator(config.generator, (config.image_size, config.image_size), len(config.structures))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they warn of is raised as an error
            generator.load_weights(path)
    except (ConfigError, ValueError, OSError, KeyError) as error:
        written = f"lungmask {manifest.get('lungmask', '?')} with Keras {manifest.get('keras', '?')}"
        raise UsageError(
            f"{path}: its weights do not fit its manifest: {error}",
            f"They were written by {written}; this is lungmask {__version__} with Keras {keras.__version__}.",
        ) from error
    return LoadedModel(generator, manifest)


def _halve(path: Path) -> None:
    """Rewrite the HDF5 file in float16; Keras converts the numbers back when it loads them."""
    import h5py

    single = path.with_name(path.name + ".single")
    path.rename(single)

    def copy(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            values = np.asarray(node)
            values = values.astype(np.float16) if values.dtype == np.float32 else values
            target.create_dataset(name, data=values).attrs.update(node.attrs)
        else:
            target.require_group(name).attrs.update(node.attrs)

    try:
        with h5py.File(single) as source, h5py.File(path, "w") as target:
            target.attrs.update(source.attrs)
            source.visititems(copy)
    finally:
        single.unlink()

"""The one place where Keras is imported, quietly, and where the device is chosen."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

from lungmask_cli.errors import UsageError


@dataclass(frozen=True)
class Device:
    """What the networks run on: `kind` is `cpu` or `gpu`, `reason` says why in a few words."""

    kind: str
    reason: str


def import_keras() -> ModuleType:
    """Keras, with its backend's start-up chatter off unless `TF_CPP_MIN_LOG_LEVEL` says otherwise."""
    with _quiet_start():
        import keras

        keras.distribution.list_devices()  # wakes the backend, which has more to say
    return keras


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Hold back what native code writes to standard error, which no Python setting silences; show it on failure."""
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def choose_device(wanted: str) -> Device:
    """Make `wanted` (`auto`, `cpu` or `gpu`) the device of all networks built afterwards.

    Must be called before anything runs on the backend.

    Raises:
        UsageError: `gpu` was asked for and the backend sees none, or `wanted` is no device.
    """
    if wanted not in ("auto", "cpu", "gpu"):
        raise UsageError(f"there is no device named {wanted!r}", "Use auto, cpu or gpu.")
    if wanted == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    keras = import_keras()
    gpus = keras.distribution.list_devices("gpu") if wanted != "cpu" else []
    if gpus:
        _grow_memory_on_demand()
        return Device("gpu", f"{len(gpus)} GPU(s) seen, the first is used")
    if wanted == "gpu":
        raise UsageError(
            "--device gpu was asked for, but no GPU is visible",
            'Install the GPU build with: pip install "lungmask-cli[gpu]", and check the driver; or use --device auto.',
        )
    return Device("cpu", "asked for" if wanted == "cpu" else "no GPU is visible")


def _grow_memory_on_demand() -> None:
    """Keep TensorFlow from taking the whole GPU at once."""
    keras = import_keras()
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)

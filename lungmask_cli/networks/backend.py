"""The one place where Keras is imported, quietly, and where the device is chosen."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lungmask_cli.errors import UsageError


@dataclass(frozen=True)
class Device:
    """What the networks run on: `kind` is `cpu` or `gpu`, `reason` says why in a few words."""

    kind: str
    reason: str


def choose_device(wanted: str) -> Device:
    """Start Keras and its backend, with `wanted` (`auto`, `cpu` or `gpu`) as the device of all networks.

    Must be called before anything else imports Keras. The backend's start-up chatter is held back unless
    `TF_CPP_MIN_LOG_LEVEL` is set.

    Raises:
        UsageError: `gpu` was asked for and the backend sees none, or `wanted` is no device.
    """
    if wanted not in ("auto", "cpu", "gpu"):
        raise UsageError(f"there is no device named {wanted!r}", "Use auto, cpu or gpu.")
    if wanted == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    with _quiet_start():
        gpus = _start_backend()
    if gpus:
        return Device("gpu", f"{gpus} visible, the first is used")
    if wanted == "gpu":
        raise UsageError(
            "--device gpu was asked for, but no GPU is visible",
            'Install the GPU build with: pip install "lungmask-cli[gpu]", and check the driver; or use --device auto.',
        )
    return Device("cpu", "asked for" if wanted == "cpu" else "no GPU is visible")


def _start_backend() -> int:
    """Import Keras, wake its backend, and count the GPUs that it sees."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # only possible before the backend wakes
    return len(keras.distribution.list_devices("gpu"))


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

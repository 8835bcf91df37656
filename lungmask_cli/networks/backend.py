"""The one place where Keras is imported, quietly, and where the device is chosen."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lungmask_cli.errors import UsageError

# What native code says is held back, unless the user has asked for any of it; before JAX sets the variable itself.
_LOUD = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3") != "3"


@dataclass(frozen=True)
class Hardware:
    """What networks are asked to run on.

    Args:
        device: `auto`, `cpu`, `gpu`, or `gpu:N` for the GPU of that number.
        devices: how many of them share each step of training.
        deterministic: choose operations that always add up in the same order; on a CPU they do so anyhow.
        callers: how many threads will run networks at once, each of which then has one core of TensorFlow's CPU, which
            wastes less than all cores for one after the other; None for one that has all cores.
    """

    device: str = "auto"
    devices: int = 1
    deterministic: bool = False
    callers: int | None = None


@dataclass(frozen=True)
class Device:
    """What the networks run on: `kind` is `cpu` or `gpu`, `reason` says why in a few words, `count` how many."""

    kind: str
    reason: str
    count: int = 1


def choose_device(wanted: Hardware) -> Device:
    """Start Keras and its backend, with what is wanted as the device of all networks.

    Must be called before anything else imports Keras. The backend's start-up chatter is held back unless
    `TF_CPP_MIN_LOG_LEVEL` is set.

    Raises:
        UsageError: there is no such device, or there are not as many, or the backend cannot do what is wanted.
    """
    kind, _, number = wanted.device.partition(":")
    if kind not in ("auto", "cpu", "gpu") or (number and (kind != "gpu" or not number.isdecimal())):
        raise UsageError(f"there is no device named {wanted.device!r}", "Use auto, cpu, gpu, or gpu:N.")
    if wanted.devices < 1:
        raise UsageError(f"--devices must be at least 1, not {wanted.devices}")
    if wanted.devices > 1 and number:
        raise UsageError(f"--device {wanted.device} is one device, not {wanted.devices}", "Use --device gpu.")
    if kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    if number:
        os.environ["CUDA_VISIBLE_DEVICES"] = _visible(int(number), os.environ.get("CUDA_VISIBLE_DEVICES"))
    with quietly():
        gpus = _start_backend(wanted)
    device = _find_device(kind, gpus, wanted)
    with quietly():
        _wake(device, wanted.callers)
    return device


def _find_device(kind: str, gpus: int, wanted: Hardware) -> Device:
    if gpus:
        return _some_gpus(gpus, wanted)
    if kind == "gpu":
        raise UsageError(
            f"--device {wanted.device} was asked for, but no GPU is visible",
            'Install the GPU build with: pip install "lungmask-cli[gpu]", and check the driver; or use --device auto.',
        )
    reason = "asked for" if kind == "cpu" else "no GPU is visible"
    if wanted.devices > 1:
        reason += f"; in {wanted.devices} parts, which is for trying things out"
    return Device("cpu", reason, wanted.devices)


def _visible(number: int, already: str | None) -> str:
    """What `CUDA_VISIBLE_DEVICES` is to be, so that only the GPU of that number among those visible is."""
    if already is None:
        return str(number)
    visible = [name for name in already.split(",") if name]
    if number >= len(visible):
        raise UsageError(f"--device gpu:{number} was asked for, but CUDA_VISIBLE_DEVICES is {already!r}")
    return visible[number]


def _some_gpus(visible: int, wanted: Hardware) -> Device:
    if wanted.devices > visible:
        raise UsageError(f"--devices {wanted.devices} was asked for, but {visible} GPUs are visible")
    used = "the first is used" if wanted.devices == 1 else f"the first {wanted.devices} are used"
    if ":" in wanted.device:
        used = "asked for"
    return Device("gpu", f"{visible} visible, {used}", wanted.devices)


def _start_backend(wanted: Hardware) -> int:
    """Import Keras and its backend, make it deterministic if wanted, and count the GPUs that it sees."""
    import keras

    backend = keras.backend.backend()
    if wanted.devices > 1 and backend != "tensorflow":
        raise UsageError(f"--devices needs TensorFlow, not {backend}", "Set KERAS_BACKEND=tensorflow.")
    if wanted.deterministic:
        _make_deterministic(backend)
    return _count_gpus(backend)


def _count_gpus(backend: str) -> int:
    if backend == "jax":
        import jax

        return len(jax.devices()) if jax.default_backend() == "gpu" else 0
    if backend == "torch":
        import torch

        return int(torch.cuda.device_count())
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")  # wakes nothing yet
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return len(gpus)


def _make_deterministic(backend: str) -> None:
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        torch.use_deterministic_algorithms(True)
    elif backend == "jax":  # which has not woken yet
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()


def _wake(device: Device, callers: int | None) -> None:
    """Let TensorFlow find its devices; processes that are to train together must meet first, and do it then."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if device.kind == "cpu" and device.count > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * device.count)
    if device.kind == "cpu" and callers:
        _one_core_each(callers)
    if "TF_CONFIG" not in os.environ:
        tf.config.list_logical_devices()


def _one_core_each(callers: int) -> None:
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow is awake already, and stays as it is
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(callers)


@contextmanager
def quietly() -> Iterator[None]:
    """Hold back what native code writes to standard error, which no Python setting silences; show it on failure."""
    if _LOUD:
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

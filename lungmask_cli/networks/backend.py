"""Starts Keras and its backend without start-up messages, and chooses the device."""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lungmask_cli.errors import UsageError

BACKENDS = ("tensorflow", "jax")
# Messages of native code are hidden unless the user has set this variable. Read here because JAX sets it as well.
_SHOW_MESSAGES = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3") != "3"


@dataclass(frozen=True)
class Hardware:
    """The requested hardware.

    Args:
        device: `auto`, `cpu`, `gpu`, or `gpu:N` for the GPU with this number.
        devices: how many devices share each training step.
        deterministic: use only operations with a fixed order of summation; on a CPU this is always so.
        callers: how many threads will run networks in parallel; each then has one core of TensorFlow's CPU, which is
            faster than all cores for one thread after another. None for a single thread that has all cores.
    """

    device: str = "auto"
    devices: int = 1
    deterministic: bool = False
    callers: int | None = None


@dataclass(frozen=True)
class Device:
    """The chosen device: `kind` is `cpu` or `gpu`, `reason` says in a few words why, `count` is how many are used."""

    kind: str
    reason: str
    count: int = 1


def has_gpu() -> bool:
    """Whether NVIDIA's driver shows a GPU to this process, without importing the backend, which takes seconds."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    for name in ("libcuda.so.1", "nvcuda.dll"):
        with suppress(OSError):
            driver, count = ctypes.CDLL(name), ctypes.c_int()
            return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return False


def choose_device(hardware: Hardware) -> Device:
    """Start Keras and its backend on the requested hardware.

    Must be called before anything else imports Keras. Start-up messages of the backend are hidden unless
    `TF_CPP_MIN_LOG_LEVEL` is set.

    Raises:
        UsageError: there is no such device, or there are not enough, or the backend does not support the request.
    """
    kind, _, number = hardware.device.partition(":")
    if kind not in ("auto", "cpu", "gpu") or (number and (kind != "gpu" or not number.isdecimal())):
        raise UsageError(f"there is no device named {hardware.device!r}", "Use auto, cpu, gpu, or gpu:N.")
    if hardware.devices < 1:
        raise UsageError(f"--devices must be at least 1, not {hardware.devices}")
    if hardware.devices > 1 and number:
        raise UsageError(f"--device {hardware.device} is one device, not {hardware.devices}", "Use --device gpu.")
    if kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    if number:
        os.environ["CUDA_VISIBLE_DEVICES"] = _select_gpu(int(number), os.environ.get("CUDA_VISIBLE_DEVICES"))
    with quietly():
        gpus = _start_backend(hardware)
    device = _find_device(kind, gpus, hardware)
    with quietly():
        _configure_tensorflow(device, hardware.callers)
    return device


def _select_gpu(number: int, visible: str | None) -> str:
    """The value of `CUDA_VISIBLE_DEVICES` that leaves only one of the visible GPUs."""
    if visible is None:
        return str(number)
    names = [name for name in visible.split(",") if name]
    if number >= len(names):
        raise UsageError(f"--device gpu:{number} was requested, but CUDA_VISIBLE_DEVICES is {visible!r}")
    return names[number]


def _find_device(kind: str, gpus: int, hardware: Hardware) -> Device:
    count = hardware.devices
    if gpus:
        if count > gpus:
            raise UsageError(f"--devices {count} was requested, but {gpus} GPUs are visible")
        used = "the first is used" if count == 1 else f"the first {count} are used"
        return Device("gpu", f"{gpus} visible, {'requested' if ':' in hardware.device else used}", count)
    if kind == "gpu":
        raise UsageError(
            f"--device {hardware.device} was requested, but no GPU is visible",
            'Install the GPU build with: pip install "lungmask-cli[gpu]", and check the driver; or use --device auto.',
        )
    reason = "requested" if kind == "cpu" else "no GPU is visible"
    return Device("cpu", reason + (f"; split into {count} devices, for testing only" if count > 1 else ""), count)


def _start_backend(hardware: Hardware) -> int:
    """Import Keras and its backend, make it deterministic if requested, and count the visible GPUs."""
    _require_supported(os.environ.get("KERAS_BACKEND") or BACKENDS[0])  # without importing the backend
    import keras

    backend = keras.backend.backend()
    _require_supported(backend)  # which may also come from the configuration file of Keras
    if hardware.devices > 1 and backend != "tensorflow":
        raise UsageError(f"--devices needs TensorFlow, not {backend}", "Set KERAS_BACKEND=tensorflow.")
    if backend == "tensorflow":
        return _start_tensorflow(hardware)
    if hardware.deterministic:  # JAX reads it at its first use, below
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    import jax

    return len(jax.devices()) if jax.default_backend() == "gpu" else 0


def _require_supported(backend: str) -> None:
    if backend not in BACKENDS:
        raise UsageError(
            f"lungmask does not run on the Keras backend {backend}", f"Set KERAS_BACKEND to {' or '.join(BACKENDS)}."
        )


def _start_tensorflow(hardware: Hardware) -> int:
    import tensorflow as tf

    if hardware.deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")  # does not initialise them
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return len(gpus)


def _configure_tensorflow(device: Device, callers: int | None) -> None:
    """Initialise TensorFlow's devices, unless processes that train together do so once they are connected."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if device.kind == "cpu" and device.count > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * device.count)
    if device.kind == "cpu" and callers:
        with suppress(RuntimeError):  # TensorFlow is initialised already, and cannot be changed
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(callers)
    if "TF_CONFIG" not in os.environ:
        tf.config.list_logical_devices()


@contextmanager
def quietly() -> Iterator[None]:
    """Hide what native code writes to standard error, which no Python setting silences; show it on failure."""
    if _SHOW_MESSAGES:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)

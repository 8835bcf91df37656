"""Which devices networks could run on here."""

from dataclasses import dataclass
from typing import Any

from lungmask_cli.networks.backend import Device, Hardware, choose_device
from lungmask_cli.processes import available_cores


@dataclass(frozen=True)
class Devices:
    """What Keras' backend sees.

    Args:
        backend: `tensorflow`, `jax` or `torch`.
        used: what `--device auto` takes.
        visible: a name for each device, the processor first.
    """

    backend: str
    used: Device
    visible: tuple[str, ...]


def find_devices() -> Devices:
    """Start Keras and its backend, and look.

    Raises:
        ImportError: the backend is not installed.
        ValueError: Keras is asked for a backend that it does not know.
    """
    used = choose_device(Hardware())
    import keras

    backend = keras.backend.backend()
    gpus = {"jax": _jax_gpus, "torch": _torch_gpus}.get(backend, _tensorflow_gpus)()
    named = (f"gpu:{number} ({name})" for number, name in enumerate(gpus))
    return Devices(backend, used, (f"cpu ({available_cores()} cores)", *named))


def _tensorflow_gpus() -> list[str]:
    import tensorflow as tf

    details: list[dict[str, Any]] = [
        tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")
    ]
    return [str(detail.get("device_name", "unknown")) for detail in details]


def _jax_gpus() -> list[str]:
    import jax

    return [device.device_kind for device in jax.devices() if device.platform == "gpu"]


def _torch_gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]

"""The devices on which networks can run here."""

from dataclasses import dataclass

from lungmask_cli.networks.backend import Device, Hardware, choose_device
from lungmask_cli.processes import available_cores


@dataclass(frozen=True)
class Devices:
    """The devices that the backend of Keras sees.

    Args:
        backend: `tensorflow` or `jax`.
        used: the choice of `--device auto`.
        visible: a name for each device, the CPU first.
    """

    backend: str
    used: Device
    visible: tuple[str, ...]


def list_devices() -> Devices:
    """Start Keras and its backend, and list the devices.

    Raises:
        ImportError: the backend is not installed.
        UsageError: the backend is not supported.
    """
    used = choose_device(Hardware())
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        gpus = [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    else:
        import tensorflow as tf

        details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
        gpus = [detail.get("device_name", "unknown") for detail in details]
    names = (f"gpu:{number} ({name})" for number, name in enumerate(gpus))
    return Devices(backend, used, (f"cpu ({available_cores()} cores)", *names))

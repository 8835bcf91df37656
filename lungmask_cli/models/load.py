"""The network of a weight file, computed by the runtime that is asked for."""

from pathlib import Path

from lungmask_cli.errors import UsageError
from lungmask_cli.models.network import Network, batched, build_network, keras_predictor
from lungmask_cli.networks.backend import Device, Hardware, choose_device

KERAS, ONNX = "keras", "onnx"
RUNTIMES = (KERAS, ONNX)


def start_runtime(runtime: str, device: str = "auto", threads: int | None = None) -> Device:
    """Make the runtime ready for networks that so many threads will ask to draw at once, or one, with all cores.

    Raises:
        UsageError: there is no such runtime or device.
    """
    if runtime == KERAS:
        return choose_device(Hardware(device, callers=threads))
    if runtime != ONNX:
        raise UsageError(f"there is no runtime named {runtime!r}", f"Use {' or '.join(RUNTIMES)}.")
    if device not in ("auto", "cpu"):
        raise UsageError(f"--runtime {runtime} computes on the CPU, not on {device}", "Use --device auto.")
    return Device("cpu", f"{runtime} computes there")


def load_network(path: Path, runtime: str = KERAS, threads: int | None = None, together: int = 1) -> Network:
    """The network whose weights are at `path`, computed by a runtime that was started.

    Args:
        path: the weight file.
        runtime: what computes it.
        threads: how many threads will ask it to draw at once, with one core each; None for one that has all cores.
        together: for how many of them it draws in one go, as GPUs like it.

    Raises:
        UsageError: the weights are damaged or unknown, as in `load_model`; or the runtime is not installed.
    """
    if runtime == ONNX:
        from lungmask_cli.models.onnx_cache import load_onnx

        return load_onnx(path, threads)
    from lungmask_cli.models.weights import load_model

    model = load_model(path)
    draw = keras_predictor(model.generator)
    return build_network(batched(draw, together) if together > 1 else draw, model.manifest)

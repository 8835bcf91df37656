"""Loads networks with the requested runtime."""

from pathlib import Path

from lungmask_cli.errors import UsageError
from lungmask_cli.models.network import Network, batched, build_network, keras_predictor
from lungmask_cli.networks.backend import Device, Hardware, choose_device

KERAS, ONNX = "keras", "onnx"


def start_runtime(runtime: str, device: str = "auto", threads: int | None = None) -> Device:
    """Start the runtime for networks that this many threads will use in parallel; None for one thread with all cores.

    Raises:
        UsageError: there is no such runtime or device.
    """
    if runtime == KERAS:
        return choose_device(Hardware(device, callers=threads))
    if runtime != ONNX:
        raise UsageError(f"there is no runtime named {runtime!r}", f"Use {KERAS} or {ONNX}.")
    if device not in ("auto", "cpu"):
        raise UsageError(f"--runtime {runtime} computes on the CPU, not on {device}", "Use --device auto.")
    return Device("cpu", f"{runtime} runs on the CPU")


def load_network(path: Path, runtime: str = KERAS, threads: int | None = None, max_batch: int = 1) -> Network:
    """Load a network with a runtime that was started.

    Args:
        path: the weight file.
        runtime: `KERAS` or `ONNX`.
        threads: how many threads will use it in parallel, with one core each; None for one thread with all cores.
        max_batch: how many single images from different threads are predicted as one batch, which suits GPUs.

    Raises:
        UsageError: the weights are damaged or unknown, as in `load_model`; or the runtime is not installed.
    """
    if runtime == ONNX:
        from lungmask_cli.models.onnx_cache import load_onnx

        return load_onnx(path, threads)
    from lungmask_cli.models.weights import load_model

    model = load_model(path)
    predict = keras_predictor(model.generator)
    return build_network(batched(predict, max_batch) if max_batch > 1 else predict, model.manifest)

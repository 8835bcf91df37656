"""Loads networks with the requested runtime."""

from pathlib import Path

from lungmask_cli.errors import UsageError
from lungmask_cli.models.network import Network, batched, build_network, keras_predictor
from lungmask_cli.networks.backend import Device, Hardware, choose_device, has_gpu

AUTO, KERAS, ONNX = "auto", "keras", "onnx"


def start_runtime(runtime: str, device: str = "auto", threads: int | None = None) -> tuple[str, Device]:
    """Start the runtime for networks that this many threads will use in parallel; None for one thread with all cores.

    Args:
        runtime: `KERAS`, `ONNX`, or `AUTO`, which is Keras if a GPU is to be used, else ONNX Runtime.
        device: as in `Hardware`.
        threads: how many threads will use its networks.

    Returns:
        `KERAS` or `ONNX`, and the device.

    Raises:
        UsageError: there is no such runtime or device.
    """
    if runtime not in (AUTO, KERAS, ONNX):
        raise UsageError(f"there is no runtime named {runtime!r}", f"Use {AUTO}, {KERAS} or {ONNX}.")
    if runtime == ONNX and device not in ("auto", "cpu"):
        raise UsageError(f"--runtime {runtime} computes on the CPU, not on {device}", "Use --device auto.")
    on_cpu = runtime == ONNX or device == "cpu" or (device == "auto" and not has_gpu())
    if runtime == KERAS or not on_cpu:
        chosen = choose_device(Hardware(device, callers=threads))
        if runtime == KERAS or chosen.kind == "gpu":
            return KERAS, chosen
    return ONNX, Device("cpu", "requested" if device == "cpu" else "no GPU is visible")


def load_network(path: Path, runtime: str = KERAS, threads: int | None = None, max_batch: int = 1) -> Network:
    """Load a network with a runtime that was started.

    Args:
        path: the weight file.
        runtime: `KERAS` or `ONNX`.
        threads: how many threads will use it in parallel, with one core each; None for one thread with all cores.
        max_batch: how many single images from different threads are predicted as one batch, which suits GPUs.

    Raises:
        UsageError: the weights are damaged or unknown, as in `load_model` and `load_onnx`.
    """
    if runtime == ONNX:
        from lungmask_cli.models.onnx_file import load_onnx

        return load_onnx(path, threads)
    from lungmask_cli.models.weights import load_model

    model = load_model(path)
    predict = keras_predictor(model.generator)
    return build_network(batched(predict, max_batch) if max_batch > 1 else predict, model.manifest)

"""Prediction with ONNX Runtime, without Keras and TensorFlow."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import HEART, LUNGS
from lungmask_cli.models.network import Predictor

_LOG_ERRORS = 3


def onnx_predictor(model: bytes, threads: int) -> Predictor:
    """A network in ONNX format as a function of arrays, which several threads may call.

    Args:
        model: an ONNX model, as `lungmask export` writes it.
        threads: how many threads compute one prediction.
    """
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _LOG_ERRORS
    # Threads that spin while waiting for work would occupy cores that others need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (radiograph,) = session.get_inputs()
    outputs = [name for name in (LUNGS, HEART) if name in {output.name for output in session.get_outputs()}]

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        predicted = session.run(outputs, {radiograph.name: images[..., None]})
        return np.concatenate(predicted, axis=-1) if len(predicted) > 1 else predicted[0]

    return predict


def import_runtime() -> Any:
    """Import ONNX Runtime with its telemetry disabled, which its packages send since 1.29 (its docs/Privacy.md)."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # is read at import
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # in case it was imported before
    return onnxruntime

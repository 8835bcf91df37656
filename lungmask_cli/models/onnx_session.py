"""Networks computed by ONNX Runtime, on the CPU: neither Keras nor TensorFlow is imported."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.errors import UsageError
from lungmask_cli.models.network import Predictor

_ERRORS = 3  # and nothing less is said


def onnx_predictor(model: bytes, threads: int) -> Predictor:
    """A network in ONNX's format as plain function of arrays, which several threads may call.

    Args:
        model: what `lungmask export` writes.
        threads: how many compute one drawing.
    """
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS
    # Threads that wait for work by turning in circles would take the cores from the session of the other size.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (seen_name,), (drawn_name,) = (
        [value.name for value in ends()] for ends in (session.get_inputs, session.get_outputs)
    )

    def draw(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        drawn: NDArray[np.float32] = session.run([drawn_name], {seen_name: seen[..., None]})[0]
        return drawn[..., 0]

    return draw


def import_runtime() -> Any:
    """ONNX Runtime, kept from telling its maker what it runs, as its packages do since 1.29 (its docs/Privacy.md)."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # which is read when it is imported
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            "ONNX Runtime is not installed", 'Install it: pip install "lungmask-cli[fast]", or use --runtime keras.'
        ) from error
    onnxruntime.disable_telemetry_events()  # where something else has imported it before
    return onnxruntime

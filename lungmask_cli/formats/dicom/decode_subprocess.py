"""Decoding in a separate process, for decoders that abort the program or hang on damaged data.

GDCM calls `abort` instead of raising an error, and libjpeg may take minutes. A separate process protects the batch.
"""

import contextlib
import math
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.formats.dicom.elements import Header
from lungmask_cli.formats.dicom.pixel_format import DECODING, complete_pixel_format
from lungmask_cli.processes import exit_with_parent, kill_pool

_CPU_SECONDS = 3.0
_BYTES_PER_SECOND = 2_000_000  # much slower than any decoder
_BUSY = 30  # how much longer it may take on a machine whose cores are busy
_processes: list[ProcessPoolExecutor] = []


def decode_in_subprocess(path: Path, plugin: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """The result of pydicom's `Decoder.as_array` for the pixels of `path`, with that plugin.

    A decoder that hangs is ended by the time that it computes, which other programs on this machine do not lengthen.

    Raises:
        RuntimeError: the pixels cannot be decoded, or the process died or timed out.
    """
    if not _processes:
        context = multiprocessing.get_context("spawn")
        _processes.append(ProcessPoolExecutor(1, context, initializer=_start))
        # A child process would wait forever for the processes that it has started, unless they are ended first.
        Finalize(None, _shut_down, exitpriority=100)
        _processes[0].submit(int).result()  # so that the first file's time limit does not include the start
    seconds = _CPU_SECONDS + path.stat().st_size / _BYTES_PER_SECOND
    try:
        return _processes[0].submit(_decode_limited, path, plugin, seconds).result(timeout=_BUSY * seconds)
    except (BrokenProcessPool, TimeoutError):
        kill_pool(_processes.pop())
        raise RuntimeError("the decoder died or hung") from None


def _decode_limited(path: Path, plugin: str, seconds: float) -> tuple[NDArray[Any], dict[str, Any]]:
    _limit_cpu(seconds)
    return _decode(path, plugin)


def _limit_cpu(seconds: float) -> None:
    """Have the system end this process after as many more seconds of computing; Windows has no such limit."""
    with contextlib.suppress(ImportError, ValueError):  # ValueError: the user's own limit is lower
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would have the patient's data
        most = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds), most))


def _start() -> None:
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGLosslessSV1

    exit_with_parent()
    get_decoder(JPEGLosslessSV1)  # imports pydicom and the decoders, so that no file's time limit includes it
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders write messages to stderr


def _decode(path: Path, plugin: str) -> tuple[NDArray[Any], dict[str, Any]]:
    from pydicom import dcmread
    from pydicom.pixels import get_decoder

    dataset = dcmread(path, force=True)
    try:
        complete_pixel_format(Header(dataset), path)
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        pixels, properties = decoder.as_array(dataset, decoding_plugin=plugin, **DECODING)
    except Exception as error:  # pydicom's errors may quote the header, and some cannot be pickled
        raise RuntimeError(type(error).__name__) from None
    return np.array(pixels), {"photometric_interpretation": str(properties["photometric_interpretation"])}


def _shut_down() -> None:
    while _processes:
        _processes.pop().shutdown()

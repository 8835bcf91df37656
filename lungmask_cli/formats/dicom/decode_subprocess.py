"""Decoding in a process of its own, for decoders that end the whole program on damaged data, or hang.

GDCM calls `abort` where others raise, and libjpeg may take minutes. A batch must not die of one file, so the process
that dies is another one.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.processes import exit_with_parent, kill_pool

_SECONDS = 4.0
_BYTES_PER_SECOND = 2_000_000  # far less than any machine decodes
_processes: list[ProcessPoolExecutor] = []


def decode_in_subprocess(path: Path, plugin: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """What pydicom's `Decoder.as_array` gives for the pixels of `path` with that plugin.

    Raises:
        RuntimeError: they cannot be decoded, or the process died or took far too long.
    """
    if not _processes:
        context = multiprocessing.get_context("spawn")
        _processes.append(ProcessPoolExecutor(1, context, initializer=_start))
        # A process that was itself started by another would wait for its own for ever; first of all, end them.
        Finalize(None, _shut_down, exitpriority=100)
        _processes[0].submit(int).result()  # its start does not count for the first file
    try:
        decoded = _processes[0].submit(_decode, path, plugin)
        return decoded.result(timeout=_SECONDS + path.stat().st_size / _BYTES_PER_SECOND)
    except (BrokenProcessPool, TimeoutError):
        kill_pool(_processes.pop())
        raise RuntimeError("the decoder died or hung") from None


def _start() -> None:
    exit_with_parent()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where decoders write what they think of the data


def _decode(path: Path, plugin: str) -> tuple[NDArray[Any], dict[str, Any]]:
    from pydicom import dcmread
    from pydicom.pixels import get_decoder

    dataset = dcmread(path, force=True)
    try:
        pixels, facts = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(
            dataset, raw=False, decoding_plugin=plugin
        )
    except Exception as error:  # some of pydicom's cannot be sent to another process, and all may quote the header
        raise RuntimeError(type(error).__name__) from None
    return np.array(pixels), {"photometric_interpretation": str(facts["photometric_interpretation"])}


def _shut_down() -> None:
    while _processes:
        _processes.pop().shutdown()

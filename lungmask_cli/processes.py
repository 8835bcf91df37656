"""Parallel work in threads, and processes that end with their parent."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import wait as wait_for_sentinel
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_QUEUED_PER_THREAD = 2
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def available_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_threads(function: Callable[[Task], Result], tasks: Iterable[Task], threads: int) -> Iterator[Result]:
    """The results of `function` for all tasks, in the order of the tasks, from a pool of threads.

    Only a few tasks are queued, so that memory does not depend on the number of tasks. When the caller stops, the
    queued tasks are still finished.
    """
    _keep_freed_memory()
    with ThreadPoolExecutor(threads) as pool:
        queued: deque[Future[Result]] = deque()
        for task in tasks:
            queued.append(pool.submit(function, task))
            if len(queued) >= _QUEUED_PER_THREAD * threads:
                yield queued.popleft().result()
        while queued:
            yield queued.popleft().result()


def _keep_freed_memory() -> None:
    """Let the C library keep the memory of freed arrays for the next ones, where it can.

    By default, it returns the memory of large arrays to Linux, which clears it before it can be used again.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 2**25)  # the largest value that glibc accepts
        mallopt(_TRIM_THRESHOLD, 2**30)


def exit_with_parent() -> None:
    """Make this child process ignore interrupts and exit when its parent exits; to be called first in it.

    An interrupt reaches all processes of a terminal and is handled by the parent. A killed parent cannot end its
    children.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait_for_sentinel([sentinel])
    os._exit(1)


def kill_pool(pool: ProcessPoolExecutor) -> None:
    """Kill the pool's processes; a plain shutdown would wait for their tasks, perhaps forever."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)

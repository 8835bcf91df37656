"""Work in several processes, none of which outlives its parent, or in several threads."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for_sentinel
from typing import TypeVar

from lungmask_cli.errors import UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

_QUEUED_PER_PROCESS = 3
_QUEUED_PER_THREAD = 2
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def available_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_processes(function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int) -> Iterator[Result]:
    """`function` of each task, in whatever order they are finished, in `jobs` fresh processes.

    Only a few tasks per process are in flight, so that memory does not depend on how many there are.

    Raises:
        UsageError: a process was killed.
    """
    # Fresh processes: copies of one that has threads, such as those of a progress bar or of Keras, may hang.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_start)
    rest = iter(tasks)
    try:
        waiting = {pool.submit(function, task) for task in islice(rest, _QUEUED_PER_PROCESS * jobs)}
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            waiting |= {pool.submit(function, task) for task in islice(rest, len(finished))}
            yield from (future.result() for future in finished)
        pool.shutdown()
    except BrokenProcessPool:
        raise UsageError(
            "a process was killed, probably because memory ran out", "Run it again with fewer --jobs."
        ) from None
    finally:
        kill_pool(pool)


def map_in_threads(function: Callable[[Task], Result], tasks: Iterable[Task], threads: int) -> Iterator[Result]:
    """`function` of each task, in the order of the tasks, in so many threads.

    Only a few tasks are in flight, so that memory does not depend on how many there are. When the caller stops, those
    in flight are waited for.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) >= _QUEUED_PER_THREAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _start() -> None:
    exit_with_parent()
    # Linux maps and clears the memory of each large array anew; to keep what was freed is faster.
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for setting in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(setting, 2**30)


def exit_with_parent() -> None:
    """To be called first in a process that was started: it ignores interrupts, and ends when its parent does.

    An interrupt reaches all processes of a terminal, and the parent deals with it; a parent that is killed cannot.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_sentinel([sentinel])
    os._exit(1)


def kill_pool(pool: ProcessPoolExecutor) -> None:
    """End the pool's processes without waiting for what they do; a plain shutdown would, and may wait for ever."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)

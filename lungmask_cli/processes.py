"""Parallel work in threads, or in processes that end with their parent."""

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
    """The results of `function` for all tasks, in the order of completion, from `jobs` new processes.

    Only a few tasks per process are queued, so that memory does not depend on the number of tasks.

    Raises:
        UsageError: a process was killed.
    """
    # Spawned, because the forks of a process with threads, such as those of a progress bar or of Keras, may hang.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_initialize)
    remaining = iter(tasks)
    try:
        queued = {pool.submit(function, task) for task in islice(remaining, _QUEUED_PER_PROCESS * jobs)}
        while queued:
            finished, queued = wait(queued, return_when=FIRST_COMPLETED)
            queued |= {pool.submit(function, task) for task in islice(remaining, len(finished))}
            yield from (future.result() for future in finished)
        pool.shutdown()
    except BrokenProcessPool:
        raise UsageError(
            "a process was killed, probably because memory ran out", "Run the command again with fewer --jobs."
        ) from None
    finally:
        kill_pool(pool)


def map_in_threads(function: Callable[[Task], Result], tasks: Iterable[Task], threads: int) -> Iterator[Result]:
    """The results of `function` for all tasks, in the order of the tasks, from a pool of threads.

    Only a few tasks are queued, so that memory does not depend on the number of tasks. When the caller stops, the
    queued tasks are still finished.
    """
    with ThreadPoolExecutor(threads) as pool:
        queued: deque[Future[Result]] = deque()
        for task in tasks:
            queued.append(pool.submit(function, task))
            if len(queued) >= _QUEUED_PER_THREAD * threads:
                yield queued.popleft().result()
        while queued:
            yield queued.popleft().result()


def _initialize() -> None:
    exit_with_parent()
    # By default, malloc returns the memory of large arrays to Linux, which clears it for the next; reuse is faster.
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for setting in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(setting, 2**30)


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

"""The Ray engine: the jobs of a batch on a cluster whose machines share the same folders.

`ray.util.ActorPool` cannot be used. It binds a job to a worker, and the worker of a lost node is restarted only when
another node has room for it: until then its jobs fail or wait, although other workers are free.
"""

import itertools
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.rows import Row
from lungmask_cli.batch.worker import GPU_THREADS, SegmentWorker
from lungmask_cli.errors import UsageError
from lungmask_cli.processes import available_cores

# Jobs for each thread of a worker, so that none waits for the next job; a lost worker loses them all.
_JOBS_PER_THREAD = 2
_START_SECONDS = 300
_MOST_LOSSES = 3


@dataclass
class _Task:
    """A job, its index, the number of the worker that has it, and how many workers were lost while they ran it."""

    index: int
    job: Job
    worker: int = 0
    losses: int = 0


class RayEngine:
    """Workers on all machines of a cluster. If one is lost, the others repeat its unfinished jobs.

    Args:
        options: the settings of each radiograph.
        jobs: how many workers; None for one per GPU or, without GPUs, one per core.
        address: the address of the cluster to join; None starts one on this machine, which ends with this process.

    Raises:
        UsageError: Ray is not installed, or there is no cluster at this address.
    """

    def __init__(self, options: SegmentOptions, jobs: int | None, address: str | None) -> None:
        self._ray, self._options = _import_ray(), options
        cluster = _join_cluster(self._ray, address)
        gpus = 0 if options.inference.device == "cpu" else int(cluster.get("GPU", 0))
        resources: dict[str, Any] = {"num_gpus": 1, "max_concurrency": GPU_THREADS} if gpus else {"num_cpus": 1}
        self._threads = GPU_THREADS if gpus else 1
        self._count = jobs or gpus or int(cluster.get("CPU", 1))
        location = f"Ray cluster at {address}" if address else "Ray on this machine"
        self.description = f"{location}, {self._count} workers of one {'GPU' if gpus else 'CPU'} each"
        self._actor, self._shared_options = self._ray.remote(**resources)(RayWorker), self._ray.put(options)
        self._numbers = itertools.count()
        self._workers: dict[int, Any] = {}
        self._tasks: dict[Any, _Task] = {}  # by the reference to the row, in the order of their start
        self._lost_tasks: deque[_Task] = deque()

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """The rows in the order of the jobs; only as many jobs are started as keep the workers busy.

        Raises:
            UsageError: no worker can be started, or the cluster was lost.
        """
        try:
            yield from self._rows(jobs)
        except (OSError, self._ray.exceptions.RayError) as error:
            raise UsageError(
                f"the Ray cluster was lost: {type(error).__name__}", "See ray status, then resume with --skip-existing."
            ) from error
        finally:
            self._ray.shutdown()

    def _rows(self, jobs: Iterable[Job]) -> Iterator[Row]:
        self._start_workers(self._count)
        new_tasks = (_Task(index, job) for index, job in enumerate(jobs))
        rows: dict[int, Row] = {}
        for index in itertools.count():
            while index not in rows:
                self._submit_tasks(new_tasks, len(rows))
                if not self._tasks:
                    return
                self._collect(rows)
            yield rows.pop(index)

    def _start_workers(self, count: int) -> None:
        """Start workers and wait until one is ready; others may follow later, or never if the cluster is full."""
        for _ in range(count):
            self._workers[next(self._numbers)] = self._actor.remote(self._shared_options, self._threads)
        ready = [worker.start_error.remote() for worker in self._workers.values()]
        finished, _ = self._ray.wait(ready, timeout=_START_SECONDS)
        if not finished:
            raise UsageError("the Ray cluster has no room for a worker", "See: ray status.")
        try:
            error = self._ray.get(finished[0])
        except self._ray.exceptions.RayError as lost:
            raise UsageError(
                f"a Ray worker cannot be started: {type(lost).__name__}", "Is lungmask installed on every machine?"
            ) from lost
        if error:
            raise UsageError(*error)

    def _submit_tasks(self, new_tasks: Iterator[_Task], finished: int) -> None:
        """Give jobs to the workers with the fewest; lost ones first, because the rows after them wait for them."""
        capacity = _JOBS_PER_THREAD * self._threads * len(self._workers)
        while len(self._tasks) < capacity:
            if self._lost_tasks:
                task = self._lost_tasks.popleft()
            elif len(self._tasks) + finished < 2 * capacity and (new := next(new_tasks, None)):
                task = new
            else:
                return
            loads = Counter(running.worker for running in self._tasks.values())
            task.worker = min(self._workers, key=loads.__getitem__)
            self._tasks[self._workers[task.worker].run.remote(task.job)] = task

    def _collect(self, rows: dict[int, Row]) -> None:
        """Wait for a row. Jobs that were lost with their worker are repeated, unless they caused the loss."""
        finished, _ = self._ray.wait(list(self._tasks))
        for reference in finished:
            task = self._tasks[reference]
            try:
                rows[task.index] = self._ray.get(reference)
            except self._ray.exceptions.RayError:
                self._remove_worker(task.worker)
                if task.losses < _MOST_LOSSES:
                    self._lost_tasks.append(task)
                else:
                    rows[task.index] = self._failed_row(task.job)
            del self._tasks[reference]

    def _remove_worker(self, number: int) -> None:
        """Remove a lost worker; the last one is replaced, possibly on another machine."""
        if number in self._workers:
            del self._workers[number]
            # Workers run their jobs in order: only the first one can have caused the loss.
            next(task for task in self._tasks.values() if task.worker == number).losses += 1
        if not self._workers:
            self._start_workers(1)

    def _failed_row(self, job: Job) -> Row:
        name = job.display_name(self._options.hash_names)
        reason = f"{name}: {_MOST_LOSSES} workers were lost while they were at it"
        return Row(name, reason=reason, hint="Is there enough memory for it? See ray status, and the log of Ray.")


def _import_ray() -> Any:
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no report of a hospital's work leaves it
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray", 'Install it: pip install "lungmask-cli[ray]"') from error
    return ray


def _join_cluster(ray: Any, address: str | None) -> dict[str, float]:
    """Join or start the cluster. Returns its resources."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"num_cpus": available_cores(), "include_dashboard": False}
    try:
        ray.init(address or "local", **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"no Ray cluster at {address}", "Start one with: ray start --head, and give its address."
        ) from error
    resources: dict[str, float] = ray.cluster_resources()
    return resources


class RayWorker:
    """The code that runs in a process of the cluster."""

    def __init__(self, options: SegmentOptions, threads: int) -> None:
        self._start_error: tuple[str, str] | None = None
        try:
            self._worker = SegmentWorker(options, threads)
        except UsageError as error:  # its message says more than Ray's traceback
            self._start_error = (error.message, error.hint)

    def start_error(self) -> tuple[str, str] | None:
        """The message and the hint if it cannot work; None if it can."""
        return self._start_error

    def run(self, job: Job) -> Row:
        """The row of one job."""
        return self._worker.run(job)

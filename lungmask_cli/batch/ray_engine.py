"""The jobs of a batch on a Ray cluster: one set of weights for each worker, all of whom see the same folders."""

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.rows import Row
from lungmask_cli.batch.worker import GPU_THREADS, Batch
from lungmask_cli.errors import UsageError
from lungmask_cli.processes import available_cores

# Jobs that wait at each worker, so that none waits for the next; more would be lost with it.
_QUEUED_PER_WORKER = 2
_SECONDS_FOR_A_WORKER = 300
_MOST_LOSSES = 3


class RayEngine:
    """Workers on all machines of a cluster; where one is lost, what it had begun is done again by another.

    Args:
        settings: what to make of each radiograph.
        jobs: how many workers; None for one per GPU, or where there is none, one per core.
        address: of the cluster to join; None starts one on this machine, and stops it with this process.

    Raises:
        UsageError: Ray is not installed, there is no such cluster, or it has no room for a worker.
    """

    def __init__(self, settings: SegmentOptions, jobs: int | None, address: str | None) -> None:
        self._ray = _import_ray()
        self._settings = settings
        resources = self._join(address)
        gpus = 0 if settings.device == "cpu" else int(resources.get("GPU", 0))
        self._gpu = gpus > 0
        self._wanted = jobs or gpus or int(resources.get("CPU", 1))
        self._place = f"Ray cluster at {address}" if address else "Ray on this machine"

    @property
    def described(self) -> str:
        """The cluster, and how many workers it is asked for."""
        kind = "GPU" if self._gpu else "CPU"
        return f"{self._place}, {self._wanted} workers of one {kind} each"

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """The row of each job, in the order of the jobs."""
        try:
            yield from _Crew(self._ray, self._settings, self._wanted, self._gpu).rows(jobs)
        finally:
            self._ray.shutdown()

    def _join(self, address: str | None) -> dict[str, float]:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is None:
            options |= {"num_cpus": available_cores(), "include_dashboard": False}
        try:
            self._ray.init(address or "local", **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"no Ray cluster at {address}", "Start one with: ray start --head, and give its address."
            ) from error
        resources: dict[str, float] = self._ray.cluster_resources()
        return resources


def _import_ray() -> Any:
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing about a hospital's work is told to anyone
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray", 'Install it: pip install "lungmask-cli[ray]"') from error
    return ray


@dataclass
class _Worker:
    """A process of the cluster, and how many jobs wait there."""

    actor: Any
    waiting: int = 0


class _Crew:
    """The workers, and who does what."""

    def __init__(self, ray: Any, settings: SegmentOptions, wanted: int, gpu: bool) -> None:
        self._ray = ray
        self._shared = ray.put(settings)
        options: dict[str, Any] = {"num_gpus": 1, "max_concurrency": GPU_THREADS} if gpu else {"num_cpus": 1}
        self._make = ray.remote(**options)(Worker).remote
        self._threads = GPU_THREADS if gpu else 1
        self._workers: list[_Worker] = [self._new() for _ in range(wanted)]
        self._begun: dict[Any, tuple[int, Job, _Worker]] = {}
        self._losses: Counter[int] = Counter()
        self._shown = settings.shown

    def rows(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """The rows in order; as many jobs are begun as keep the workers busy."""
        self._wait_for_one()
        todo = enumerate(jobs)
        again: deque[tuple[int, Job]] = deque()
        done: dict[int, Row] = {}
        first = 0
        while True:
            while len(self._begun) < self._most and (task := self._next(todo, again, ahead=len(done))):
                self._begin(*task)
            if not self._begun:
                return
            again.extend(self._collect(done))
            while first in done:
                yield done.pop(first)
                first += 1

    @property
    def _most(self) -> int:
        """How many jobs may be begun."""
        return _QUEUED_PER_WORKER * self._threads * len(self._workers)

    def _next(
        self, todo: Iterator[tuple[int, Job]], again: deque[tuple[int, Job]], ahead: int
    ) -> tuple[int, Job] | None:
        """A job and its number: one that was lost, for whose row those after it wait, before one that is new."""
        if again:
            return again.popleft()
        return next(todo, None) if len(self._begun) + ahead < 2 * self._most else None

    def _new(self) -> _Worker:
        return _Worker(self._make(self._shared, self._threads))

    def _wait_for_one(self) -> None:
        """See that a worker comes to life; the others may come later, or not at all where the cluster is full."""
        ready = [worker.actor.ready.remote() for worker in self._workers]
        finished, _ = self._ray.wait(ready, timeout=_SECONDS_FOR_A_WORKER)
        if not finished:
            raise UsageError("the Ray cluster has no room for a worker", "Look at: ray status.")
        try:
            problem = self._ray.get(finished[0])
        except self._ray.exceptions.RayError as error:
            raise UsageError(
                f"a Ray worker cannot be started: {type(error).__name__}", "Is lungmask installed on every machine?"
            ) from error
        if problem:
            raise UsageError(*problem)

    def _begin(self, number: int, job: Job) -> None:
        worker = min(self._workers, key=lambda worker: worker.waiting)
        worker.waiting += 1
        self._begun[worker.actor.run.remote(job)] = (number, job, worker)

    def _collect(self, done: dict[int, Row]) -> Iterator[tuple[int, Job]]:
        """Wait until a job is finished; those that were lost with their worker are to be done again.

        One that was being done each time that a worker was lost has failed: it would end all others, for ever.
        """
        finished, _ = self._ray.wait(list(self._begun))
        for reference in finished:
            number, job, worker = self._begun[reference]
            try:
                done[number] = self._ray.get(reference)
            except self._ray.exceptions.RayError:
                self._give_up(worker)
                if self._losses[number] < _MOST_LOSSES:
                    yield number, job
                else:
                    done[number] = self._lost_row(job)
            del self._begun[reference]
            worker.waiting -= 1

    def _lost_row(self, job: Job) -> Row:
        name = self._shown(job)
        reason = f"{name}: {_MOST_LOSSES} workers were lost while they were at it"
        return Row(name, reason=reason, hint="Is there enough memory for it? See ray status, and the log of Ray.")

    def _give_up(self, lost: _Worker) -> None:
        """Without the worker; the last one is replaced, in the hope of another machine."""
        if lost in self._workers:
            self._workers.remove(lost)
            # Workers do their jobs in order: what waited behind the first has nothing to do with it.
            self._losses[next(number for number, _, worker in self._begun.values() if worker is lost)] += 1
        if not self._workers:
            self._workers = [self._new()]
            self._wait_for_one()


class Worker:
    """What runs in a process of the cluster."""

    def __init__(self, settings: SegmentOptions, threads: int) -> None:
        self._problem: tuple[str, str] | None = None
        try:
            self._batch = Batch(settings, settings.segmenter(threads))
        except UsageError as error:  # which says more than the trace that Ray would show
            self._problem = (error.message, error.hint)

    def ready(self) -> tuple[str, str] | None:
        """Why it cannot work; None if it can."""
        return self._problem

    def run(self, job: Job) -> Row:
        """The row of one job."""
        return self._batch.run(job)

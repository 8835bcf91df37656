"""The Ray engine: the jobs of a batch as tasks on a cluster whose machines share the same folders.

Tasks, not `ray.util.ActorPool`: an actor of a lost node is restarted only when another node has room for it, and until
then its jobs wait or fail although other workers are free. A task runs on any node.
"""

import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import Any

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.rows import Row
from lungmask_cli.batch.worker import GPU_THREADS, SegmentWorker
from lungmask_cli.errors import UsageError
from lungmask_cli.processes import available_cores, map_in_threads

# Tasks in flight for each worker: rows are returned in order, so the others must not wait for a slow one.
_TASKS_PER_WORKER = 4
# A GPU predicts the images of several threads as one batch; a task has enough of them to keep these threads busy.
_JOBS_PER_GPU_TASK = 8 * GPU_THREADS
_START_SECONDS = 300
_LONGEST_PAUSE = 30
_workers: dict[Any, SegmentWorker] = {}  # of a process of the cluster, by the reference to its options


class _Loss(Enum):
    """Why a task was lost: with which loss its radiograph fails, and the reason that is given then.

    Only the end of a process may be due to the radiograph. The system also ends a process for the memory that others
    need, so the last attempt is made alone. The other causes are those of a busy cluster, and they last a while: for
    half a minute, Ray may not notice that a machine is dead, and gives it more tasks.
    """

    PROCESS = (3, "3 workers ended while they processed it, the last one with no other radiograph")
    MEMORY = (8, "Ray ended 8 of its workers because the memory was nearly full")
    MACHINE = (12, "12 machines were lost while they processed it")
    CLUSTER = (12, "")  # not due to a radiograph, and would cost all others as well

    def __init__(self, most: int, reason: str) -> None:
        self.most = most
        self.reason = reason


class RayEngine:
    """The machines of a cluster. If one is lost, its unfinished jobs are repeated by others.

    Args:
        options: the settings of each radiograph.
        jobs: how many tasks run in parallel; None for one per GPU or, without GPUs, one per core.
        address: the address of the cluster to join; None starts one on this machine, which ends with this process.

    Raises:
        UsageError: Ray is not installed, or there is no cluster at this address.
    """

    def __init__(self, options: SegmentOptions, jobs: int | None, address: str | None) -> None:
        self._ray, self._hash_names = _import_ray(), options.hash_names
        cluster = _join_cluster(self._ray, address)
        gpus = 0 if options.inference.device == "cpu" else int(cluster.get("GPU", 0))
        resources = {"num_gpus": 1} if gpus else {"num_cpus": 1}
        self._threads, self._jobs_per_task = (GPU_THREADS, _JOBS_PER_GPU_TASK) if gpus else (1, 1)
        self._count = jobs or gpus or int(cluster.get("CPU", 1))
        location = f"Ray cluster at {address}" if address else "Ray on this machine"
        self.description = f"{location}, {self._count} workers of one {'GPU' if gpus else 'CPU'} each"
        self._task = self._ray.remote(max_retries=0, **resources)(segment_jobs)
        self._probe = self._ray.remote(max_retries=0, **resources)(_start)
        self._options = self._ray.put(options)
        self._submitted: deque[tuple[list[Job], Any]] = deque()

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """The rows in the order of the jobs; only as many tasks are submitted as keep the workers busy.

        Raises:
            UsageError: no task can be started, or the cluster was lost.
        """
        try:
            yield from self._rows(iter(jobs))
        except (OSError, self._ray.exceptions.RayError) as error:
            raise UsageError(
                f"the Ray cluster was lost: {type(error).__name__}", "See ray status, then resume with --skip-existing."
            ) from error
        finally:
            self._ray.shutdown()

    def _rows(self, jobs: Iterator[Job]) -> Iterator[Row]:
        probe = self._probe.remote()  # it waits for its place only, not for the weights, which take long to load
        self._submit_parts(jobs)
        if not self._ray.wait([probe], timeout=_START_SECONDS)[0]:
            raise UsageError("the Ray cluster has no room for a task", "See: ray status.")
        while self._submitted:
            part, reference = self._submitted.popleft()
            yield from self._collect(part, reference)
            self._submit_parts(jobs)

    def _submit_parts(self, jobs: Iterator[Job]) -> None:
        while len(self._submitted) < _TASKS_PER_WORKER * self._count and (
            part := list(islice(jobs, self._jobs_per_task))
        ):
            self._submitted.append((part, self._submit(part)))

    def _submit(self, jobs: Sequence[Job]) -> Any:
        return self._task.remote([self._options], self._threads, jobs)  # in a list, Ray does not fetch it for each task

    def _collect(self, jobs: list[Job], reference: Any) -> Iterator[Row]:
        """The rows of a task, which is repeated if it was lost; each job alone, if it may be due to one of them."""
        losses: Counter[_Loss] = Counter()
        while True:
            try:
                rows = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                loss = self._classify(error)
                losses[loss] += 1
                if len(jobs) > 1 and (loss in (_Loss.PROCESS, _Loss.MEMORY) or losses[loss] == loss.most):
                    for job in jobs:
                        yield from self._collect([job], self._submit([job]))
                    return
                if losses[loss] == loss.most:
                    yield self._failed_row(jobs[0], loss, error)
                    return
                reference = self._repeat(jobs, losses, loss)
            else:
                if isinstance(rows, tuple):
                    raise UsageError(*rows)
                yield from rows
                return

    def _classify(self, error: Exception) -> _Loss:
        """Why a task was lost.

        Raises:
            UsageError: lungmask cannot run on a machine.
            Exception: the error, if no task can be submitted any more.
        """
        exceptions = self._ray.exceptions
        if isinstance(error, exceptions.RayTaskError):  # raised by the task: perhaps while it fetched the options
            cause = error.cause
            if not isinstance(cause, exceptions.RayError):
                raise UsageError(
                    f"a Ray worker cannot run lungmask: {type(cause).__name__}",
                    "Is the same lungmask installed on every machine? See the log of Ray.",
                ) from error
            return _Loss.CLUSTER
        if isinstance(error, exceptions.LocalRayletDiedError):
            raise error
        if isinstance(error, exceptions.WorkerCrashedError):
            return _Loss.PROCESS
        if isinstance(error, exceptions.OutOfMemoryError):
            return _Loss.MEMORY
        return _Loss.MACHINE if isinstance(error, exceptions.NodeDiedError) else _Loss.CLUSTER

    def _repeat(self, jobs: Sequence[Job], losses: Counter[_Loss], loss: _Loss) -> Any:
        """Submit a lost task again, after a pause that grows with its losses."""
        time.sleep(min(2 ** (losses.total() - 1), _LONGEST_PAUSE))
        if loss is _Loss.PROCESS and losses[loss] == loss.most - 1 and self._submitted:
            others = [reference for _, reference in self._submitted]
            self._ray.wait(others, num_returns=len(others))
        return self._submit(jobs)

    def _failed_row(self, job: Job, loss: _Loss, error: Exception) -> Row:
        if loss is _Loss.CLUSTER:
            raise error
        name = job.display_name(self._hash_names)
        hint = "Is there enough memory for it? See ray status, and the log of Ray."
        return Row(name, reason=f"{name}: {loss.reason}", hint=hint)


def _start() -> None:
    """A task that shows that there is room for tasks."""


def segment_jobs(options: list[Any], threads: int, jobs: Sequence[Job]) -> list[Row] | tuple[str, str]:
    """What a task does, in a process of the cluster that keeps its weights for the next task.

    Args:
        options: the reference to the `SegmentOptions`.
        threads: how many threads call the segmenter.
        jobs: the jobs of the task.

    Returns:
        The rows; or a message and a hint, if nothing can be segmented there.
    """
    (reference,) = options
    if reference not in _workers:
        import ray

        try:
            _workers[reference] = SegmentWorker(ray.get(reference), threads)
        except UsageError as error:  # its message says more than Ray's traceback
            return error.message, error.hint
    return list(map_in_threads(_workers[reference].run, jobs, threads))


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

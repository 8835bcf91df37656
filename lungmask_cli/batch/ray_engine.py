"""The Ray engine: the jobs of a batch as tasks on a cluster whose machines share the same folders.

Tasks, not `ray.util.ActorPool`: an actor of a lost node is restarted only when another node has room for it, and until
then its jobs wait or fail although other workers are free. A task runs on any node.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
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
_MOST_LOSSES = 3
_workers: dict[Any, SegmentWorker] = {}  # of a process of the cluster, by the reference to its options


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
        self._task, self._options = self._ray.remote(max_retries=0, **resources)(segment_jobs), self._ray.put(options)

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
        submitted: deque[tuple[list[Job], Any]] = deque()
        first = True
        while True:
            while len(submitted) < _TASKS_PER_WORKER * self._count and (
                part := list(islice(jobs, self._jobs_per_task))
            ):
                submitted.append((part, self._submit(part)))
            if not submitted:
                return
            part, reference = submitted.popleft()
            if first and not self._ray.wait([reference], timeout=_START_SECONDS)[0]:
                raise UsageError("the Ray cluster has no room for a task", "See: ray status.")
            first = False
            yield from self._collect(part, reference)

    def _submit(self, jobs: Sequence[Job]) -> Any:
        return self._task.remote([self._options], self._threads, jobs)  # in a list, Ray does not fetch it for each task

    def _collect(self, jobs: list[Job], reference: Any) -> Iterator[Row]:
        """The rows of a task. It is repeated if its node was lost; if its process was, each job of it a few times."""
        losses = 0
        while losses < _MOST_LOSSES:
            try:
                rows = self._ray.get(reference)
            except self._ray.exceptions.NodeDiedError:
                reference = self._submit(jobs)
            except (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError):
                losses += 1
                if len(jobs) > 1:
                    for job in jobs:
                        yield from self._collect([job], self._submit([job]))
                    return
                reference = self._submit(jobs)
            else:
                if isinstance(rows, tuple):
                    raise UsageError(*rows)
                yield from rows
                return
        name = jobs[0].display_name(self._hash_names)
        reason = f"{name}: {_MOST_LOSSES} workers were lost while they were at it"
        yield Row(name, reason=reason, hint="Is there enough memory for it? See ray status, and the log of Ray.")


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

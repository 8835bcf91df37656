"""The engines that process the jobs of a batch: the threads of this machine, or a Ray cluster."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import RunOptions, SegmentOptions
from lungmask_cli.batch.rows import Row
from lungmask_cli.batch.worker import GPU_THREADS, SegmentWorker
from lungmask_cli.models.load import start_runtime
from lungmask_cli.processes import available_cores, map_in_threads


class Engine(Protocol):
    """Processes jobs. It is created last, when all other settings were checked, because it loads the weights."""

    description: str  # of the hardware, in a few words

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """The row of each job, in the order of the jobs; only a few jobs are started in advance."""


class LocalEngine:
    """The threads of this process, which share one set of weights in memory.

    Args:
        options: the settings of each radiograph.
        jobs: how many threads; None for one per core, or as many as suit the GPU.

    Raises:
        UsageError: the weights, the device or the runtime are not available.
    """

    def __init__(self, options: SegmentOptions, jobs: int | None) -> None:
        # The number of callers must be set before the backend starts, and only then is it known if there is a GPU.
        _, device = start_runtime(
            options.inference.choose_runtime(), options.inference.device, jobs or available_cores()
        )
        self._threads = jobs or (GPU_THREADS if device.kind == "gpu" else available_cores())
        self._worker = SegmentWorker(options, self._threads)
        device = self._worker.segmenter.hardware
        self.description = f"device: {device.kind} ({device.reason}), {self._threads} in parallel"

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """The row of each job."""
        return map_in_threads(self._worker.run, jobs, self._threads)


def make_engine(options: SegmentOptions, run: RunOptions) -> Engine:
    """Create the engine of this run and load the weights.

    Raises:
        UsageError: something that the engine needs is not installed or not available.
    """
    if run.engine == "local":
        return LocalEngine(options, run.jobs)
    from lungmask_cli.batch.ray_engine import RayEngine

    return RayEngine(options, run.jobs, run.address)

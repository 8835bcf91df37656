"""What goes through the jobs of a batch: the threads of this machine, or a Ray cluster."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.rows import Row
from lungmask_cli.batch.worker import GPU_THREADS, Batch
from lungmask_cli.errors import UsageError
from lungmask_cli.models.load import start_runtime
from lungmask_cli.processes import available_cores, map_in_threads

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)


class Engine(Protocol):
    """Does jobs; made once, when all that a user may have mistaken was looked at."""

    @property
    def described(self) -> str:
        """What computes, in a few words."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """The row of each job, in the order of the jobs; only a few are begun before they are asked for."""


@dataclass(frozen=True)
class LocalEngine:
    """The threads of this process, which share one set of weights in memory."""

    batch: Batch
    threads: int

    @property
    def described(self) -> str:
        """The device and why it was chosen."""
        device = self.batch.segmenter.device
        return f"device: {device.kind} ({device.reason}), {self.threads} at once"

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """The row of each job."""
        return map_in_threads(self.batch.run, jobs, self.threads)


def make_engine(name: str, settings: SegmentOptions, jobs: int | None, address: str | None = None) -> Engine:
    """The engine of that name, with its weights loaded.

    Args:
        name: one of `ENGINES`.
        settings: what to make of each radiograph.
        jobs: how many radiographs are worked at at once; None for as many as suit the machine.
        address: that of the Ray cluster to join; None starts one on this machine.

    Raises:
        UsageError: there is no such engine, or what it needs is not installed or not there.
    """
    if name == LOCAL:
        if address:
            raise UsageError("--address is that of a Ray cluster", "Add --engine ray.")
        return _local(settings, jobs)
    if name == RAY:
        from lungmask_cli.batch.ray_engine import RayEngine

        return RayEngine(settings, jobs, address)
    raise UsageError(f"there is no engine named {name!r}", f"Use {' or '.join(ENGINES)}.")


def _local(settings: SegmentOptions, jobs: int | None) -> LocalEngine:
    # The backend is told how many threads will call before it wakes, and wakes to say whether there is a GPU.
    device = start_runtime(settings.runtime, settings.device, jobs or available_cores())
    threads = jobs or (GPU_THREADS if device.kind == "gpu" else available_cores())
    return LocalEngine(Batch(settings, settings.segmenter(threads)), threads)

"""Run a batch on the command line: its messages, how it is interrupted, and the exit code."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from types import FrameType
from typing import TYPE_CHECKING

import typer

from lungmask_cli.batch.options import Existing, RunOptions, SegmentOptions
from lungmask_cli.cli.terminal import print_error, progress, say, say_details, warn, warn_grouped
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.text import pluralize

if TYPE_CHECKING:
    from lungmask_cli.batch.engines import Engine
    from lungmask_cli.batch.jobs import Job
    from lungmask_cli.batch.rows import Row
    from lungmask_cli.batch.table import Remaining

_INTERRUPTED = 130


def show_plan(options: SegmentOptions, jobs: Sequence["Job"], existing: Existing) -> None:
    """Print as CSV the mask of each radiograph, and whether it would be written."""
    from lungmask_cli.batch.table import find_remaining
    from lungmask_cli.files import csv_text

    remaining = {job.number for job in find_remaining(options, jobs, existing).jobs}
    actions = ("write" if job.number in remaining else "keep" for job in jobs)
    rows = [(*job.table_names(options.hash_names), action) for job, action in zip(jobs, actions, strict=True)]
    typer.echo(csv_text(("file", "mask", "action"), rows), nl=False)
    say(f"{len(remaining)} to be written, {len(jobs) - len(remaining)} to be kept; nothing was done")


def run_batch(options: SegmentOptions, run: RunOptions, jobs: Sequence["Job"]) -> None:
    """Run the jobs, and report errors and warnings as they occur.

    Raises:
        typer.Exit: 1 if any radiograph failed, 130 if the batch was interrupted.
    """
    from lungmask_cli.batch.engines import make_engine
    from lungmask_cli.batch.report import describe_settings
    from lungmask_cli.batch.run import finish_batch, prepare_batch
    from lungmask_cli.files import write_json
    from lungmask_cli.scoring.pairing import SETTINGS, TABLE

    folder, started = options.outputs.folder, time.perf_counter()
    settings = describe_settings(options)
    remaining = prepare_batch(options, settings, jobs, run.existing)
    _convert_networks(options)
    engine = make_engine(options, run)
    kept = f", {len(remaining.kept)} done before" if remaining.kept else ""
    weights = ", ".join(options.inference.weight_names)
    say(f"{pluralize(len(jobs), 'file')}{kept}, weights {weights}, {engine.description}")
    write_json(folder / SETTINGS, settings)
    with _interruptible() as stop:
        tally = _run_jobs(options, engine, remaining, stop)
    say(tally.summary(len(jobs), len(remaining.kept)))
    finish_batch(options, run, jobs, remaining, time.perf_counter() - started)
    typer.echo(folder / TABLE)
    if tally.written and not run.gallery:
        say(f"Next: look at them with --gallery FILE.html, or lungmask score {folder} TRUTH")
    if stop.requested:
        raise typer.Exit(_INTERRUPTED)
    if tally.failed:
        raise typer.Exit(1)


def _convert_networks(options: SegmentOptions) -> None:
    """Convert networks for ONNX Runtime, so that the user knows the reason to wait, and only one worker does it."""
    from lungmask_cli.models.load import KERAS, ONNX, start_runtime
    from lungmask_cli.models.onnx_file import is_converted, load_onnx

    inference = options.inference
    runtime = inference.choose_runtime()
    if runtime == KERAS or start_runtime(runtime, inference.device)[0] != ONNX:
        return
    for name, path in zip(inference.weight_names, inference.weight_files(), strict=True):
        if not is_converted(path):
            say(f"converting {name} for ONNX Runtime, this once")
            load_onnx(path)


class _Stop:
    """Whether the user has requested the batch to stop."""

    requested = False


@contextmanager
def _interruptible() -> Iterator[_Stop]:
    """Let the first Ctrl-C, or the signal by which clusters end jobs, stop the batch after the jobs in progress."""
    stop = _Stop()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        say("stopping after the radiographs in progress; interrupt again to stop at once")

    handlers = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _Tally:
    """Counts the rows, and reports each problem once."""

    def __init__(self) -> None:
        self.written = self.failed = self.doubtful = self._without_dice = 0
        self._dices: list[float] = []
        self._warnings: list[tuple[str, tuple[str, ...]]] = []
        self._shown_hints = {""}

    def count(self, row: "Row") -> None:
        """Count the row, and report its problems."""
        self._warnings.append((row.file, row.warnings))
        if not row.mask:
            self.failed += 1
            print_error(ImageError(row.reason, "" if row.hint in self._shown_hints else row.hint))
            self._shown_hints.add(row.hint)
            return
        say_details(f"{row.file}: {row.mask}, {row.quality or 'no quality'}, {row.seconds:.2f} s")
        self.written += 1
        if row.doubts:
            self.doubtful += 1
            warn(f"{row.file}: doubtful: {'; '.join(row.doubts)}")
        if row.reason:
            self._without_dice += 1
            warn(f"{row.file}: {row.reason}")
        if row.dice is not None:
            self._dices.append(row.dice)

    def summary(self, planned: int, kept: int) -> str:
        """All counts in one line. Prints one warning before it for each kind of problem of the radiographs."""
        warn_grouped(self._warnings)
        counts = [f"{pluralize(self.written, 'mask')} written"]
        counts += [f"{self.doubtful} of them doubtful"] if self.doubtful else []
        counts += [f"{self.failed} failed"]
        counts += [f"{kept} kept"] if kept else []
        not_done = planned - kept - self.written - self.failed
        counts += [f"{not_done} not done"] if not_done else []
        if self._dices:
            counts.append(f"mean Dice {sum(self._dices) / len(self._dices):.4f} of {len(self._dices)}")
        counts += [f"{self._without_dice} without a Dice"] if self._without_dice else []
        return ", ".join(counts)


def _run_jobs(options: SegmentOptions, engine: "Engine", remaining: "Remaining", stop: _Stop) -> _Tally:
    """Write a row for each job as soon as it is done."""
    from lungmask_cli.batch.rows import COLUMNS
    from lungmask_cli.batch.table import TableError, open_table
    from lungmask_cli.files import csv_text

    folder, tally = options.outputs.folder, _Tally()
    rows: list[list[object]] = []
    try:
        with open_table(folder, remaining.kept.values()) as append:
            started = takewhile(lambda job: not stop.requested, remaining.jobs)
            for row in progress("segmenting", len(remaining.jobs))(engine.run(started)):
                rows.append(row.cells())
                tally.count(row)
                append(rows[-1])
    except TableError as error:
        typer.echo(csv_text(COLUMNS, rows), nl=False)
        raise UsageError(f"{error.message}; the table is on standard output", error.hint) from error
    return tally

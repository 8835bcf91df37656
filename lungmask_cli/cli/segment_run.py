"""A batch from the command line: what is said of it, how it is stopped, and the files that close it."""

import math
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

from lungmask_cli.cli.terminal import print_error, progress, say, say_details, warn, warn_grouped
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.text import pluralize

if TYPE_CHECKING:
    from lungmask_cli.batch.engines import Engine
    from lungmask_cli.batch.jobs import Job
    from lungmask_cli.batch.journal import Cells
    from lungmask_cli.batch.options import SegmentOptions
    from lungmask_cli.batch.rows import Row
    from lungmask_cli.batch.table import Existing, Remaining

_INTERRUPTED = 130


@dataclass(frozen=True)
class Where:
    """What computes: an engine, the address of its cluster, and how many radiographs at once."""

    engine: str
    address: str | None
    jobs: int | None


@dataclass(frozen=True)
class Pages:
    """What is written about the batch as a whole, where it is asked for."""

    gallery: Path | None
    report: Path | None


def show_plan(settings: "SegmentOptions", jobs: Sequence["Job"], existing: "Existing") -> None:
    """Print as CSV what each radiograph's mask is to be called, and whether it would be written."""
    from lungmask_cli.batch.jobs import hashed
    from lungmask_cli.batch.table import remaining
    from lungmask_cli.files import csv_text

    todo = {job.number for job in remaining(settings, jobs, existing).jobs}
    rows = []
    for job in jobs:
        name = hashed(job) if settings.hash_names else ""
        shown, mask = (name, f"{name}.png") if name else (str(job.source), str(job.mask))
        rows.append((shown, mask, "write" if job.number in todo else "keep"))
    typer.echo(csv_text(("file", "mask", "action"), rows), nl=False)
    say(f"{len(todo)} to be written, {len(jobs) - len(todo)} to be kept; nothing was done")


def run_batch(
    settings: "SegmentOptions", jobs: Sequence["Job"], existing: "Existing", where: Where, pages: Pages
) -> None:
    """Do the jobs, and say what is wrong as it comes.

    Raises:
        typer.Exit: 1 where any failed, 130 where it was interrupted.
    """
    from lungmask_cli.batch.engines import make_engine
    from lungmask_cli.batch.report import record
    from lungmask_cli.batch.table import RECORD, TABLE, Existing, check_record, clear_partial, remaining, rewrite_table
    from lungmask_cli.files import check_writable, write_json

    folder, started = settings.outputs.folder, time.perf_counter()
    left = remaining(settings, jobs, existing)
    made_with = record(settings)
    if existing is Existing.SKIP:
        check_record(made_with, folder)
    check_writable(folder)
    clear_partial(folder)
    _convert_networks(settings)
    engine = make_engine(where.engine, settings, where.jobs, where.address)
    kept = f", {len(left.kept)} done before" if left.kept else ""
    say(f"{pluralize(len(jobs), 'file')}{kept}, weights {', '.join(settings.weights)}, {engine.described}")
    write_json(folder / RECORD, made_with)
    with _stopped_gently() as stop:
        tally = _go_through(engine, left, folder, stop)
    numbers = rewrite_table(folder, left)
    say(tally.summary(len(jobs), len(left.kept)))
    rows = {job: numbers[job.number] for job in jobs if job.number in numbers}
    _close(settings, rows, pages, (len(jobs), len(left.kept)), time.perf_counter() - started)
    typer.echo(folder / TABLE)
    if tally.written and not pages.gallery:
        say(f"Next: look at them with --gallery FILE.html, or lungmask score {folder} TRUTH")
    if stop.asked:
        raise typer.Exit(_INTERRUPTED)
    if tally.failed:
        raise typer.Exit(1)


def _convert_networks(settings: "SegmentOptions") -> None:
    """Say that a user has to wait, and do it before the workers of a cluster do it all at once."""
    from lungmask_cli.models.load import ONNX, load_network
    from lungmask_cli.models.manifest import find_weights

    if settings.runtime != ONNX:
        return
    from lungmask_cli.models.onnx_cache import is_converted

    for weights in settings.weights:
        if not is_converted(find_weights(weights)):
            say(f"converting {weights} for ONNX Runtime, this once")
            load_network(find_weights(weights), ONNX)


class _Stop:
    """Whether the batch was asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def until(self, jobs: Iterable["Job"]) -> Iterator["Job"]:
        """The jobs, until it is."""
        for job in jobs:
            if self.asked:
                return
            yield job


@contextmanager
def _stopped_gently() -> Iterator[_Stop]:
    """Let the first Ctrl-C, or the signal by which clusters end their jobs, end the batch after what was begun."""
    stop = _Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        say("stopping: what was begun is finished; once more to stop at once")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Tally:
    """What is said of the rows, once each, and in the end."""

    def __init__(self) -> None:
        self.written = self.failed = self.doubtful = 0
        self._dices: list[float] = []
        self._warnings: list[tuple[str, tuple[str, ...]]] = []
        self._hints = {""}

    def count(self, row: "Row") -> None:
        """Count the row, and say what is wrong with it."""
        self._warnings.append((row.file, row.warnings))
        if not row.mask:
            self.failed += 1
            print_error(
                ImageError(row.reason, "" if row.hint in self._hints else row.hint)
            )  # each piece of advice once
            self._hints.add(row.hint)
            return
        say_details(f"{row.file}: {row.mask}, {row.quality or 'no quality'}, {row.seconds:.2f} s")
        self.written += 1
        if row.doubts:
            self.doubtful += 1
            warn(f"{row.file}: doubtful: {'; '.join(row.doubts)}")
        if row.reason:
            warn(f"{row.file}: {row.reason}")
        if row.dice is not None and not math.isnan(row.dice):
            self._dices.append(row.dice)

    def summary(self, planned: int, kept: int) -> str:
        """All counts in one line, after a warning for each thing that was odd about radiographs."""
        warn_grouped(self._warnings)
        counts = [f"{pluralize(self.written, 'mask')} written"]
        counts += [f"{self.doubtful} of them doubtful"] if self.doubtful else []
        counts += [f"{self.failed} failed"]
        counts += [f"{kept} kept"] if kept else []
        left = planned - kept - self.written - self.failed
        counts += [f"{left} not done"] if left else []
        if self._dices:
            counts.append(f"mean Dice {sum(self._dices) / len(self._dices):.4f} of {len(self._dices)}")
        return ", ".join(counts)


def _go_through(engine: "Engine", left: "Remaining", folder: Path, stop: _Stop) -> _Tally:
    from lungmask_cli.batch.journal import Journal
    from lungmask_cli.batch.rows import COLUMNS
    from lungmask_cli.batch.table import TABLE
    from lungmask_cli.files import csv_text

    tally = _Tally()
    rows: list[list[object]] = []
    try:
        with Journal(folder / TABLE, COLUMNS, left.kept.values()) as journal:
            for row in progress("segmenting", len(left.jobs))(engine.run(stop.until(left.jobs))):
                rows.append(row.cells())
                tally.count(row)
                journal.add(rows[-1])
    except OSError as error:
        typer.echo(csv_text(COLUMNS, rows), nl=False)
        raise UsageError(
            f"{folder / TABLE}: cannot be written: {error.strerror or error}; the table is on standard output",
            "Check the free space and the permissions, then go on with --skip-existing.",
        ) from error
    return tally


def _close(
    settings: "SegmentOptions", rows: Mapping["Job", "Cells"], pages: Pages, counts: tuple[int, int], seconds: float
) -> None:
    """Write what is about all of them: contours, report and gallery."""
    from lungmask_cli.batch.outputs import CONTOURS
    from lungmask_cli.batch.report import report

    if CONTOURS in settings.outputs.extras:
        settings.outputs.join_contours(Path(row["mask"]) for row in rows.values() if row["mask"])
    if pages.report:
        found = report(settings, rows.values(), *counts, seconds)
        from lungmask_cli.files import write_json

        write_json(pages.report, found)
    if pages.gallery:
        from lungmask_cli.batch.gallery import make_gallery
        from lungmask_cli.batch.rows import Row

        make_gallery(pages.gallery, settings, {job: Row.read(cells) for job, cells in rows.items()})

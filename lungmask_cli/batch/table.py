"""The table of a batch, `segment.csv`, which grows with each radiograph, and what remains after a restart."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import Existing, SegmentOptions
from lungmask_cli.batch.rows import COLUMNS, WRITTEN
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import PARTIAL, csv_rows, csv_text, write_text
from lungmask_cli.scoring.pairing import SETTINGS, TABLE

Cells = dict[str, str]


class TableError(UsageError):
    """The table cannot be written."""


@contextmanager
def open_table(folder: Path, kept: Iterable[Cells] = ()) -> Iterator[Callable[[Sequence[object]], None]]:
    """A function that appends a row to the table, in a single write, so that a batch can resume after any interruption.

    Args:
        folder: the output folder.
        kept: the rows of an earlier run that stay in the table.

    Raises:
        TableError: the table cannot be written; the function raises it as well.
    """
    path = folder / TABLE
    with _table_errors(path):
        _write_table(path, kept)
        file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def append(cells: Sequence[object]) -> None:
        line = csv_text(COLUMNS, [cells]).split("\n", 1)[1].encode("utf-8")
        with _table_errors(path):
            written = os.write(file, line)
            if written < len(line):  # a full disk takes a part
                os.write(file, line[written:])

    try:
        yield append
    finally:
        os.close(file)


@contextmanager
def _table_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TableError(
            f"{path}: cannot be written: {error.strerror or error}",
            "Check the free space and the permissions, then resume with --skip-existing.",
        ) from error


def _write_table(path: Path, rows: Iterable[Cells]) -> None:
    write_text(path, csv_text(COLUMNS, ([row[name] for name in COLUMNS] for row in rows)))


def read_table(folder: Path) -> list[Cells]:
    """Read the rows of an earlier run, without an incomplete last line.

    Raises:
        UsageError: the table has other columns, or cannot be read.
    """
    path = folder / TABLE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read", "Choose another -o folder, or --overwrite it.") from error
    lines = text.split("\n")[:-1]  # cells contain no line break, so text after the last one is an incomplete line
    if lines and next(csv.reader(lines[:1])) != list(COLUMNS):
        raise UsageError(f"{path}: has other columns than this version writes", "Do it again with --overwrite.")
    return list(csv_rows(lines))


@dataclass(frozen=True)
class Remaining:
    """What remains to be done of a batch.

    Args:
        jobs: the jobs that are not done, in order.
        kept: the rows of the jobs that are done, by job number.
    """

    jobs: list[Job]
    kept: dict[int, Cells] = field(default_factory=dict)


def find_remaining(options: SegmentOptions, jobs: Sequence[Job], existing: Existing) -> Remaining:
    """Find which of these jobs remain to be done.

    With `SKIP`, a job is done if the table says that its mask was written and all its files exist.

    Raises:
        UsageError: with `REFUSE`, a result exists already; with `SKIP`, the table cannot be read.
    """
    if existing is Existing.REFUSE:
        _refuse_existing(options, jobs)
    if existing is not Existing.SKIP:
        return Remaining(list(jobs))
    outputs, kept = options.outputs, {}
    rows = {(row["file"], row["mask"]): row for row in read_table(outputs.folder)}
    for job in jobs:
        try:
            row = rows.get(job.table_names(options.hash_names))
        except ImageError:  # the worker will report it
            continue
        if row and row["status"] == WRITTEN and all(path.is_file() for path in outputs.paths(Path(row["mask"]))):
            kept[job.number] = row
    return Remaining([job for job in jobs if job.number not in kept], kept)


def _refuse_existing(options: SegmentOptions, jobs: Sequence[Job]) -> None:
    if not options.outputs.folder.exists():  # looking for each of many files takes long on slow storage
        return
    table = options.outputs.folder / TABLE
    masks = () if options.hash_names else (path for job in jobs for path in options.outputs.paths(job.mask))
    existing = next((path for path in (table, *masks) if path.exists()), None)
    if existing:
        raise UsageError(
            f"{existing}: exists already",
            "Resume with --skip-existing, compute everything again with --overwrite, or choose another -o folder.",
        )


def check_settings(settings: dict[str, Any], folder: Path) -> None:
    """Check that the results in `folder` were computed with the same settings.

    Raises:
        UsageError: they were computed with other weights or settings.
    """
    try:
        earlier = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / SETTINGS}: cannot be read", "Do it again with --overwrite.") from error
    different = [key for key in settings if settings[key] != earlier.get(key)]
    if different:
        raise UsageError(
            f"{folder}: its results were made with another {', '.join(different)}: "
            f"{json.dumps({key: earlier.get(key) for key in different})}",
            "Use the same, compute everything again with --overwrite, or choose another -o folder.",
        )


def remove_partial_files(folder: Path) -> None:
    """Remove the incomplete files that a killed run left in `folder`."""
    for path in folder.rglob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)


def sort_table(folder: Path, remaining: Remaining) -> dict[int, Cells]:
    """Sort the table by job number if rows of an earlier run were kept. Returns all rows by job number.

    Rows are missing at the end if the run was interrupted.
    """
    added = read_table(folder)[len(remaining.kept) :]
    rows = remaining.kept | dict(zip((job.number for job in remaining.jobs), added, strict=False))
    rows = dict(sorted(rows.items()))
    if remaining.kept:
        _write_table(folder / TABLE, rows.values())
    return rows

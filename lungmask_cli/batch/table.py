"""What an output folder holds already, and what of a batch is still to be done."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from lungmask_cli.batch.jobs import Job, hashed
from lungmask_cli.batch.journal import Cells, read_journal
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.rows import COLUMNS, WRITTEN
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import PARTIAL, csv_text, write_text

TABLE, RECORD = "segment.csv", "segment.json"


class Existing(Enum):
    """What is done about results that are there already."""

    REFUSE = "refuse"
    SKIP = "skip"
    OVERWRITE = "overwrite"


def existing_mode(skip: bool, overwrite: bool) -> Existing:
    """What the flags `--skip-existing` and `--overwrite` ask for.

    Raises:
        UsageError: both are given.
    """
    if skip and overwrite:
        raise UsageError("--skip-existing and --overwrite exclude each other", "Give one of them.")
    return Existing.SKIP if skip else Existing.OVERWRITE if overwrite else Existing.REFUSE


@dataclass(frozen=True)
class Remaining:
    """What is to be done of a batch.

    Args:
        jobs: those that are not done, in order.
        kept: the rows of those that are, by their job's number.
    """

    jobs: list[Job]
    kept: dict[int, Cells] = field(default_factory=dict)

    def in_order(self, rows: Sequence[Cells]) -> dict[int, Cells]:
        """The rows of the jobs, of which some may be missing at the end, among those that were kept."""
        new = dict(zip((job.number for job in self.jobs), rows, strict=False))
        return dict(sorted((self.kept | new).items()))


def remaining(settings: SegmentOptions, jobs: Sequence[Job], existing: Existing) -> Remaining:
    """What is to be done of these jobs.

    With `SKIP`, a job is done if the table says that its mask was written and all its files are there.

    Raises:
        UsageError: with `REFUSE`, if any result is there already; with `SKIP`, if results cannot be told apart.
    """
    if existing is Existing.OVERWRITE:
        return Remaining(list(jobs))
    if existing is Existing.REFUSE:
        _refuse(settings, jobs)
        return Remaining(list(jobs))
    rows = {(row["file"], row["mask"]): row for row in read_journal(settings.outputs.folder / TABLE, COLUMNS)}
    kept = {job.number: row for job in jobs if (row := rows.get(_names(settings, job))) and _complete(settings, row)}
    return Remaining([job for job in jobs if job.number not in kept], kept)


def _refuse(settings: SegmentOptions, jobs: Sequence[Job]) -> None:
    folder = settings.outputs.folder
    masks = () if settings.hash_names else (path for job in jobs for path in settings.outputs.paths(job.mask))
    there = next((path for path in (folder / TABLE, *masks) if path.exists()), None)
    if there:
        raise UsageError(
            f"{there}: is there already",
            "Go on with --skip-existing, do all again with --overwrite, or choose another -o folder.",
        )


def _names(settings: SegmentOptions, job: Job) -> tuple[str, str]:
    """What the table calls the radiograph and its mask."""
    if not settings.hash_names:
        return str(job.source), str(job.mask)
    try:
        name = hashed(job)
    except ImageError:  # it will get its row when it is its turn
        return "", ""
    return name, f"{name}.png"


def _complete(settings: SegmentOptions, row: Cells) -> bool:
    paths = settings.outputs.paths(Path(row["mask"]))
    return row["status"] == WRITTEN and all(path.is_file() for path in paths)


def check_record(record: dict[str, Any], folder: Path) -> None:
    """See that the results in `folder` were made as those that are to join them.

    Raises:
        UsageError: they were made with other weights or settings.
    """
    try:
        earlier = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / RECORD}: cannot be read", "Do it again with --overwrite.") from error
    different = [key for key in record if record[key] != earlier.get(key)]
    if different:
        raise UsageError(
            f"{folder}: its results were made with another {', '.join(different)}: "
            f"{json.dumps({key: earlier.get(key) for key in different})}",
            "Use the same, do all again with --overwrite, or choose another -o folder.",
        )


def clear_partial(folder: Path) -> None:
    """Remove files in `folder` that a killed run had begun to write."""
    for path in folder.rglob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)


def rewrite_table(folder: Path, left: Remaining) -> dict[int, Cells]:
    """Put the table's rows into the order of the jobs, where some were kept; all of them by their job's number."""
    rows = left.in_order(read_journal(folder / TABLE, COLUMNS)[len(left.kept) :])
    if left.kept:
        write_text(folder / TABLE, csv_text(COLUMNS, ([row[name] for name in COLUMNS] for row in rows.values())))
    return rows

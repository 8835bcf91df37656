"""The start and the end of a batch: checks before the first radiograph, and the files that cover all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lungmask_cli.batch.gallery import make_gallery
from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import Existing, RunOptions, SegmentOptions
from lungmask_cli.batch.outputs import CONTOURS
from lungmask_cli.batch.report import make_report
from lungmask_cli.batch.rows import Row
from lungmask_cli.batch.table import Remaining, check_settings, find_remaining, remove_partial_files, sort_table
from lungmask_cli.files import check_writable, write_json


def prepare_batch(
    options: SegmentOptions, settings: dict[str, Any], jobs: Sequence[Job], existing: Existing
) -> Remaining:
    """Check the output folder, and find which jobs remain to be done. `settings` is what the options determine.

    Raises:
        UsageError: a result exists already, or was computed with other settings; or the folder cannot be written to.
    """
    remaining = find_remaining(options, jobs, existing)
    if existing is Existing.SKIP:
        check_settings(settings, options.outputs.folder)
    check_writable(options.outputs.folder)
    remove_partial_files(options.outputs.folder)
    return remaining


def finish_batch(
    options: SegmentOptions, run: RunOptions, jobs: Sequence[Job], remaining: Remaining, seconds: float
) -> None:
    """Sort the table, and write the contours, the report and the gallery if they are wanted.

    `jobs` are all jobs, `remaining` those of this run, and `seconds` is its duration.

    Raises:
        OSError: a file cannot be written.
    """
    if run.engine == "ray":  # which may have lost machines
        remove_partial_files(options.outputs.folder)
    cells = sort_table(options.outputs.folder, remaining)
    if CONTOURS in options.outputs.extras:
        options.outputs.join_contours(Path(row["mask"]) for row in cells.values() if row["mask"])
    if run.report:
        write_json(run.report, make_report(options, cells.values(), len(jobs), len(remaining.kept), seconds))
    if run.gallery:
        rows = {job: Row.from_cells(cells[job.number]) for job in jobs if job.number in cells}
        make_gallery(run.gallery, options, rows)

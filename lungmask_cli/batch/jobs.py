"""Which radiographs a batch has, and where the mask of each goes."""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import csv_rows, hash_file_name
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES
from lungmask_cli.text import printable, shorten_file_name

FILE_COLUMN = "file"


@dataclass(frozen=True)
class Job:
    """One radiograph, its number in the batch, and where its mask goes, relative to the output folder."""

    source: Path
    mask: Path
    number: int


def plan(images: Iterable[tuple[Path, Path]], output: Path) -> list[Job]:
    """Where each mask goes: same folder and stem as its radiograph, ending in `.png`, as far as files can be named so.

    Where several radiographs of a folder share a stem, in any case of letters, all but the first keep their old suffix
    as well: `a.dcm.png`. Suffixes that are none of a picture's, such as the last part of `1.2.840.10008`, stay.

    Raises:
        UsageError: a mask would overwrite a radiograph.
    """
    jobs: list[Job] = []
    taken: set[str] = set()
    sources = set()
    for count, (source, relative) in enumerate(images, start=1):
        names = _names(relative)
        mask = next(name for name in names if str(name).casefold() not in taken)
        taken.add(str(mask).casefold())
        sources.add(os.path.realpath(source))
        jobs.append(Job(source, mask, count))
    for job in jobs:
        if os.path.realpath(output / job.mask) in sources:
            raise UsageError(
                f"{output / job.mask}: is a radiograph that its mask would overwrite", "Choose another -o folder."
            )
    return jobs


def _names(relative: Path) -> Iterator[Path]:
    """What a mask may be called, the best first."""
    folder = Path(*map(printable, relative.parent.parts))
    stem = relative.stem if relative.suffix.lower() in IMAGE_SUFFIXES else relative.name
    yield folder / shorten_file_name(f"{printable(stem)}.png")
    yield folder / shorten_file_name(f"{printable(relative.name)}.png")
    for number in itertools.count(2):  # files of one name from several inputs
        yield folder / shorten_file_name(f"{printable(stem)}-{number}.png")


def hashed(job: Job) -> str:
    """The first 16 digits of the SHA-256 of its radiograph's file.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        return hash_file_name(job.source)
    except OSError as error:
        raise ImageError(f"file {job.number}: cannot be read: {error.strerror or error}") from error


def read_list(path: Path) -> list[tuple[Path, Path]]:
    """The radiographs that a file names, each with its path below the folder that holds all of them.

    A text file has a path on each line, a CSV a column `file`. Paths that are not absolute begin at the list's folder.

    Raises:
        UsageError: the list cannot be read, names nothing, or is a CSV without that column.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a list of files", "Give UTF-8 text.") from error
    if path.suffix.lower() == ".csv":
        rows = list(csv_rows(lines))
        if rows and FILE_COLUMN not in rows[0]:
            raise UsageError(f"{path}: has no column {FILE_COLUMN}", f"It has: {', '.join(rows[0])}.")
        names = [row[FILE_COLUMN] or "" for row in rows]
    else:
        names = [line.strip() for line in lines]
    files = list(dict.fromkeys(Path(os.path.normpath(path.parent / name)) for name in names if name))
    if not files:
        raise UsageError(f"{path}: names no file", "Write a path on each line.")
    root = os.path.commonpath([file.parent.absolute() for file in files])
    return [(file, file.absolute().relative_to(root)) for file in files]

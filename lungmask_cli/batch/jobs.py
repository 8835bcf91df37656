"""The radiographs of a batch, and the path of each mask."""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import csv_rows, hash_file_name
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES
from lungmask_cli.text import printable, shorten_file_name

_FILE_COLUMN = "file"


@dataclass(frozen=True)
class Job:
    """One radiograph, the path of its mask relative to the output folder, and its number in the batch."""

    source: Path
    mask: Path
    number: int

    def display_name(self, hash_names: bool) -> str:
        """The name of the radiograph in messages; with `hash_names`, only its number."""
        return f"file {self.number}" if hash_names else str(self.source)

    def table_names(self, hash_names: bool) -> tuple[str, str]:
        """The names of the radiograph and of its mask in the table.

        With `hash_names`, both are the first 16 digits of the SHA-256 of the radiograph's file.

        Raises:
            ImageError: with `hash_names`, if the file cannot be read.
        """
        if not hash_names:
            return str(self.source), str(self.mask)
        try:
            name = hash_file_name(self.source)
        except OSError as error:
            raise ImageError(f"{self.display_name(True)}: cannot be read: {error.strerror or error}") from error
        return name, f"{name}.png"


def plan_jobs(images: Iterable[tuple[Path, Path]], output: Path) -> list[Job]:
    """Plan a job for each radiograph. Its mask has the radiograph's folder and stem, and the suffix `.png`.

    If several radiographs of a folder have the same stem (ignoring case), all but the first keep their old suffix as
    well: `a.dcm.png`. Suffixes that are not those of an image, such as the last part of `1.2.840.10008`, are kept.

    Args:
        images: the path of each radiograph, and its path relative to the input folder.
        output: the output folder.

    Raises:
        UsageError: a mask would overwrite a radiograph.
    """
    jobs: list[Job] = []
    used_names: set[str] = set()
    sources = set()
    for number, (source, relative) in enumerate(images, start=1):
        mask = next(name for name in _mask_names(relative) if str(name).casefold() not in used_names)
        used_names.add(str(mask).casefold())
        sources.add(os.path.realpath(source))
        jobs.append(Job(source, mask, number))
    for job in jobs:
        if os.path.realpath(output / job.mask) in sources:
            raise UsageError(
                f"{output / job.mask}: is a radiograph that its mask would overwrite", "Choose another -o folder."
            )
    return jobs


def _mask_names(relative: Path) -> Iterator[Path]:
    """The possible names of a mask, the best first."""
    folder = Path(*map(printable, relative.parent.parts))
    stem = relative.stem if relative.suffix.lower() in IMAGE_SUFFIXES else relative.name
    yield folder / shorten_file_name(f"{printable(stem)}.png")
    yield folder / shorten_file_name(f"{printable(relative.name)}.png")
    for number in itertools.count(2):  # files with the same name from several inputs
        yield folder / shorten_file_name(f"{printable(stem)}-{number}.png")


def read_list(path: Path) -> list[tuple[Path, Path]]:
    """Read the radiographs that a file lists, each with its path relative to the deepest folder that contains them all.

    A text file has one path per line, a CSV a column `file`. Relative paths start at the folder of the list.

    Raises:
        UsageError: the list cannot be read or is empty, or the CSV has no such column.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a list of files", "Give UTF-8 text.") from error
    if path.suffix.lower() == ".csv":
        rows = list(csv_rows(lines))
        if rows and _FILE_COLUMN not in rows[0]:
            raise UsageError(f"{path}: has no column {_FILE_COLUMN}", f"It has: {', '.join(rows[0])}.")
        names = [row[_FILE_COLUMN] or "" for row in rows]
    else:
        names = [line.strip() for line in lines]
    files = list(dict.fromkeys(Path(os.path.normpath(path.parent / name)) for name in names if name))
    if not files:
        raise UsageError(f"{path}: names no file", "Write one path on each line.")
    root = os.path.commonpath([file.parent.absolute() for file in files])
    return [(file, file.absolute().relative_to(root)) for file in files]

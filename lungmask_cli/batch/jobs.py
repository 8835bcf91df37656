"""The radiographs of a batch, and the path of each mask."""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import hash_file_name
from lungmask_cli.formats.names import remove_suffix
from lungmask_cli.formats.tables import FILE_COLUMNS, NAME_COLUMNS, read_lines, read_table
from lungmask_cli.text import pluralize, printable, shorten_file_name

_TABLE_SUFFIXES = (".csv", ".tsv")


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
    for number, (source, relative) in enumerate(images, start=1):
        mask = next(name for name in _mask_names(relative) if str(name).casefold() not in used_names)
        used_names.add(str(mask).casefold())
        jobs.append(Job(source, mask, number))
    # Real paths take most of the time of a plan, and a file that does not exist is no radiograph.
    existing = [job for job in jobs if (output / job.mask).exists()] if output.exists() else []
    sources = {os.path.realpath(job.source) for job in jobs} if existing else set()
    for job in existing:
        if os.path.realpath(output / job.mask) in sources:
            raise UsageError(
                f"{output / job.mask}: is a radiograph that its mask would overwrite", "Choose another -o folder."
            )
    return jobs


def _mask_names(relative: Path) -> Iterator[Path]:
    """The possible names of a mask, the best first."""
    folder = Path(*map(printable, relative.parent.parts))
    stem = remove_suffix(relative.name)
    yield folder / shorten_file_name(f"{printable(stem)}.png")
    yield folder / shorten_file_name(f"{printable(relative.name)}.png")
    for number in itertools.count(2):  # files with the same name from several inputs
        yield folder / shorten_file_name(f"{printable(stem)}-{number}.png")


def read_list(path: Path) -> list[tuple[Path, Path]]:
    """Read the radiographs that a file lists, each with its path relative to the deepest folder that contains them all.

    A text file has one path per line, a CSV one per row, in a column `file`, `path` or the like. Relative paths start
    at the folder of the list. Where no file has the name as it stands, quotes are removed, backslashes separate
    folders, and a line that begins with `#` is a comment. Files that do not exist are kept, so that they are reported.

    Raises:
        UsageError: the list cannot be read, names no file or none that exists, or the CSV has no such column.
    """
    names = [name for name in _listed_names(path) if name]
    resolved = (_resolve(path.parent, name) for name in names)
    files = list(dict.fromkeys(file for file in resolved if file is not None))
    if not files:
        raise UsageError(f"{path}: names no file", "Write one path on each line.")
    if not any(map(os.path.lexists, files)):
        _refuse_missing(path, files)
    root = os.path.commonpath([file.parent.absolute() for file in files])
    return [(file, file.absolute().relative_to(root)) for file in files]


def _listed_names(path: Path) -> list[str]:
    """The names in a text file or a CSV; a text file whose first line is the header of such a CSV is one as well."""
    lines = read_lines(path)
    if path.suffix.lower() in _TABLE_SUFFIXES and all(_exists(path.parent, line) for line in filter(None, lines)):
        return lines  # without a header
    table = read_table(path)
    column = table.find_column(FILE_COLUMNS)
    if path.suffix.lower() not in _TABLE_SUFFIXES and (column is None or _exists(path.parent, table.columns[0])):
        return lines
    if column is None:
        column = table.find_column(NAME_COLUMNS)
    if column is None:
        raise UsageError(
            f"{path}: has no column that names files, such as {FILE_COLUMNS[0]}",
            f"Its columns are {', '.join(table.columns)}.",
        )
    return [row[column] for row in table.rows]


def _resolve(folder: Path, name: str) -> Path | None:
    """The file of that name, as it was meant: the first that exists, else as it stands. None for a comment."""
    bare = name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"" else name
    meant = (name, bare, bare.replace("\\", "/"))
    # Path.expanduser would raise on a file name such as ~a.png.
    paths = [Path(os.path.normpath(folder / os.path.expanduser(text))) for text in meant]  # noqa: PTH111
    found = next(filter(os.path.lexists, paths), None)
    return found or (None if name.startswith("#") else paths[1])


def _exists(folder: Path, name: str) -> bool:
    path = _resolve(folder, name)
    return path is not None and os.path.lexists(path)


def _refuse_missing(path: Path, files: list[Path]) -> NoReturn:
    """Say that no file of a list exists, and where it was looked for."""
    elsewhere = any(os.path.lexists(os.path.relpath(file, path.parent)) for file in files)
    raise UsageError(
        f"{path}: names {pluralize(len(files), 'file')}, of which none exists, for example {files[0]}",
        f"Relative paths start at the folder of the list, {path.parent.absolute()}"
        + (": they exist below the current folder, so save the list there." if elsewhere else "."),
    )

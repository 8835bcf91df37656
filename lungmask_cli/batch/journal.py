"""`segment.csv` while it grows: a line for each radiograph as it is done, so that a batch can go on after any end."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_rows, csv_text, write_text

Cells = dict[str, str]


class Journal:
    """A CSV file to which whole lines are added.

    Args:
        path: the file; it is made anew, unless `kept` rows stand in it already.
        columns: its header.
        kept: rows of an earlier run that stay.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str], kept: Iterable[Cells] = ()) -> None:
        self._path, self._columns = path, columns
        write_text(path, csv_text(columns, ([row[name] for name in columns] for row in kept)))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def add(self, cells: Sequence[object]) -> None:
        """Add a line; it reaches the file in one piece."""
        line = csv_text(self._columns, [cells]).split("\n", 1)[1].encode("utf-8")
        written = os.write(self._file, line)
        if written < len(line):  # a full disk takes a part
            os.write(self._file, line[written:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def read_journal(path: Path, columns: Sequence[str]) -> list[Cells]:
    """The rows of an earlier run; a last line that was not finished does not count, nor what follows it.

    Raises:
        UsageError: the file has other columns, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read", "Choose another -o folder, or --overwrite it.") from error
    lines = text.split("\n")[:-1]  # cells hold no line break; what follows the last one was not finished
    if lines and next(csv.reader(lines[:1])) != list(columns):
        raise UsageError(f"{path}: has other columns than this version writes", "Do it again with --overwrite.")
    return list(csv_rows(lines))

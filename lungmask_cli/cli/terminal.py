"""How commands talk: data to standard output, everything else to standard error."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lungmask_cli.errors import LungmaskError, UsageError
from lungmask_cli.text import printable

T = TypeVar("T")


@dataclass
class _Verbosity:
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    settings: Path | None = None


verbosity = _Verbosity()
_SHOWN = 10
_WIDE = 100  # columns of a terminal
_FILE_WIDE = 160  # columns of what is not a terminal

# Standard error is where people read; soft wrapping keeps paths whole for copying.
_stderr = Console(stderr=True, soft_wrap=True, highlight=False)


def set_verbosity(quiet: bool, verbose: bool, debug: bool) -> None:
    """Say less, or more; what was asked for before the command and after it adds up."""
    verbosity.quiet |= quiet
    verbosity.verbose |= verbose
    verbosity.debug |= debug


def say(line: str) -> None:
    """One line for the user, unless nothing but warnings and errors is wanted."""
    if not verbosity.quiet:
        _stderr.print(Text(printable(line)))


def mention(line: str) -> None:
    """One line for users who want to know what is done."""
    if verbosity.verbose:
        _stderr.print(Text(printable(line), "dim"))


def warn(line: str) -> None:
    """One line about something that was not as it should be."""
    _stderr.print(Text.assemble(("Warning: ", "yellow"), printable(line)))


def list_some(lines: Sequence[str], rest: str) -> None:
    """A warning for each of the first ten lines, and one that says how many more there are and where."""
    for line in lines[:_SHOWN]:
        warn(line)
    if len(lines) > _SHOWN:
        warn(f"and {len(lines) - _SHOWN} more; {rest}")


def warn_of_all(named: Iterable[tuple[str, Iterable[str]]]) -> None:
    """One warning for each kind of sentence, with how many files it holds for and the first of them.

    Args:
        named: each file and its sentences.
    """
    files: dict[str, list[str]] = {}
    for name, sentences in named:
        for sentence in sentences:
            files.setdefault(sentence, []).append(name)
    for sentence, names in files.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        warn(f"{names[0]}{others}: {sentence}")


def complain(error: LungmaskError) -> None:
    """One red line for what was wrong and one dim line for what to do."""
    _stderr.print(Text.assemble(("Error: ", "bold red"), (printable(error.message), "red")))
    if error.hint:
        _stderr.print(Text(f"Hint: {printable(error.hint)}", "dim"))


def progress(title: str, total: int | None = None) -> Callable[[Iterable[T]], Iterable[T]]:
    """A wrapper that shows a bar on a terminal while what it wraps, of that length, is gone through."""
    if verbosity.quiet or not sys.stderr.isatty():
        return iter
    from tqdm import tqdm

    return lambda items: tqdm(items, total=total, desc=title, unit="image", leave=False)


def show(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], spare: Sequence[str] = ()) -> None:
    """A table for the user; the first column and those without a header are text, the others are numbers.

    Columns of a name in `spare` are left out on narrow terminals.
    """
    if verbosity.quiet:
        return
    shown = [place for place, name in enumerate(header) if name not in spare or _stderr.width >= _WIDE]
    columns = [(header[place], place > 0 and bool(header[place])) for place in shown]
    _stderr.print(_table(title, columns, [[row[place] for place in shown] for row in rows]), soft_wrap=False)


def print_table(title: str, words: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table that was asked for, on standard output.

    Args:
        title: what is above it.
        words: headers of the first columns, which are text; where all are empty, the table has no header.
        numbers: headers of the others.
        rows: a cell for each of all these.
    """
    columns = [*((name, False) for name in words), *((name, True) for name in numbers)]
    stdout = Console(width=None if sys.stdout.isatty() else _FILE_WIDE, highlight=False)
    stdout.print(_table(title, columns, rows))


def _table(title: str, columns: Iterable[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> Table:
    """A table with columns of these headers; True is said of those of numbers."""
    columns = list(columns)
    headed = any(header for header, _ in columns)
    table = Table(
        title=Text(printable(title)) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_header=headed,
    )
    for header, number in columns:
        table.add_column(header, justify="right" if number else "left", no_wrap=number)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def write_table(path: Path, table: str) -> None:
    """The table as a file; where that fails, as on a full disk, on standard output, so that it is not lost.

    Raises:
        UsageError: it could not be written as a file.
    """
    from lungmask_cli.files import write_text

    try:
        write_text(path, table)
    except OSError as error:
        print(table, end="")
        raise UsageError(
            f"{path}: cannot be written: {error.strerror or error}; the table is on standard output",
            "Check the free space and the permissions.",
        ) from error

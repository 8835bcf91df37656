"""What commands print: data on standard output, everything else on standard error.

rich is imported when something is printed, which help and tables of data do without.
"""

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lungmask_cli.errors import LungmaskError
from lungmask_cli.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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


def set_verbosity(quiet: bool = False, verbose: bool = False, debug: bool = False) -> None:
    """Print less or more; options before the name of a command and after it add up."""
    verbosity.quiet |= quiet
    verbosity.verbose |= verbose
    verbosity.debug |= debug


@functools.cache
def _stderr() -> "Console":
    from rich.console import Console

    # Soft wrapping keeps paths whole, so that they can be copied.
    return Console(stderr=True, soft_wrap=True, highlight=False)


def _print_line(*parts: tuple[str, str]) -> None:
    """One line on standard error, of texts and their styles."""
    from rich.text import Text

    _stderr().print(Text.assemble(*((printable(text), style) for text, style in parts)))


def say(line: str) -> None:
    """One line for the user, unless --quiet is given."""
    if not verbosity.quiet:
        _print_line((line, ""))


def say_details(line: str) -> None:
    """One line for the user, if --verbose is given."""
    if verbosity.verbose:
        _print_line((line, "dim"))


def warn(line: str) -> None:
    """A warning."""
    _print_line(("Warning: ", "yellow"), (line, ""))


def warn_first(lines: Sequence[str], rest: str) -> None:
    """A warning for each of the first ten lines, and one with the number of the others, of which `rest` says where."""
    for line in lines[:_SHOWN]:
        warn(line)
    if len(lines) > _SHOWN:
        warn(f"and {len(lines) - _SHOWN} more; {rest}")


def warn_grouped(warnings: Iterable[tuple[str, Iterable[str]]]) -> None:
    """One line for each distinct warning, with the first file that it holds for and the number of the others.

    Args:
        warnings: each file and its warnings.
    """
    files: dict[str, list[str]] = {}
    for name, sentences in warnings:
        for sentence in sentences:
            files.setdefault(sentence, []).append(name)
    for sentence, names in files.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        warn(f"{names[0]}{others}: {sentence}")


def print_error(error: LungmaskError) -> None:
    """One red line with what was wrong, and one dim line with what to do."""
    _print_line(("Error: ", "bold red"), (error.message, "red"))
    if error.hint:
        _print_line((f"Hint: {error.hint}", "dim"))


def progress(title: str, total: int | None = None) -> Callable[[Iterable[T]], Iterable[T]]:
    """A wrapper of iterables of `total` items that shows a progress bar on a terminal."""
    if verbosity.quiet or not sys.stderr.isatty():
        return iter
    from tqdm import tqdm

    return lambda items: tqdm(items, total=total, desc=title, unit="image", leave=False)


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], spare: Sequence[str] = ()) -> None:
    """A table on standard error; the first column and those without a header are text, the others are numbers.

    Columns named in `spare` are left out on narrow terminals.
    """
    if verbosity.quiet:
        return
    kept = [index for index, name in enumerate(header) if name not in spare or _stderr().width >= _WIDE]
    columns = [(header[index], index > 0 and bool(header[index])) for index in kept]
    _stderr().print(_table(title, columns, [[row[index] for index in kept] for row in rows]), soft_wrap=False)


def print_table(title: str, words: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output.

    Args:
        title: the line above it.
        words: headers of the first columns, which are text; if all are empty, the table has no header.
        numbers: headers of the other columns.
        rows: one cell for each column.
    """
    from rich.console import Console

    columns = [*((name, False) for name in words), *((name, True) for name in numbers)]
    stdout = Console(width=None if sys.stdout.isatty() else _FILE_WIDE, highlight=False)
    stdout.print(_table(title, columns, rows))


def _table(title: str, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> "Table":
    """A table whose columns have these headers; True marks columns of numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heading, headed = Text(printable(title)) if title else None, any(header for header, _ in columns)
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_header=headed)
    for header, number in columns:
        table.add_column(header, justify="right" if number else "left", no_wrap=number)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table

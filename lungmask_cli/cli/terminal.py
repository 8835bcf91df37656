"""What commands print: data on standard output, everything else on standard error.

rich is imported when something is printed, which help and tables of data do without.
"""

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
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

    Columns named in `spare` are left out where the terminal is too narrow, the first ones first.
    """
    if verbosity.quiet:
        return
    if not (rows := list(rows)):
        say(title)
        return
    _print_table(_stderr(), title, header, [index > 0 and bool(name) for index, name in enumerate(header)], rows, spare)


def print_table(
    title: str,
    words: Sequence[str],
    numbers: Sequence[str],
    rows: Iterable[Sequence[str]],
    spare: Sequence[str] = (),
) -> None:
    """A table on standard output.

    Args:
        title: the line above it.
        words: headers of the first columns, which are text; if all are empty, the table has no header.
        numbers: headers of the other columns.
        rows: one cell for each column.
        spare: headers of columns that are left out where the terminal is too narrow, the first ones first.
    """
    from rich.console import Console

    stdout = Console(width=None if sys.stdout.isatty() else _FILE_WIDE, highlight=False)
    is_number = [index >= len(words) for index in range(len(words) + len(numbers))]
    _print_table(stdout, title, (*words, *numbers), is_number, rows, spare)


def _print_table(
    console: "Console",
    title: str,
    header: Sequence[str],
    is_number: Sequence[bool],
    rows: Iterable[Sequence[str]],
    spare: Sequence[str],
) -> None:
    """A table that breaks no word and cuts no number, whatever the width of the terminal.

    First, spare columns are left out; then each row becomes a list of its cells. Longer words run over the edge.
    """
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    columns = [
        _Column(printable(name), number, [row[index] for row in cells])
        for index, (name, number) in enumerate(zip(header, is_number, strict=True))
    ]
    kept = _remove_spare(columns, spare, console.width)
    if len(kept) > _RECORD and _least_width(kept) > console.width:
        columns = kept = _to_records(columns)
    with console.capture() as capture:
        console.print(_make_table(title, kept, console.width), soft_wrap=False, crop=False)
    console.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
    if removed := [column.header for column in columns if column not in kept]:
        console.print(Text(f"left out on this narrow terminal: {', '.join(removed)}\n", "dim"), soft_wrap=True)


_RECORD = 2  # columns of a table that has a row for each cell of another one: its header and the cell
_GAP = 2  # characters between columns, and around the table


@dataclass
class _Column:
    """A column of a table: cells of text may be wrapped between words, numbers are not."""

    header: str
    is_number: bool
    cells: list[str]

    @property
    def least(self) -> int:
        """The width of its longest word, or of its longest number."""
        words = [word for cell in self.cells for word in ([cell] if self.is_number else cell.split(" "))]
        return max(map(len, (*words, *self.header.split(" "))), default=0)

    @property
    def most(self) -> int:
        """The width without wrapping."""
        return max(map(len, (*self.cells, self.header)))


def _least_width(columns: Sequence[_Column]) -> int:
    return _full_width(column.least for column in columns)


def _full_width(widths: Iterable[int]) -> int:
    """The width of a table whose columns have these widths."""
    return 1 + sum(width + _GAP for width in widths)


def _remove_spare(columns: Sequence[_Column], spare: Sequence[str], width: int) -> list[_Column]:
    """The columns without as many spare ones as do not fit."""
    kept = list(columns)
    for name in spare:
        if _least_width(kept) > width:
            kept = [column for column in kept if column.header != name]
    return kept


def _to_records(columns: Sequence[_Column]) -> list[_Column]:
    """Two columns, of the headers and of the cells of each row, with an empty line between rows."""
    rows = zip(*(column.cells for column in columns), strict=True)
    headers = [column.header for column in columns]
    cells = [pair for row in rows for pair in (*zip(headers, row, strict=True), ("", ""))][:-1]
    return [_Column("", False, [cell[index] for cell in cells]) for index in range(_RECORD)]


def _share_width(columns: Sequence[_Column], width: int) -> list[int]:
    """The width of each column: the least, and as much of the rest as it needs, the narrowest columns first.

    Where a word is longer than the terminal is wide, only its own line is.
    """
    widths, rest = [column.least for column in columns], width - _least_width(columns)
    widths[-1] = max(1, widths[-1] + min(rest, 0))
    for index in sorted(range(len(columns)), key=lambda index: columns[index].most):
        more = min(max(rest, 0), columns[index].most - widths[index])
        widths[index], rest = widths[index] + more, rest - more
    return widths


def _make_table(title: str, columns: Sequence[_Column], width: int) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    texts = [
        [_wrap(text, own) for text in (column.header, *column.cells)]
        for column, own in zip(columns, _share_width(columns, width), strict=True)
    ]
    widths = [max(len(line) for text in column for line in text.split("\n")) for column in texts]
    table = Table(
        title=Text(printable(title)) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_header=any(column.header for column in columns),
        width=_full_width(widths),
    )
    for column, (header, *_), own in zip(columns, texts, widths, strict=True):
        table.add_column(Text(header), justify="right" if column.is_number else "left", width=own, no_wrap=True)
    for row in zip(*(column[1:] for column in texts), strict=True):
        table.add_row(*map(Text, row))
    return table


def _wrap(text: str, width: int) -> str:
    """The text with line breaks between words; a no-break space, which becomes a space, does not end a word."""
    return "\n".join(wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)).replace("\xa0", " ")

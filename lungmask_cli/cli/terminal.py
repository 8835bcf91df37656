"""How commands talk: data to standard output, everything else to standard error."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lungmask_cli.errors import LungmaskError, UsageError

T = TypeVar("T")

# Standard error is where people read; soft wrapping keeps paths whole for copying.
_stderr = Console(stderr=True, soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """One line for the user."""
    _stderr.print(Text(line))


def warn(line: str) -> None:
    """One line about something that was not as it should be."""
    _stderr.print(Text.assemble(("Warning: ", "yellow"), line))


def complain(error: LungmaskError) -> None:
    """One red line for what was wrong and one dim line for what to do."""
    _stderr.print(Text.assemble(("Error: ", "bold red"), (error.message, "red")))
    if error.hint:
        _stderr.print(Text(f"Hint: {error.hint}", "dim"))


def progress(title: str) -> Callable[[Iterable[T]], Iterable[T]]:
    """A wrapper that shows a bar on a terminal while what it wraps is gone through."""
    if not sys.stderr.isatty():
        return iter
    from tqdm import tqdm

    return lambda items: tqdm(items, desc=title, unit="image", leave=False)


def refuse_file(path: Path) -> None:
    """Refuse an output folder that is a file.

    Raises:
        UsageError: it is one.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file, not a folder", "Give the name of a folder with -o.")


def show(table: Table) -> None:
    """A table for the user."""
    _stderr.print(table)

"""Files that appear whole or not at all; text, CSV and checksums."""

import csv
import errno
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lungmask_cli.errors import UsageError
from lungmask_cli.text import printable

_SEPARATOR = "; "
PARTIAL = ".partial-"  # how files begin that are being written
# What spreadsheets take for the beginning of a formula.
_FORMULA = re.compile(r"[=+\-@]")
_NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?", re.IGNORECASE)


def check_writable(folder: Path) -> None:
    """Make the folder if needed, and see whether files can be written there.

    Raises:
        UsageError: they cannot, or `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, not a folder", "Give the name of a folder with -o.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written to: {error.strerror}", "Choose another -o folder, or check its permissions."
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, with its suffixes, that replaces `path` when the block succeeds.

    The folder is made if needed. When the block fails, nothing is left behind and an older file stays as it was.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:])
    suffix = suffix if len(suffix) < 32 else path.suffix[:32]
    handle, name = tempfile.mkstemp(prefix=PARTIAL, suffix=suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())  # mkstemp's files are readable by their owner alone
        partial.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names none
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Text as UTF-8. A file that holds just this text already is left as it is."""
    try:
        if path.read_bytes() == text.encode("utf-8"):
            return
    except OSError:
        pass
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, document: object) -> None:
    """The document as indented JSON in UTF-8."""
    write_text(path, json.dumps(document, indent=2) + "\n")


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV with a header, one line each; None becomes an empty cell.

    Tuples of texts are joined by `; `, as `split_cell` reads them. Text is made `printable`, and gets a leading
    apostrophe where a spreadsheet would run it as a formula.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(_cell, row) for row in rows)
    return text.getvalue()


def csv_rows(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows of `csv_text` by column, without the apostrophes."""
    for row in csv.DictReader(lines):
        cells = ((name, value) for name, value in row.items() if name is not None)  # what is beyond the header
        yield {name: value[1:] if value and _is_guarded(value) else value for name, value in cells}


def split_cell(cell: str) -> tuple[str, ...]:
    """The texts that `csv_text` has joined in one cell."""
    return tuple(filter(None, cell.split(_SEPARATOR)))


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        value = _SEPARATOR.join(value)
    if not isinstance(value, str):
        return value
    text = printable(value)
    # A text that looks guarded already gets one more apostrophe, so that reading takes off what writing put on.
    guarded = (_FORMULA.match(text) and not _NUMBER.fullmatch(text)) or _is_guarded(text)
    return f"'{text}" if guarded else text


def _is_guarded(text: str) -> bool:
    return re.match("'+[=+\\-@]", text) is not None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def hash_file_name(path: Path) -> str:
    """What a file is called where its own name must not be written: the first 16 digits of its SHA-256.

    The sum is that of the content, because one of the name could be found by trying names.
    """
    return file_sha256(path)[:16]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file as hexadecimal text."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

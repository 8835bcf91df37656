"""Atomic writing of files and folders; text, JSON, CSV and checksums."""

import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lungmask_cli.errors import UsageError
from lungmask_cli.text import printable

_SEPARATOR = "; "
PARTIAL = ".partial-"  # the prefix of unfinished files
# Spreadsheets take a cell for a formula if it begins so.
_FORMULA = re.compile(r"[=+\-@]")
_NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?", re.IGNORECASE)


def check_writable(folder: Path) -> None:
    """Create the folder if it is missing, and check that files can be written to it.

    Raises:
        UsageError: no file can be written to it, or `folder` is a file.
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
    """A temporary path with the suffixes of `path`; the file written to it replaces `path` when the block succeeds.

    The folder of `path` is created if it is missing. If the block fails, the temporary file is removed and an existing
    file stays unchanged.
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
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)  # mkstemp lets only the owner read the file
        partial.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # the error of a full disk names no file
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_write_folder(path: Path) -> Iterator[Path]:
    """As `atomic_write`, for a folder: the block creates the folder at the temporary path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=path.parent) as temporary:
        partial = Path(temporary) / "new"
        yield partial
        if path.exists():
            path.rename(Path(temporary) / "old")
        partial.rename(path)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, unless the file holds the same text already."""
    with suppress(OSError):
        if path.read_bytes() == text.encode("utf-8"):
            return
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, document: object) -> None:
    """Write the document as `json_text` in UTF-8."""
    write_text(path, json_text(document))


def json_text(document: object) -> str:
    """The document as indented JSON, which has no such numbers: NaN becomes null, infinity the text `inf`."""
    return json.dumps(_to_json(document), indent=2, allow_nan=False, default=str) + "\n"


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """The rows as CSV with a header, one line per row; None and NaN become empty cells.

    Tuples of texts are joined by `; `, and `split_cell` splits them again. Texts are made `printable`, and those that a
    spreadsheet would run as a formula get a leading apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(_cell, row) for row in rows)
    return text.getvalue()


def csv_rows(
    lines: Iterable[str], columns: Sequence[str] | None = None, delimiter: str = ","
) -> Iterator[dict[str, str]]:
    """The rows of `csv_text` by column, without the apostrophes; the first line is the header, unless it is given."""
    for row in csv.DictReader(lines, columns, delimiter=delimiter):
        cells = ((name, value) for name, value in row.items() if name is not None)  # None: cells beyond the header
        yield {name: value[1:] if value and _is_guarded(value) else value for name, value in cells}


def split_cell(cell: str) -> tuple[str, ...]:
    """The texts that `csv_text` joined in this cell."""
    return tuple(filter(None, cell.split(_SEPARATOR)))


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        value = _SEPARATOR.join(value)
    if not isinstance(value, str):
        return None if isinstance(value, float) and math.isnan(value) else value
    text = printable(value)
    # A text that already looks guarded gets another apostrophe, because `csv_rows` removes one.
    needs_guard = (_FORMULA.match(text) and not _NUMBER.fullmatch(text)) or _is_guarded(text)
    return f"'{text}" if needs_guard else text


def _is_guarded(text: str) -> bool:
    return re.match("'+[=+\\-@]", text) is not None


def hash_file_name(path: Path) -> str:
    """A pseudonym of the file, where its name must not be written: the first 16 digits of its SHA-256.

    The checksum is that of the content, because a checksum of the name could be reversed by trying names.
    """
    return file_sha256(path)[:16]


def file_sha256(path: Path) -> str:
    """The SHA-256 of the file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

"""Lists and tables that users write: text of any common encoding, CSV with any common delimiter, and rows by file."""

import codecs
import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_rows
from lungmask_cli.formats.names import describes_contents, remove_suffix

Row = TypeVar("Row")

# Columns that name files, the best first, in small letters and without spaces, hyphens and underscores.
FILE_COLUMNS = (
    "file", "filename", "path", "filepath", "image", "imagepath", "imagefile", "imagefilename", "imagename",
    "imageindex", "radiograph", "name",
)  # fmt: skip
# Columns that name radiographs, not necessarily by a file.
NAME_COLUMNS = ("id", *FILE_COLUMNS, "imageid", "case", "caseid")
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WINDOWS = "cp1252"  # what Excel writes as "CSV" in western Europe and America
_DELIMITERS = ",;\t|"
_SNIFFED_LINES = 20


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, UTF-16 or UTF-32 if it says so or is ASCII, otherwise Windows-1252.

    Raises:
        UsageError: the file cannot be read, or is not text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}", "Check the path.") from error
    for encoding in _possible_encodings(data):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    kind = "a spreadsheet or an archive" if data.startswith(b"PK") else "a binary file"
    raise UsageError(f"{path}: is {kind}, not text", "Save it as text or CSV, in UTF-8.")


def _possible_encodings(data: bytes) -> tuple[str, ...]:
    marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    if marked:
        return (marked,)
    if b"\0" in data[:2]:  # an ASCII character in two bytes
        return ("utf-16-be",) if data[0] == 0 else ("utf-16-le",)
    return "utf-8", _WINDOWS


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without white space around them.

    Raises:
        UsageError: as `read_text`.
    """
    return [line.strip() for line in re.split(r"\r\n|\r|\n", read_text(path))]


@dataclass(frozen=True)
class Table:
    """A CSV file: the names of its columns, and its rows by column, without white space around cells."""

    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]

    def find_column(self, names: Iterable[str]) -> str | None:
        """The column with the first of these names that there is, in any spelling; None if there is none."""
        spellings = {spell_column(column): column for column in reversed(self.columns)}
        return next((spellings[name] for name in names if name in spellings), None)


def spell_column(column: str) -> str:
    """The name of a column in small letters, without spaces, hyphens, underscores and the sign of a comment."""
    return re.sub("[ _#-]", "", column.lower())


def read_table(path: Path) -> Table:
    """Read a CSV file with a header, whatever its encoding and its delimiter: comma, semicolon, tab or bar.

    Blank rows, and comments above the header, are left out.

    Raises:
        UsageError: the file cannot be read, or is not CSV.
    """
    lines = [line for line in re.split(r"\r\n|\r|\n", read_text(path)) if line.strip()]
    delimiter = None
    if lines and (match := re.fullmatch(r"sep=(.)", lines[0].strip(), re.IGNORECASE)):  # Excel's own
        delimiter, lines = match[1], lines[1:]
    while len(lines) > 1 and lines[0].startswith("#") and not any(char in lines[0] for char in _DELIMITERS):
        lines = lines[1:]
    try:
        delimiter = delimiter or _sniff_delimiter(lines)
        header = [name.strip() for name in next(csv.reader(lines[:1], delimiter=delimiter), [])]
        cells = csv_rows(lines[1:], header, delimiter)
        rows = [{name: (value or "").strip() for name, value in row.items()} for row in cells]
    except csv.Error as error:
        raise UsageError(f"{path}: cannot be read as CSV: {error}", "Save it as CSV in UTF-8.") from error
    return Table(path, tuple(header), [row for row in rows if any(row.values())])


def _sniff_delimiter(lines: list[str]) -> str:
    """The delimiter that gives the header several names, known ones, and most rows as many cells; else the comma."""

    def quality(delimiter: str) -> tuple[bool, bool, int, int]:
        header, *rows = list(csv.reader(lines[:_SNIFFED_LINES], delimiter=delimiter)) or [[]]
        is_known = any(spell_column(name) in NAME_COLUMNS for name in header)
        return len(header) > 1, is_known, sum(len(row) == len(header) for row in rows), len(header)

    return max(_DELIMITERS, key=quality)


def bare_name(name: str) -> str:
    """A file name or path without the suffix of an image and without folders such as `images/`, with `/` separators."""
    *folders, last = name.strip().replace("\\", "/").split("/")
    named = (folder for folder in folders if folder not in ("", ".", "..") and not describes_contents(folder))
    return "/".join([*named, remove_suffix(last)])


@dataclass(frozen=True)
class NamedRows(Generic[Row]):
    """Rows by the `bare_name` of the radiograph that each names."""

    rows: Mapping[str, Row]

    @cached_property
    def _endings(self) -> Mapping[str, list[str]]:
        """The names by each of their endings: `a/b/c` by `a-b-c`, `b-c` and `c`."""
        names = defaultdict(list)
        for name in self.rows:
            for ending in _endings(name):
                names[ending].append(name)
        return names

    def find(self, key: str) -> list[str]:
        """The names that may be those of this radiograph: several if they differ only in folders that it has not."""
        name = bare_name(key)
        if name in self.rows:
            return [name]
        joined, _, stem = name.replace("/", "-"), *name.rpartition("/")[1:]
        if found := self._endings.get(joined):
            return found
        return [other for other in self._endings.get(stem, []) if "/" not in other]


def _endings(name: str) -> Iterator[str]:
    parts = name.split("/")
    yield from ("-".join(parts[start:]) for start in range(len(parts)))

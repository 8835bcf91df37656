"""What a CSV file knows about radiographs: patients, groups, pixel spacing."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_rows
from lungmask_cli.formats.masks import MASK_SUFFIXES
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES
from lungmask_cli.imaging.radiograph import Spacing, make_spacing

_NAMES = ("id", "file", "image", "name", "filename")
_PATIENTS = ("patient", "patient_id", "patientid")
_SPACINGS = (("spacing_row_mm", "spacing_column_mm"), ("spacing_mm", "spacing_mm"))
_SUFFIXES = IMAGE_SUFFIXES | MASK_SUFFIXES


@dataclass(frozen=True)
class Manifest:
    """The rows of a CSV file by the name of the radiograph, and its columns.

    `side` is that of the squares, in pixels, that the spacings of a prepared set are about; None for other files.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]
    side: int | None = None

    def row(self, key: str) -> Mapping[str, str] | None:
        """The row of a pair, by its key or by the last part of that; None where there is none."""
        return self.rows.get(key) or self.rows.get(key.rsplit("/", 1)[-1])

    def spacing(self, key: str) -> Spacing | None:
        """The pixel spacing; None where the file does not give it, or gives 0."""
        row = self.row(key) or {}
        known = (make_spacing(row.get(rows), row.get(columns), "manifest") for rows, columns in _SPACINGS)
        return next(filter(None, known), None)

    def patient_column(self, asked: str | None) -> str | None:
        """The column that names the patient: the one asked for, else `patient` or `patient_id`, if there is one.

        Raises:
            UsageError: the column that was asked for is not there.
        """
        if asked is not None:
            return self.column(asked)
        return next((name for name in self.columns if name.lower() in _PATIENTS), None)

    def column(self, asked: str) -> str:
        """The column of that name.

        Raises:
            UsageError: there is none.
        """
        if asked not in self.columns:
            raise UsageError(f"{self.path}: has no column {asked}", f"It has {', '.join(self.columns)}.")
        return asked


def read_manifest(path: Path) -> Manifest:
    """A CSV file with a header, one row per radiograph.

    Radiographs are named in the column `id`, `file`, `image` or `name`, else in the first one, by a path or a name,
    with or without suffix.

    Raises:
        UsageError: the file cannot be read, is empty, or names a radiograph twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        columns = tuple(next(csv.reader(lines[:1]), ()))
        table = list(csv_rows(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as CSV: {error}", "Save it as CSV in UTF-8.") from error
    if not table:
        raise UsageError(f"{path}: holds no rows", "Give a CSV file with a header and a row for each radiograph.")
    named = next((name for wanted in _NAMES for name in columns if name.lower() == wanted), columns[0])
    rows: dict[str, dict[str, str]] = {}
    for row in table:
        key = _name(row[named] or "")
        if key in rows:
            raise UsageError(f"{path}: names {key} twice in its column {named}", "Keep one row for each radiograph.")
        rows[key] = {column: row[column] or "" for column in columns}
    return Manifest(path, columns, rows, _prepared_side(path))


def _prepared_side(path: Path) -> int | None:
    """The side of the squares of the prepared set that the file is the manifest of, in pixels."""
    try:
        return int(json.loads((path.parent / "dataset.json").read_text(encoding="utf-8"))["size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _name(text: str) -> str:
    """The last part of a path, without a suffix that is one of an image."""
    name = text.strip().replace("\\", "/").rsplit("/", 1)[-1]
    suffix = next((suffix for suffix in sorted(_SUFFIXES, key=len, reverse=True) if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] if len(name) > len(suffix) else name

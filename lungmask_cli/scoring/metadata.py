"""Reads patients, groups and pixel spacings of radiographs from a CSV file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lungmask_cli.errors import UsageError
from lungmask_cli.formats.tables import NAME_COLUMNS, NamedRows, bare_name, read_table
from lungmask_cli.imaging.radiograph import Spacing, make_spacing

_PATIENT_COLUMNS = ("patient", "patient_id", "patientid")
_SPACING_COLUMNS = (("spacing_row_mm", "spacing_column_mm"), ("spacing_mm", "spacing_mm"))
_NOT_LISTED, _NO_VALUE = "(not in the manifest)", "(empty)"


@dataclass(frozen=True)
class Metadata:
    """The rows of a CSV file by the `bare_name` of the radiograph, and its columns.

    `side` is the side in pixels of the square images of a prepared data set, for which its spacings are valid; None for
    other files.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]
    side: int | None = None

    @cached_property
    def _named(self) -> NamedRows[Mapping[str, str]]:
        return NamedRows(self.rows)

    def row(self, key: str) -> Mapping[str, str] | None:
        """The row of a pair; None if there is none, or if it could be one of several."""
        names = self._named.find(key)
        return self.rows[names[0]] if len(names) == 1 else None

    def spacing(self, key: str) -> Spacing | None:
        """The pixel spacing; None if the file does not contain it, or contains 0."""
        row = self.row(key) or {}
        known = (make_spacing(row.get(rows), row.get(columns), "manifest") for rows, columns in _SPACING_COLUMNS)
        return next(filter(None, known), None)

    def column(self, name: str) -> str:
        """The name of a column that exists.

        Raises:
            UsageError: there is no such column.
        """
        if name not in self.columns:
            raise UsageError(f"{self.path}: has no column {name}", f"It has {', '.join(self.columns)}.")
        return name


@dataclass(frozen=True)
class Grouping:
    """The patient and the group of each key, with the names of their columns."""

    patients: Mapping[str, str]
    patient_column: str | None
    groups: Mapping[str, str]
    group_column: str | None

    @property
    def columns(self) -> dict[str, Mapping[str, str]]:
        """The values by key of each column."""
        named = ((self.patient_column, self.patients), (self.group_column, self.groups))
        return {name: values for name, values in named if name is not None}


UNGROUPED = Grouping({}, None, {}, None)


def group(keys: Iterable[str], metadata: Metadata | None, by: str | None, patient: str | None) -> Grouping:
    """The patient and the group of each key.

    Args:
        keys: identifiers of the pairs.
        metadata: None for no patients and no groups.
        by: the column that defines groups.
        patient: the column that names patients; None for `patient` or `patient_id`, if there is one.

    Raises:
        UsageError: a column does not exist.
    """
    if metadata is None:
        return UNGROUPED
    default = next((column for column in metadata.columns if column.lower() in _PATIENT_COLUMNS), None)
    patient_column = default if patient is None else metadata.column(patient)
    group_column = metadata.column(by) if by else None
    rows = {key: metadata.row(key) for key in keys}
    patients = {key: row[patient_column] for key, row in rows.items() if patient_column and row and row[patient_column]}
    groups = {
        key: (row[group_column] or _NO_VALUE) if row else _NOT_LISTED for key, row in rows.items() if group_column
    }
    return Grouping(patients, patient_column, groups, group_column)


def read_metadata(path: Path) -> Metadata:
    """Reads a CSV file with a header and one row per radiograph.

    Radiographs are named in the column `id`, `file`, `image` or the like, otherwise in the first column, by a path or a
    name, with or without suffix.

    Raises:
        UsageError: the file cannot be read, is empty, or names a radiograph twice.
    """
    table = read_table(path)
    if not table.rows:
        raise UsageError(f"{path}: contains no rows", "Give a CSV file with a header and one row per radiograph.")
    names = table.find_column(NAME_COLUMNS) or table.columns[0]
    rows: dict[str, dict[str, str]] = {}
    for row in table.rows:
        name = bare_name(row[names])
        if name in rows:
            raise UsageError(f"{path}: names {name} twice in its column {names}", "Keep one row per radiograph.")
        rows[name] = row
    return Metadata(path, table.columns, rows, _prepared_side(path))


def _prepared_side(path: Path) -> int | None:
    """The side in pixels of the images of the prepared data set whose manifest this is."""
    try:
        return int(json.loads((path.parent / "dataset.json").read_text(encoding="utf-8"))["size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

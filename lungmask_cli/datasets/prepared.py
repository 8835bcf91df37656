"""The prepared data set: square PNG radiographs and masks with a manifest, the form in which everything is trained.

DST/manifest.csv   one row per pair: id, origin, source, image, mask, split, SHA-256 sums, spacing, size, warnings
DST/dataset.json   size, layout, how the split was made, counts, and what could not be used
DST/images/*.png   16-bit grey, S x S, contrast stretched as in `imaging.intensity`, bones bright, letterboxed
DST/masks/*.png    8-bit, S x S, 0 or 255
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_rows, csv_text, split_cell, write_json, write_text

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Entry:
    """One row of the manifest.

    `spacing_row_mm` and `spacing_column_mm` belong to the prepared pixels, 0 where unknown; `height` and `width` are
    those of the original in pixels. `origin` is the data set that the pair comes from; `warnings` says what was odd
    about it, such as dark bones, which were made bright.
    """

    id: str
    origin: str
    source: str
    image: str
    mask: str
    split: str
    image_sha256: str
    mask_sha256: str
    spacing_row_mm: float
    spacing_column_mm: float
    spacing_source: str
    height: int
    width: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class PreparedSet:
    """A prepared data set on disk; `problems` has a sentence for each file and pair that could not be used."""

    folder: Path
    size: int
    split_method: str
    layout: str
    entries: tuple[Entry, ...]
    problems: tuple[str, ...] = ()

    def of(self, split: str) -> list[Entry]:
        """The entries of one split, in the manifest's order."""
        return [entry for entry in self.entries if entry.split == split]

    def counts(self) -> dict[str, int]:
        """How many entries each split has."""
        return dict(Counter(entry.split for entry in self.entries))

    def split(self) -> dict[str, str]:
        """The split of each id."""
        return {entry.id: entry.split for entry in self.entries}

    def with_split(self, split: dict[str, str]) -> "PreparedSet":
        """The same images, split otherwise; nothing on disk changes."""
        entries = tuple(dataclasses.replace(entry, split=split[entry.id]) for entry in self.entries)
        return dataclasses.replace(self, entries=entries)

    def manifest_sha256(self) -> str:
        """The SHA-256 of ids, splits and file sums: the same for the same data, wherever it lies."""
        rows = sorted(f"{e.id},{e.split},{e.image_sha256},{e.mask_sha256}" for e in self.entries)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def is_prepared(folder: Path) -> bool:
    """Whether `folder` is a prepared data set."""
    return (folder / MANIFEST).is_file()


def write_manifest(prepared: PreparedSet) -> None:
    """Write manifest.csv and, last, dataset.json."""
    columns = [field.name for field in dataclasses.fields(Entry)]
    write_text(prepared.folder / MANIFEST, csv_text(columns, map(dataclasses.astuple, prepared.entries)))
    facts = {
        "size": prepared.size,
        "layout": prepared.layout,
        "split": prepared.split_method,
        "counts": prepared.counts(),
        "origins": dict(sorted(Counter(entry.origin for entry in prepared.entries).items())),
        "problems": prepared.problems,
    }
    write_json(prepared.folder / "dataset.json", facts)


def read_prepared(folder: Path) -> PreparedSet:
    """A prepared data set from its manifest.

    Raises:
        UsageError: manifest.csv or dataset.json is missing, broken, or names files that are not there.
    """
    try:
        facts = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        with (folder / MANIFEST).open(newline="", encoding="utf-8") as file:
            entries = tuple(_entries(csv_rows(file)))
        problems = tuple(str(line) for line in facts["problems"])
        prepared = PreparedSet(folder, int(facts["size"]), str(facts["split"]), str(facts["layout"]), entries, problems)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{folder}: is not a complete prepared data set ({error})", "Run lungmask preprocess again."
        ) from error
    for entry in entries:
        for name in (entry.image, entry.mask):
            if not (folder / name).is_file():
                raise UsageError(
                    f"{folder / name}: is in the manifest, but not there", "Run lungmask preprocess again."
                )
    return prepared


def _entries(rows: Iterable[dict[str, str]]) -> Iterator[Entry]:
    types = get_type_hints(Entry)
    for row in rows:
        values: dict[str, Any] = {name: types[name](row[name]) for name in types if name != "warnings"}
        yield Entry(**values, warnings=split_cell(row["warnings"]))

"""The prepared data set: square PNG radiographs and masks with a manifest. All training reads this format.

DST/manifest.csv   one row per pair: id, origin, source, image, mask, split, SHA-256, spacing, size, warnings
DST/dataset.json   size, layout, how the split was made, counts, and the files that could not be used
DST/images/*.png   16-bit grey, S x S, normalised as in `imaging.normalization`, bones bright, letterboxed
DST/masks/*.png    8-bit, S x S, 0 or 255; hearts/ has those of the heart, where it is drawn
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import csv_rows, csv_text, split_cell, write_json, write_text
from lungmask_cli.imaging.radiograph import FloatImage

MANIFEST = "manifest.csv"
_IMAGE_MODES, _MASK_MODES = ("I;16", "I"), ("L",)  # Pillow's names of 16-bit and of 8-bit grey
_ADDED_COLUMNS = ("heart", "heart_sha256")  # which sets of earlier versions do not have
_PREPARE_AGAIN = "Run lungmask preprocess again."


@dataclass(frozen=True)
class Entry:
    """One row of the manifest.

    `spacing_row_mm` and `spacing_column_mm` are those of the prepared pixels, 0 if unknown. `height` and `width` are
    those of the original in pixels. `origin` is the data set that the pair comes from. `warnings` are the warnings
    about the pair, such as bones that were dark and were inverted. `heart` is empty where no heart is drawn, and `mask`
    for a radiograph without masks.
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
    heart: str = ""
    heart_sha256: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Image and masks, below the folder of the set."""
        return tuple(filter(None, (self.image, self.mask, self.heart)))

    @property
    def checksums(self) -> tuple[str, ...]:
        """Their SHA-256."""
        return tuple(filter(None, (self.image_sha256, self.mask_sha256, self.heart_sha256)))


@dataclass(frozen=True)
class PreparedSet:
    """A prepared data set on disk; `problems` has one sentence for each file and pair that could not be used."""

    folder: Path
    size: int
    split_method: str
    layout: str
    entries: tuple[Entry, ...]
    problems: tuple[str, ...] = ()

    def entries_in(self, split: str) -> list[Entry]:
        """The entries of one split, in the order of the manifest."""
        return [entry for entry in self.entries if entry.split == split]

    def counts(self) -> dict[str, int]:
        """The number of entries in each split."""
        return dict(Counter(entry.split for entry in self.entries))

    def split(self) -> dict[str, str]:
        """The split of each id."""
        return {entry.id: entry.split for entry in self.entries}

    def with_split(self, split: dict[str, str], method: str | None = None) -> "PreparedSet":
        """The same images with another split, and its description if there is one; nothing on disk changes."""
        entries = tuple(dataclasses.replace(entry, split=split[entry.id]) for entry in self.entries)
        return dataclasses.replace(self, entries=entries, split_method=method or self.split_method)

    def manifest_sha256(self) -> str:
        """The SHA-256 of ids, splits and file checksums: equal for equal data, whatever the folder."""
        rows = sorted(",".join((e.id, e.split, *e.checksums)) for e in self.entries)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def read_pair(self, entry: Entry) -> tuple[FloatImage, FloatImage]:
        """Image and mask of one entry, both (size, size) float32; the image in [0, 1], the mask 0 or 1.

        Raises:
            ImageError: a file is missing or damaged.
        """
        return self.read_image(entry), self._read_mask(entry.mask)

    def read_image(self, entry: Entry) -> FloatImage:
        """The image of an entry, (size, size) float32 in [0, 1].

        Raises:
            ImageError: the file is missing or damaged.
        """
        return _read_png(self.folder / entry.image, _IMAGE_MODES).astype(np.float32) / np.float32(65535)

    def read_heart(self, entry: Entry) -> FloatImage:
        """The heart of an entry in which it is drawn, (size, size) float32, 0 or 1.

        Raises:
            ImageError: the file is missing or damaged.
        """
        return self._read_mask(entry.heart)

    def _read_mask(self, name: str) -> FloatImage:
        return (_read_png(self.folder / name, _MASK_MODES) > 127).astype(np.float32)


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
        "hearts": sum(bool(entry.heart) for entry in prepared.entries),
        "origins": dict(sorted(Counter(entry.origin for entry in prepared.entries).items())),
        "problems": prepared.problems,
    }
    write_json(prepared.folder / "dataset.json", facts)


def read_prepared(folder: Path) -> PreparedSet:
    """Read a prepared data set from its manifest.

    Raises:
        UsageError: manifest.csv or dataset.json is missing or damaged, or a file in the manifest is missing.
    """
    try:
        facts = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        with (folder / MANIFEST).open(newline="", encoding="utf-8") as file:
            entries = tuple(_parse_entries(csv_rows(file)))
        problems = tuple(str(line) for line in facts["problems"])
        prepared = PreparedSet(folder, int(facts["size"]), str(facts["split"]), str(facts["layout"]), entries, problems)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{folder}: is not a complete prepared data set ({error})", _PREPARE_AGAIN) from error
    for path in (folder / name for entry in entries for name in entry.files):
        if not path.is_file():
            raise UsageError(f"{path}: is in the manifest, but does not exist", _PREPARE_AGAIN)
    return prepared


def _parse_entries(rows: Iterable[dict[str, str]]) -> Iterator[Entry]:
    types = get_type_hints(Entry)
    for row in rows:
        known = (name for name in types if name != "warnings" and (name in row or name not in _ADDED_COLUMNS))
        values: dict[str, Any] = {name: types[name](row[name]) for name in known}
        yield Entry(**values, warnings=split_cell(row["warnings"]))


def _read_png(path: Path, modes: tuple[str, ...]) -> NDArray[Any]:
    """The pixels (H, W) of a PNG file that `lungmask preprocess` has written."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.mode in modes:
                return np.asarray(picture)
    except Exception as error:  # damaged bytes make decoders raise anything
        raise ImageError(f"{path}: cannot be read, or is damaged: {error}", _PREPARE_AGAIN) from error
    raise ImageError(f"{path}: has pixels of mode {picture.mode}, not {modes[0]}", _PREPARE_AGAIN)

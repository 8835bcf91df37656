"""The prepared data set: square PNG radiographs and masks with a manifest, the form in which everything is trained.

DST/manifest.csv   one row per pair: id, source, image, mask, split, SHA-256 of both, spacing, original size
DST/dataset.json   size, layout, how the split was made
DST/images/*.png   16-bit grey, S x S, contrast stretched as in `imaging.intensity`, bones bright, letterboxed
DST/masks/*.png    8-bit, S x S, 0 or 255
"""

import csv
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from lungmask_cli.datasets.layouts import Pair, Pairing
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.imaging.geometry import Letterbox
from lungmask_cli.imaging.intensity import normalize
from lungmask_cli.imaging.radiograph import Mask, Radiograph
from lungmask_cli.imaging.raster import read_mask_union, size_text
from lungmask_cli.imaging.read import read_radiograph
from lungmask_cli.imaging.write import csv_text, write_grey16, write_mask, write_text

MANIFEST = "manifest.csv"
_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Entry:
    """One row of the manifest.

    `spacing_row_mm` and `spacing_column_mm` belong to the prepared pixels, 0 where unknown; `height` and `width` are
    those of the original in pixels. The SHA-256 sums are those of the prepared files.
    """

    id: str
    source: str
    image: str
    mask: str
    split: str
    image_sha256: str
    mask_sha256: str
    source_sha256: str
    spacing_row_mm: float
    spacing_column_mm: float
    spacing_source: str
    height: int
    width: int


@dataclass(frozen=True)
class PreparedSet:
    """A prepared data set on disk."""

    folder: Path
    size: int
    split_method: str
    layout: str
    entries: tuple[Entry, ...]
    failed: tuple[str, ...] = field(default=())

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


def prepare(
    pairing: Pairing,
    destination: Path,
    size: int,
    split: dict[str, str],
    split_method: str,
    progress: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> PreparedSet:
    """Write a prepared data set; a pair that cannot be read is left out and listed in `failed`.

    Args:
        pairing: what to prepare.
        destination: the folder to write; files of the same names are replaced.
        size: the side of the written squares in pixels.
        split: the split of each id.
        split_method: how the split was made, for the record.
        progress: wraps the pairs, to be told how far it is.

    Raises:
        UsageError: not one pair could be prepared, or the destination is the data set itself.
    """
    _refuse_to_overwrite_source(pairing, destination)
    entries: list[Entry] = []
    failed: list[str] = []
    for pair in progress(pairing.pairs):
        try:
            entries.append(_prepare_pair(pair, destination, size, split[pair.id]))
        except ImageError as error:
            failed.append(error.message)
    if not entries:
        raise UsageError("not one pair could be prepared", f"For example: {failed[0]}")
    prepared = PreparedSet(destination, size, split_method, pairing.layout, tuple(entries), tuple(failed))
    _write_manifest(prepared)
    return prepared


def _refuse_to_overwrite_source(pairing: Pairing, destination: Path) -> None:
    written = {(destination / name).resolve() for name in ("images", "masks")}
    for pair in pairing.pairs:
        for path in (pair.image, *pair.masks):
            if path.parent.resolve() in written:
                raise UsageError(
                    f"{destination}: is the data set itself; its files would be overwritten", "Give another folder."
                )


def _prepare_pair(pair: Pair, destination: Path, size: int, split: str) -> Entry:
    radiograph = read_radiograph(pair.image)
    height, width = radiograph.shape
    box = Letterbox(height, width, size)
    mask = _read_truth(pair, radiograph)
    image_path, mask_path = destination / "images" / f"{pair.id}.png", destination / "masks" / f"{pair.id}.png"
    write_grey16(image_path, box.apply(normalize(radiograph)))
    write_mask(mask_path, Letterbox(mask.shape[0], mask.shape[1], size).apply(mask.astype(np.float32)) >= 0.5)
    spacing = box.spacing_mm(radiograph.spacing_mm) or (0.0, 0.0)
    return Entry(
        id=pair.id,
        source=str(pair.image),
        image=str(image_path.relative_to(destination)),
        mask=str(mask_path.relative_to(destination)),
        split=split,
        image_sha256=file_sha256(image_path),
        mask_sha256=file_sha256(mask_path),
        source_sha256=file_sha256(pair.image),
        spacing_row_mm=round(spacing[0], 6),
        spacing_column_mm=round(spacing[1], 6),
        spacing_source=radiograph.spacing_source,
        height=height,
        width=width,
    )


def _read_truth(pair: Pair, radiograph: Radiograph) -> Mask:
    mask = read_mask_union(pair.masks)
    (rows, columns), (height, width) = mask.shape, radiograph.shape
    if abs((rows / columns) / (height / width) - 1) > _ASPECT_TOLERANCE:
        raise ImageError(
            f"{pair.masks[0]}: {size_text(mask)} pixels have not the shape of "
            f"{pair.image}, {size_text(radiograph.pixels)}",
            "Are these two of the same patient?",
        )
    return mask


def _write_manifest(prepared: PreparedSet) -> None:
    columns = [field.name for field in dataclasses.fields(Entry)]
    write_text(prepared.folder / MANIFEST, csv_text(columns, map(dataclasses.astuple, prepared.entries)))
    facts = {
        "size": prepared.size,
        "layout": prepared.layout,
        "split": prepared.split_method,
        "counts": prepared.counts(),
    }
    write_text(prepared.folder / "dataset.json", json.dumps(facts, indent=2) + "\n")


def read_prepared(folder: Path) -> PreparedSet:
    """A prepared data set from its manifest.

    Raises:
        UsageError: manifest.csv or dataset.json is missing, broken, or names files that are not there.
    """
    try:
        facts = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        with (folder / MANIFEST).open(newline="", encoding="utf-8") as file:
            entries = tuple(_entries(csv.DictReader(file)))
        prepared = PreparedSet(folder, int(facts["size"]), str(facts["split"]), str(facts["layout"]), entries)
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
        values: dict[str, Any] = {name: types[name](row[name]) for name in types}
        yield Entry(**values)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

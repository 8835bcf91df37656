"""Writing files so that they appear whole or not at all."""

import csv
import errno
import io
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.masks import RIGHT_LEFT
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.text import printable

# zlib's search for far repeats makes radiographs and masks no smaller, and takes most of the time of writing them.
GREY_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}
_COLOUR_PNG = {"compress_level": 1}
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
def written_whole(path: Path) -> Iterator[Path]:
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


def write_mask(path: Path, mask: Mask) -> None:
    """An (H, W) bool mask as 8-bit PNG of 0 and 255."""
    _write_png(path, Image.fromarray(mask.astype(np.uint8) * np.uint8(255)), GREY_PNG)


def write_labels(path: Path, right: Mask, left: Mask) -> None:
    """The patient's right and left lung, (H, W) bool and apart, as 8-bit PNG of 0, 1 (right) and 2 (left).

    `read_lung_mask` knows such labels by their numbers. Without a left lung there is no 2, and only its `labels` tell
    the 1 of a right lung from that of a binary mask.
    """
    labels = np.zeros(right.shape, np.uint8)
    for lung, label in zip((right, left), RIGHT_LEFT, strict=True):
        labels[lung] = label
    _write_png(path, Image.fromarray(labels), GREY_PNG)


def write_grey16(path: Path, image: FloatImage) -> None:
    """An (H, W) float32 image in [0, 1] as 16-bit grey PNG."""
    _write_png(path, Image.fromarray(np.round(image * 65535).astype(np.uint16)), GREY_PNG)


def write_picture(path: Path, picture: Image.Image) -> None:
    """A Pillow picture in colour as PNG."""
    _write_png(path, picture, _COLOUR_PNG)


def _write_png(path: Path, picture: Image.Image, compression: dict[str, int]) -> None:
    with written_whole(path) as partial:
        picture.save(partial, format="PNG", **compression)


def write_text(path: Path, text: str) -> None:
    """Text as UTF-8. A file that holds just this text already is left as it is."""
    try:
        if path.read_bytes() == text.encode("utf-8"):
            return
    except OSError:
        pass
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV with a header, one line each; None becomes an empty cell.

    Text is made `printable`, and has an apostrophe before it where a spreadsheet would run it as a formula.
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


def _cell(value: object) -> object:
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

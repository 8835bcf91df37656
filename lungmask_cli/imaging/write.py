"""Writing files so that they appear whole or not at all."""

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from lungmask_cli.imaging.radiograph import FloatImage, Mask


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, with its suffixes, that replaces `path` when the block succeeds.

    The folder is made if needed. When the block fails, nothing is left behind and an older file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix="".join(path.suffixes[-2:]), dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())  # mkstemp's files are readable by their owner alone
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_mask(path: Path, mask: Mask) -> None:
    """An (H, W) bool mask as 8-bit PNG of 0 and 255."""
    write_picture(path, Image.fromarray(mask.astype(np.uint8) * np.uint8(255)))


def write_grey16(path: Path, image: FloatImage) -> None:
    """An (H, W) float32 image in [0, 1] as 16-bit grey PNG."""
    write_picture(path, Image.fromarray(np.round(image * 65535).astype(np.uint16)))


def write_picture(path: Path, picture: Image.Image) -> None:
    """A Pillow picture as PNG."""
    with written_whole(path) as partial:
        picture.save(partial, format="PNG")


def write_text(path: Path, text: str) -> None:
    """Text as UTF-8."""
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV with a header, one line each; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current

"""Write masks, labels, probabilities and colour images as PNG files."""

import struct
from pathlib import Path

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.files import atomic_write
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS, HEART_LABEL, FloatImage, Mask

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NONE, _UP = 0, 2  # filters of rows: the values themselves, and their differences from the row above


def write_mask(path: Path, mask: Mask) -> None:
    """Write an (H, W) bool mask as an 8-bit PNG of 0 and 255."""
    _write_grey(path, mask.view(np.uint8) * np.uint8(255))


def write_labels(path: Path, right: Mask, left: Mask, heart: Mask | None = None) -> None:
    """Write the patient's right and left lung, (H, W) bool, disjoint, as an 8-bit PNG of 0, 1 (right) and 2 (left).

    The heart is 3 where there is no lung: a pixel has one label, and the lungs are the same with and without the heart.

    `read_lung_mask` recognises labels by the value 2. A file of a right lung alone looks like a binary mask of 0 and 1,
    unless the labels are given in `MaskOptions`.
    """
    labels = np.zeros(right.shape, np.uint8)
    if heart is not None:
        labels[heart] = HEART_LABEL
    for lung, label in zip((right, left), DEFAULT_LABELS, strict=True):
        labels[lung] = label
    _write_grey(path, labels)


def write_grey16(path: Path, image: FloatImage) -> None:
    """Write an (H, W) float32 image in [0, 1] as a 16-bit grey PNG."""
    _write_grey(path, np.round(image * 65535).astype(np.uint16), _UP)


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a Pillow image in colour as PNG."""
    with atomic_write(path) as partial:
        picture.save(partial, format="PNG", compress_level=1)


def _write_grey(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], row_filter: int = _NONE) -> None:
    """Write (H, W) as a grey PNG of as many bits, with the same filter on each row.

    Pillow tries all filters on each row, which takes many times as long and makes these files no smaller.
    """
    height, width = pixels.shape
    rows = pixels.astype(pixels.dtype.newbyteorder(">"), copy=False).view(np.uint8)
    if row_filter == _UP:
        rows = np.diff(rows, axis=0, prepend=np.uint8(0))
    rows = np.pad(rows, ((0, 0), (1, 0)), constant_values=row_filter)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, 0, 0, 0, 0)  # grey, not interlaced
    chunks = ((b"IHDR", header), (b"IDAT", isal_zlib.compress(rows, 1)), (b"IEND", b""))
    with atomic_write(path) as partial, partial.open("wb") as file:
        file.write(_SIGNATURE)
        for kind, content in chunks:
            file.writelines((struct.pack(">I", len(content)), kind, content))
            file.write(struct.pack(">I", isal_zlib.crc32(content, isal_zlib.crc32(kind))))

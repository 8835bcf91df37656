"""Masks, labels, probabilities and pictures as PNG files."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from lungmask_cli.files import atomic_write
from lungmask_cli.imaging.radiograph import RIGHT_LEFT, FloatImage, Mask

# zlib's search for far repeats makes radiographs and masks no smaller, and takes most of the time of writing them.
GREY_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}
_COLOUR_PNG = {"compress_level": 1}


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
    with atomic_write(path) as partial:
        picture.save(partial, format="PNG", **compression)

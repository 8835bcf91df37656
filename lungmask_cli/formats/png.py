"""Write masks, labels, probabilities and colour images as PNG files."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from lungmask_cli.files import atomic_write
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS, FloatImage, Mask

# Run-length compression: searching for distant repeats takes most of the time and makes these images no smaller.
GREY_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}


def write_mask(path: Path, mask: Mask) -> None:
    """Write an (H, W) bool mask as an 8-bit PNG of 0 and 255."""
    _write_png(path, Image.fromarray(mask.astype(np.uint8) * np.uint8(255)), GREY_PNG)


def write_labels(path: Path, right: Mask, left: Mask) -> None:
    """Write the patient's right and left lung, (H, W) bool, disjoint, as an 8-bit PNG of 0, 1 (right) and 2 (left).

    `read_lung_mask` recognises labels by the value 2. A file of a right lung alone looks like a binary mask of 0 and 1,
    unless the labels are given in `MaskOptions`.
    """
    labels = np.zeros(right.shape, np.uint8)
    for lung, label in zip((right, left), DEFAULT_LABELS, strict=True):
        labels[lung] = label
    _write_png(path, Image.fromarray(labels), GREY_PNG)


def write_grey16(path: Path, image: FloatImage) -> None:
    """Write an (H, W) float32 image in [0, 1] as a 16-bit grey PNG."""
    _write_png(path, Image.fromarray(np.round(image * 65535).astype(np.uint16)), GREY_PNG)


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a Pillow image in colour as PNG."""
    _write_png(path, picture, {"compress_level": 1})


def _write_png(path: Path, picture: Image.Image, compression: dict[str, int]) -> None:
    with atomic_write(path) as partial:
        picture.save(partial, format="PNG", **compression)

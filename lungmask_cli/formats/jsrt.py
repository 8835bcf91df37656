"""JSRT's `.IMG` files, which have no header."""

from pathlib import Path

import numpy as np

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.checks import check_size
from lungmask_cli.imaging.radiograph import Radiograph, Spacing

SIDE = 2048
SPACING = Spacing(0.175, 0.175, "JSRT")
_MAX_VALUE = 4095
_BYTES = SIDE * SIDE * 2


def has_jsrt_size(path: Path) -> bool:
    """Whether the file has as many bytes as JSRT's."""
    return path.stat().st_size == _BYTES


def read_jsrt(path: Path, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """A JSRT radiograph: 2048 x 2048 uint16 with 12 bits, air bright in the file, 0.175 mm per pixel.

    JSRT files are big-endian. Little-endian copies are recognised by values that exceed 12 bits when read as
    big-endian. Source: Shiraishi et al. 2000 (AJR 174:71) and the database's readme.

    Raises:
        ImageError: the file has the wrong size, or values of more than 12 bits in either byte order.
    """
    if not has_jsrt_size(path):
        raise ImageError(
            f"{path}: a JSRT .IMG file has {_BYTES} bytes (2048 x 2048, 16 bits), this one has {path.stat().st_size}",
            "Download the file again, or convert it to PNG first.",
        )
    check_size(path, SIDE, SIDE, max_pixels)
    stored = np.fromfile(path, dtype=">u2")
    warnings: tuple[str, ...] = ()
    if stored.max() > _MAX_VALUE:
        stored = stored.view("<u2")
        warnings = ("its bytes are in the other order than JSRT's, least significant first",)
    if stored.max() > _MAX_VALUE:
        raise ImageError(
            f"{path}: holds values above {_MAX_VALUE} in either byte order, but JSRT .IMG files have 12 bits",
            "It may be another kind of .IMG file; convert it to PNG first.",
        )
    pixels = np.uint16(_MAX_VALUE) - stored.reshape(SIDE, SIDE).astype(np.uint16)
    return Radiograph(pixels, None, SPACING, warnings)

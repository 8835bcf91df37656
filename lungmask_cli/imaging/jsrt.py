"""JSRT's headless `.IMG` files."""

from pathlib import Path

import numpy as np

from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.radiograph import Radiograph

SIDE = 2048
SPACING_MM = 0.175
_LARGEST = 4095
_BYTES = SIDE * SIDE * 2


def read_jsrt(path: Path) -> Radiograph:
    """A JSRT radiograph: 2048 x 2048 big-endian uint16 of 12 bits, air bright in the file, 0.175 mm per pixel.

    Source: Shiraishi et al. 2000 (AJR 174:71) and the database's own readme.

    Raises:
        ImageError: the file has another size, or holds more than 12 bits.
    """
    size = path.stat().st_size
    if size != _BYTES:
        raise ImageError(
            f"{path}: a JSRT .IMG file has {_BYTES} bytes (2048 x 2048, 16 bits), this one has {size}",
            "Download the file again, or convert it to PNG first.",
        )
    stored = np.fromfile(path, dtype=">u2").reshape(SIDE, SIDE)
    if stored.max() > _LARGEST:
        raise ImageError(
            f"{path}: holds values above {_LARGEST}, but JSRT .IMG files have 12 bits, most significant byte first",
            "Was the byte order changed? JSRT distributes big-endian files.",
        )
    pixels = (_LARGEST - stored.astype(np.float32)).astype(np.float32)
    return Radiograph(pixels, spacing_mm=(SPACING_MM, SPACING_MM), spacing_source="JSRT")

"""PNG, JPEG, TIFF, BMP and GIF through Pillow."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.limits import check_size
from lungmask_cli.imaging.radiograph import Radiograph, invert

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF")
_GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_TO_GREY_DIRECTLY = ("P", "RGB", "RGBA", "LA")
_DEEP_GREY_MODES = frozenset(_GREY_MODES) - {"1", "L"}
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF 6.0


def read_raster(path: Path, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """A radiograph from a picture file; colours become luminance, 16 bits stay 16 bits, EXIF rotation is applied.

    Raises:
        ImageError: the file is empty, truncated, too large, of several pages, or no picture.
    """
    with _opened(path, max_pixels) as picture:
        notes = (
            ("its 16-bit colours are read with 8 bits; export it as 16-bit grey",) if _is_deep_colour(picture) else ()
        )
        ImageOps.exif_transpose(picture, in_place=True)
        return Radiograph(_grey(picture), warnings=notes)


def read_values(path: Path, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """The numbers (H, W) of a picture as they are: whole ones of 8, 16 or 32 bits, or float32.

    Those of a palette of colours are the numbers of the colours, because labels are often written so.

    Raises:
        ImageError: the file is empty, truncated, too large, of several pages, or no picture.
    """
    with _opened(path, max_pixels) as picture:
        ImageOps.exif_transpose(picture, in_place=True)
        return np.asarray(picture) if _is_painted(picture) else _grey(picture)


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """The picture, its size checked; whatever goes wrong in the block, but for the file system, is an `ImageError`."""
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: is empty", "Copy or export the file again.")
    try:
        with warnings.catch_warnings(), _pillow_without_limit():
            warnings.simplefilter("ignore")  # about what then fails, or works
            with Image.open(path, formats=_FORMATS) as picture:
                check_size(path, *picture.size, max_pixels)
                pages = getattr(picture, "n_frames", 1)
                if pages > 1:
                    raise ImageError(f"{path}: has {pages} pages or frames", "Give one picture per file.")
                yield picture
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: is not a picture in a known format", "Is the file what its name says?") from error
    except Exception as error:  # damaged bytes make decoders raise anything; none of it may end a batch
        if isinstance(error, OSError) and error.errno is not None:  # the file system's own, which has its own words
            raise
        raise ImageError(f"{path}: is truncated or damaged: {error}", "Copy or export the file again.") from error


@contextmanager
def _pillow_without_limit() -> Iterator[None]:
    """Pillow's own limit off: it raises before the size can be said, and `check_size` comes before any decoding."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _is_painted(picture: Image.Image) -> bool:
    """Whether the picture has a palette of colours, by which labels are shown: its numbers count then."""
    if picture.mode != "P":
        return False
    palette = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    used = palette[np.flatnonzero(picture.histogram()[: len(palette)])]
    return bool((used != used[:, :1]).any())


def _is_deep_colour(picture: Image.Image) -> bool:
    """Whether Pillow drops the lower byte: it has no mode for colours of 16 bits."""
    return picture.mode not in _GREY_MODES and any("16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


def _grey(picture: Image.Image) -> NDArray[Any]:
    """The grey values (H, W) as whole numbers of 8, 16 or 32 bits, or float32."""
    white_is_zero = picture.mode in _DEEP_GREY_MODES and _photometric(picture) == _WHITE_IS_ZERO
    if picture.mode not in _GREY_MODES:
        picture = (picture if picture.mode in _TO_GREY_DIRECTLY else picture.convert("RGB")).convert("L")
    grey = np.asarray(picture, dtype=np.uint8 if picture.mode == "1" else None)
    # Pillow turns WhiteIsZero around for 8 bits alone.
    return invert(grey) if white_is_zero else grey


def _photometric(picture: Image.Image) -> int | None:
    tags = getattr(picture, "tag_v2", None)
    return None if tags is None else tags.get(_PHOTOMETRIC)

"""Read PNG, JPEG, TIFF, BMP and GIF files with Pillow."""

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
from lungmask_cli.formats.checks import check_size
from lungmask_cli.imaging.radiograph import Radiograph, invert

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF")
_GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_GREY_CONVERTIBLE_MODES = ("P", "RGB", "RGBA", "LA")
_DEEP_GREY_MODES = frozenset(_GREY_MODES) - {"1", "L"}
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF 6.0


def read_raster(path: Path, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """A radiograph from a raster image; colours become luminance, 16 bits stay 16 bits, EXIF rotation is applied.

    Raises:
        ImageError: the file is empty, truncated, too large, has several pages, or is not an image.
    """
    with _open_image(path, max_pixels) as image:
        # Pillow drops the lower byte of 16-bit colours.
        lossy = image.mode not in _GREY_MODES and any("16" in str(tile[3]) for tile in getattr(image, "tile", ()))
        ImageOps.exif_transpose(image, in_place=True)
        note = "its 16-bit colours are read with 8 bits; export it as 16-bit grey"
        return Radiograph(_to_grey(image), warnings=(note,) if lossy else ())


def read_values(path: Path, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """The unscaled values (H, W) of a raster image: integers of 8, 16 or 32 bits, or float32.

    Of an image with a colour palette, the values are the palette indices, because labels are often stored so.

    Raises:
        ImageError: the file is empty, truncated, too large, has several pages, or is not an image.
    """
    with _open_image(path, max_pixels) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(image) if _has_colour_palette(image) else _to_grey(image)


@contextmanager
def _open_image(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """The image, its size checked; all errors in the block, except those of the file system, become `ImageError`."""
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: is empty", "Copy or export the file again.")
    try:
        with warnings.catch_warnings(), _pillow_without_limit():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                check_size(path, *image.size, max_pixels)
                pages = getattr(image, "n_frames", 1)
                if pages > 1:
                    raise ImageError(f"{path}: has {pages} pages or frames", "Give one image per file.")
                yield image
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: is not a picture in a known format", "Check what kind of file it is.") from error
    except Exception as error:  # decoders may raise anything on damaged data, and a batch must not end
        if isinstance(error, OSError) and error.errno is not None:  # from the file system; the caller explains it
            raise
        raise ImageError(f"{path}: is truncated or damaged: {error}", "Copy or export the file again.") from error


@contextmanager
def _pillow_without_limit() -> Iterator[None]:
    """Switch off Pillow's size limit, whose error does not give the size; `check_size` runs before decoding."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _has_colour_palette(image: Image.Image) -> bool:
    """Whether the image has a palette of colours, not of greys: its palette indices are then labels."""
    if image.mode != "P":
        return False
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    used = palette[np.flatnonzero(image.histogram()[: len(palette)])]
    return bool((used != used[:, :1]).any())


def _to_grey(image: Image.Image) -> NDArray[Any]:
    """The grey values (H, W) as integers of 8, 16 or 32 bits, or float32."""
    tags = getattr(image, "tag_v2", None) or {}
    white_is_zero = image.mode in _DEEP_GREY_MODES and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if image.mode not in _GREY_MODES:
        image = (image if image.mode in _GREY_CONVERTIBLE_MODES else image.convert("RGB")).convert("L")
    grey = np.asarray(image, dtype=np.uint8 if image.mode == "1" else None)
    # Pillow inverts WhiteIsZero images of 1 and 8 bits only.
    return invert(grey) if white_is_zero else grey

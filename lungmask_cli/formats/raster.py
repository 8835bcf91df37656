"""Read PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 and PNM files with Pillow."""

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

# By Pillow's names.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "JPEG2000", "PPM")
RASTER_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".webp"}
    | {".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".pgm", ".pbm", ".ppm", ".pnm"}
)
GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_GREY_CONVERTIBLE_MODES = ("P", "RGB", "RGBA", "LA")
_DEEP_GREY_MODES = frozenset(GREY_MODES) - {"1", "L"}
# TIFF 6.0: bit 0 of NewSubfileType marks a reduced copy of another page.
_NEW_SUBFILE_TYPE, _REDUCED, _PHOTOMETRIC, _WHITE_IS_ZERO = 254, 1, 262, 0
_ORIENTATION, _UPRIGHT = 274, 1  # EXIF
_STRIP = 128  # rows


def read_raster(path: Path, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """A radiograph from a raster image; colours become luminance, 16 bits stay 16 bits, EXIF rotation is applied.

    Raises:
        ImageError: the file is empty, truncated, too large, has several pages, or is not an image.
    """
    with open_image(path, max_pixels) as image:
        note = "its 16-bit colours are read with 8 bits; export it as 16-bit grey"
        warnings = (note,) if has_deep_colours(image) else ()
        turned = turn_upright(image)
        return Radiograph(to_grey(image), warnings=warnings, turned=turned)


def is_raster(path: Path) -> bool:
    """Whether the file begins like a picture that `read_raster` can read."""
    try:
        with Image.open(path, formats=_FORMATS):
            return True
    except Exception:  # decoders may raise anything on files of another kind
        return False


def has_deep_colours(image: Image.Image) -> bool:
    """Whether the image has colours of 16 bits, of which Pillow drops the lower byte."""
    return image.mode not in GREY_MODES and any("16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def turn_upright(image: Image.Image) -> bool:
    """Turn the image as its EXIF orientation says; whether that turned or mirrored it."""
    turned: bool = image.getexif().get(_ORIENTATION, _UPRIGHT) in range(2, 9)
    ImageOps.exif_transpose(image, in_place=True)
    return turned


@contextmanager
def open_image(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """The image, its size checked; all errors in the block, except those of the file system, become `ImageError`."""
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: is empty", "Copy or export the file again.")
    try:
        with warnings.catch_warnings(), _pillow_without_limit():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                check_size(path, *image.size, max_pixels)
                if (pages := _count_pages(image)) > 1:
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


def _count_pages(image: Image.Image) -> int:
    """The number of pages or frames without previews, such as the second picture in the JPEG (MPO) of a phone."""
    frames = getattr(image, "n_frames", 1)
    if frames == 1 or image.format == "MPO":
        return 1
    if image.format != "TIFF":
        return int(frames)
    previews = 0
    for frame in range(1, frames):
        image.seek(frame)
        previews += image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED  # type: ignore[attr-defined]
    image.seek(0)
    return int(frames) - previews


@contextmanager
def _pillow_without_limit() -> Iterator[None]:
    """Switch off Pillow's size limit, whose error does not give the size; `check_size` runs before decoding."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def to_grey(image: Image.Image) -> NDArray[Any]:
    """The grey values (H, W) as integers of 8, 16 or 32 bits, or float32."""
    tags = getattr(image, "tag_v2", None) or {}
    white_is_zero = image.mode in _DEEP_GREY_MODES and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if image.mode not in GREY_MODES:
        image = (image if image.mode in _GREY_CONVERTIBLE_MODES else image.convert("RGB")).convert("L")
    grey = _to_array(image)
    # Pillow inverts WhiteIsZero images of 1 and 8 bits only.
    return invert(grey) if white_is_zero else grey


def _to_array(image: Image.Image) -> NDArray[Any]:
    """The pixels (H, W), in strips that fit into the cache of a processor: twice as fast as `np.asarray(image)`."""
    width, height = image.size
    strips = ((0, top, width, min(top + _STRIP, height)) for top in range(0, height, _STRIP))
    first = np.asarray(image.crop(next(strips)))
    pixels = np.empty((height, width), np.uint8 if image.mode == "1" else first.dtype)
    pixels[:_STRIP] = first
    for strip in strips:
        pixels[strip[1] : strip[3]] = np.asarray(image.crop(strip))
    return pixels

"""PNG, JPEG, TIFF, BMP and GIF through Pillow."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.radiograph import FloatImage, Mask, Radiograph

_GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def read_raster(path: Path) -> Radiograph:
    """A radiograph from a picture file; colours become luminance, 16 bits stay 16 bits, EXIF rotation is applied.

    Raises:
        ImageError: the file is empty, truncated, of several pages, or no picture.
    """
    return Radiograph(_grey(path))


def read_mask(path: Path) -> Mask:
    """A mask from a picture file: (H, W), True where the value is at least half of the largest in the file.

    That reads masks of 0/255, 0/1 and 0/65535 alike; a mask of a single value 0 is empty.

    Raises:
        ImageError: the file is empty, truncated, of several pages, or no picture.
    """
    grey = _grey(path)
    largest = float(grey.max())
    mask: Mask = grey >= max(largest / 2, 0.5)
    return mask


def read_mask_union(paths: Sequence[Path]) -> Mask:
    """The union of mask files of one size, such as left and right lung.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
    """
    try:
        masks = [read_mask(path) for path in paths]
    except OSError as error:
        raise ImageError(f"{error.filename}: cannot be read: {error.strerror or error}") from error
    for path, mask in zip(paths, masks, strict=True):
        if mask.shape != masks[0].shape:
            raise ImageError(
                f"{paths[0]} and {path} differ in size: {size_text(masks[0])} and {size_text(mask)} pixels"
            )
    union: Mask = np.logical_or.reduce(masks)
    return union


def size_text(image: NDArray[Any]) -> str:
    """Width x height of an (H, W) array, as people write it."""
    return f"{image.shape[1]} x {image.shape[0]}"


def _grey(path: Path) -> FloatImage:
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: is empty", "Copy or export the file again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                pages = getattr(picture, "n_frames", 1)
                if pages > 1:
                    raise ImageError(f"{path}: has {pages} pages or frames", "Give one picture per file.")
                picture.load()
                upright = ImageOps.exif_transpose(picture)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: is not a picture in a known format", "Is the file what its name says?") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path}: has too many pixels to be a radiograph", "Make it smaller first.") from error
    except Exception as error:  # damaged bytes make decoders raise anything; none of it may end a batch
        if isinstance(error, OSError) and error.errno is not None:  # the file system's own, which has its own words
            raise
        raise ImageError(f"{path}: is truncated or damaged: {error}", "Copy or export the file again.") from error
    if upright.mode not in _GREY_MODES:
        upright = upright.convert("RGBA" if "A" in upright.getbands() or "transparency" in upright.info else "RGB")
        upright = upright.convert("L")
    return np.asarray(upright).astype(np.float32)

"""Masks from files of every kind: pictures, DICOM segmentations, NIfTI; binary, labels or probabilities."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.dicom.pixels import is_dicom
from lungmask_cli.formats.dicom.segmentation_read import read_segmentation
from lungmask_cli.formats.nifti import NIFTI_SUFFIXES, read_nifti
from lungmask_cli.formats.radiographs import DICOM_SUFFIXES, RASTER_SUFFIXES
from lungmask_cli.formats.raster import read_values
from lungmask_cli.imaging.radiograph import LEFT, LUNGS, RIGHT, RIGHT_LEFT, LungMask, Mask, Spacing, format_size

MASK_SUFFIXES = RASTER_SUFFIXES | DICOM_SUFFIXES | NIFTI_SUFFIXES
_SIXTEEN_BITS, _EIGHT_BITS = 65535, 255
_BELOW = 0.2


@dataclass(frozen=True)
class MaskOptions:
    """What the numbers in a mask file mean.

    Args:
        threshold: the numbers are probabilities, and lung is what is at least this; they are shares of the largest
            number that the file's type can hold, or floating-point numbers in [0, 1]. Files of 0 and 1, or of 0 and
            255, stay binary.
        labels: the numbers are labels; those of the right and of the left lung. Files of nothing but 0 and 255, or
            65535, stay binary.
        max_pixels: larger images are refused.
    """

    threshold: float | None = None
    labels: tuple[int, int] | None = None
    max_pixels: int = MAX_PIXELS


DEFAULT_MASKS = MaskOptions()


def read_lung_mask(path: Path, options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """The mask in a picture, a DICOM segmentation or a NIfTI file.

    Without `options`, whole numbers that are all 0, 1 and 2 are labels of the right and left lung; else lung is what is
    at least half of the largest number in the file, which reads 0/1, 0/255 and 0/65535 alike.

    Raises:
        ImageError: the file cannot be read, or it is not clear what its numbers mean.
    """
    try:
        if path.name.lower().endswith(tuple(NIFTI_SUFFIXES)):
            values, spacing = read_nifti(path, options.max_pixels)
            return _interpreted(values, path, options, spacing)
        if path.suffix.lower() in DICOM_SUFFIXES or is_dicom(path):
            return read_segmentation(path, options.threshold, options.max_pixels)
        return _interpreted(read_values(path, options.max_pixels), path, options)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_mask(path: Path, max_pixels: int = MAX_PIXELS) -> Mask:
    """Both lungs in a mask file: (H, W) bool.

    Raises:
        ImageError: the file cannot be read, or it is not clear what its numbers mean.
    """
    return read_lung_mask(path, MaskOptions(max_pixels=max_pixels)).lungs


def read_masks(paths: Sequence[Path], max_pixels: int = MAX_PIXELS) -> list[Mask]:
    """Mask files of one size, such as left and right lung.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
    """
    masks = [read_mask(path, max_pixels) for path in paths]
    for path, mask in zip(paths, masks, strict=True):
        if mask.shape != masks[0].shape:
            raise ImageError(
                f"{paths[0]} and {path} differ in size: {format_size(masks[0])} and {format_size(mask)} pixels"
            )
    return masks


def read_sides(paths: Mapping[str, Path], options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """One mask from one file of both lungs, or from one of each.

    Args:
        paths: `LUNGS` with its file, or `RIGHT` and `LEFT` with theirs.
        options: what the numbers in them mean.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
    """
    if LUNGS in paths:
        return read_lung_mask(paths[LUNGS], options)
    right, left = (read_lung_mask(paths[side], options) for side in (RIGHT, LEFT))
    if right.shape != left.shape:
        sizes = f"{format_size(right.lungs)} and {format_size(left.lungs)} pixels"
        raise ImageError(f"{paths[RIGHT]} and {paths[LEFT]} differ in size: {sizes}")
    both = right.lungs | left.lungs
    return LungMask(both, right.lungs, left.lungs, right.spacing or left.spacing)


def _interpreted(
    values: NDArray[Any],
    path: Path,
    options: MaskOptions,
    spacing: Spacing | None = None,
) -> LungMask:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ImageError(f"{path}: holds values that are no numbers", "Export the file again, as whole numbers.")
        if options.threshold is None:
            values = _whole_numbers(values)
    whole = values.dtype.kind in "biu"
    largest = float(values.max())
    told = options.labels is not None or options.threshold is not None
    binary = told and _is_binary(values, largest)
    known = RIGHT_LEFT if whole and largest == RIGHT_LEFT[1] and options.threshold is None else None
    if (labels := options.labels or known) and not binary:
        return _labelled(values, labels, path, spacing)
    mask: Mask = values >= (1 if binary else _least(values, largest, whole, path, options.threshold))
    if not told:
        _refuse_lost_values(values, largest, mask, path)
    one_label = whole and largest <= RIGHT_LEFT[0]
    return LungMask(mask, None, None, spacing, maybe_labelled=one_label)


def _labelled(
    values: NDArray[Any],
    labels: tuple[int, int],
    path: Path,
    spacing: Spacing | None,
) -> LungMask:
    right, left = (values == label for label in labels)
    lungs = right | left
    if not lungs.any() and values.any():
        raise ImageError(
            f"{path}: has neither the label {labels[0]} nor {labels[1]}, but others", "See --labels RIGHT,LEFT."
        )
    return LungMask(lungs, right, left, spacing, labelled=True)


def _is_binary(values: NDArray[Any], largest: float) -> bool:
    """Whether the whole numbers are nothing but 0 and the 255 or 65535 of a mask that has no labels."""
    full = values.dtype.kind in "iu" and largest in (_EIGHT_BITS, _SIXTEEN_BITS)
    return full and int(np.count_nonzero(values)) == int(np.count_nonzero(values == largest))


def _least(values: NDArray[Any], largest: float, whole: bool, path: Path, threshold: float | None) -> float:
    """The smallest value that is lung."""
    if whole and largest <= 1:
        return 1
    if threshold is None:
        if whole and largest < _likely_full(values, largest) / 2 and len(np.unique(values)) > 2:
            raise _unclear(path, f"up to {largest:g}")
        least = max(largest / 2, 0.5)
    elif whole:
        least = threshold * _full(values, largest)
    elif largest > 1:
        raise ImageError(f"{path}: holds numbers up to {largest:g}, which are no probabilities", "Give them in [0, 1].")
    else:
        least = threshold
    return math.ceil(least) if whole else least


def _refuse_lost_values(values: NDArray[Any], largest: float, mask: Mask, path: Path) -> None:
    """Refuse a file in which as much lies somewhat below half of the largest number as above: one lung is lost there.

    Edges that were smoothed, or that JPEG has blurred, are less.
    """
    count = int(np.count_nonzero(mask))
    below = largest * _BELOW
    above = values > (math.floor(below) if values.dtype.kind in "iu" else below)  # whole numbers compare faster
    if int(np.count_nonzero(above)) - count > count / 2:
        raise _unclear(path, f"on both sides of half of {largest:g}")


def _unclear(path: Path, which: str) -> ImageError:
    return ImageError(
        f"{path}: holds several numbers {which}: labels or probabilities?",
        "Say which of them are lungs with --labels RIGHT,LEFT, or give probabilities a --threshold.",
    )


def _full(values: NDArray[Any], largest: float) -> int:
    """The largest number that the type can hold; types of more than 16 bits are taken for 8 or 16."""
    if values.dtype.itemsize <= 2:
        return int(np.iinfo(values.dtype).max)
    return _EIGHT_BITS if largest <= _EIGHT_BITS else _SIXTEEN_BITS


def _likely_full(values: NDArray[Any], largest: float) -> int:
    """The same, but for numbers of 8 bits in types of more."""
    return min(_full(values, largest), _EIGHT_BITS if largest <= _EIGHT_BITS else _SIXTEEN_BITS)


def _whole_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Floating-point numbers that are all whole as integers: many programs write labels so."""
    if np.abs(values).max() >= 2**31 or not np.array_equal(values, np.round(values)):
        return values
    return values.astype(np.int32)

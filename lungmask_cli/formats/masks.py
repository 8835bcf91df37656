"""Read masks from raster images, DICOM segmentations and NIfTI: binary, labels or probabilities."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.checks import file_errors
from lungmask_cli.formats.dicom.pixels import is_dicom
from lungmask_cli.formats.dicom.segmentation_read import read_segmentation
from lungmask_cli.formats.nifti import NIFTI_SUFFIXES, read_nifti
from lungmask_cli.formats.radiographs import DICOM_SUFFIXES, RASTER_SUFFIXES
from lungmask_cli.formats.raster import read_values
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS, LEFT, LUNGS, RIGHT, LungMask, Mask, Spacing, format_size

MASK_SUFFIXES = RASTER_SUFFIXES | DICOM_SUFFIXES | NIFTI_SUFFIXES
_MAX_16_BIT, _MAX_8_BIT = 65535, 255
_BACKGROUND_SHARE = 0.2  # values up to this share of the largest are background


@dataclass(frozen=True)
class MaskOptions:
    """How to interpret the values of a mask file.

    Args:
        threshold: the values are probabilities, and lung where they are at least this. Integers are divided by the
            largest value of the file's type; floating-point values must be in [0, 1]. Files of 0 and 1, or of 0 and
            255, are binary masks all the same.
        labels: the values are labels; those of the right and of the left lung. Files that hold only 0 and 255, or 0 and
            65535, are binary masks all the same.
        max_pixels: larger images are rejected.
    """

    threshold: float | None = None
    labels: tuple[int, int] | None = None
    max_pixels: int = MAX_PIXELS


DEFAULT_MASKS = MaskOptions()


def read_lung_mask(path: Path, options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """The mask in one file: a raster image, a DICOM segmentation or NIfTI.

    By default, integers 0, 1 and 2 are the labels of the background, the right and the left lung. In all other files,
    lung is where the value is at least half of the largest one, so that 0/1, 0/255 and 0/65535 mean the same.

    Raises:
        ImageError: the file cannot be read, or the meaning of its values is unclear.
    """
    with file_errors(path):
        if path.name.lower().endswith(tuple(NIFTI_SUFFIXES)):
            values, spacing = read_nifti(path, options.max_pixels)
            return _interpret(values, path, options, spacing)
        if path.suffix.lower() in DICOM_SUFFIXES or is_dicom(path):
            return read_segmentation(path, options.threshold, options.max_pixels)
        return _interpret(read_values(path, options.max_pixels), path, options)


def read_lung_mask_files(files: Mapping[str, Path], options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """One mask from one file of both lungs, or from one file of each.

    Args:
        files: `LUNGS` with its file, or `RIGHT` and `LEFT` with theirs.
        options: how to interpret their values.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
    """
    if LUNGS in files:
        return read_lung_mask(files[LUNGS], options)
    right, left = _read_same_size((files[RIGHT], files[LEFT]), options)
    return LungMask(right.lungs | left.lungs, right.lungs, left.lungs, right.spacing or left.spacing)


def read_masks(paths: Sequence[Path], max_pixels: int = MAX_PIXELS) -> list[Mask]:
    """The masks (H, W) bool in files of the same size, such as those of the left and the right lung.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
    """
    return [mask.lungs for mask in _read_same_size(paths, MaskOptions(max_pixels=max_pixels))]


def _read_same_size(paths: Sequence[Path], options: MaskOptions) -> list[LungMask]:
    masks = [read_lung_mask(path, options) for path in paths]
    for path, mask in zip(paths, masks, strict=True):
        if mask.shape != masks[0].shape:
            sizes = f"{format_size(masks[0].lungs)} and {format_size(mask.lungs)} pixels"
            raise ImageError(f"{paths[0]} and {path} differ in size: {sizes}", "Give masks of the same radiograph.")
    return masks


def _interpret(values: NDArray[Any], path: Path, options: MaskOptions, spacing: Spacing | None = None) -> LungMask:
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ImageError(f"{path}: holds values that are not finite numbers", "Export the file again, as integers.")
        if options.threshold is None:
            values = _to_integers(values)
    is_integer = values.dtype.kind in "biu"
    largest = float(values.max())
    explicit = options.labels is not None or options.threshold is not None
    has_full_scale = values.dtype.kind in "iu" and largest in (_MAX_8_BIT, _MAX_16_BIT)
    binary = explicit and has_full_scale and np.count_nonzero(values) == np.count_nonzero(values == largest)
    default = DEFAULT_LABELS if is_integer and largest == DEFAULT_LABELS[1] and options.threshold is None else None
    if (labels := options.labels or default) and not binary:
        return _select_labels(values, labels, path, spacing)
    mask: Mask = values >= (1 if binary else _smallest_lung_value(values, largest, path, options.threshold))
    if not explicit:
        _reject_lost_values(values, largest, mask, path)
    return LungMask(mask, None, None, spacing, maybe_labelled=is_integer and largest <= DEFAULT_LABELS[0])


def _select_labels(values: NDArray[Any], labels: tuple[int, int], path: Path, spacing: Spacing | None) -> LungMask:
    right, left = (values == label for label in labels)
    lungs = right | left
    if not lungs.any() and values.any():
        raise ImageError(
            f"{path}: has neither the label {labels[0]} nor {labels[1]}, but others",
            "Give the labels of the two lungs with --labels RIGHT,LEFT.",
        )
    return LungMask(lungs, right, left, spacing, labelled=True)


def _smallest_lung_value(values: NDArray[Any], largest: float, path: Path, threshold: float | None) -> float:
    is_integer = values.dtype.kind in "biu"
    if is_integer and largest <= 1:
        return 1
    if threshold is None:
        likely = _MAX_8_BIT if largest <= _MAX_8_BIT else _MAX_16_BIT  # larger types may hold values of 8 bits
        if is_integer and largest < min(likely, _full_scale(values, largest)) / 2 and len(np.unique(values)) > 2:
            raise _ambiguous(path, f"up to {largest:g}")
        least = max(largest / 2, 0.5)
    elif is_integer:
        least = threshold * _full_scale(values, largest)
    elif largest > 1:
        raise ImageError(
            f"{path}: holds values up to {largest:g}, which are not probabilities", "Give probabilities in [0, 1]."
        )
    else:
        least = threshold
    return math.ceil(least) if is_integer else least


def _reject_lost_values(values: NDArray[Any], largest: float, mask: Mask, path: Path) -> None:
    """Reject a file in which many values lie between background and half of the largest: a lung may be lost there.

    Smoothed edges, or those that JPEG has blurred, hold fewer such values: up to half as many as the lungs.
    """
    count = int(np.count_nonzero(mask))
    background = largest * _BACKGROUND_SHARE
    # Integers are compared with an integer, because it is faster.
    above = values > (math.floor(background) if values.dtype.kind in "iu" else background)
    if int(np.count_nonzero(above)) - count > count / 2:
        raise _ambiguous(path, f"on both sides of half of {largest:g}")


def _ambiguous(path: Path, which: str) -> ImageError:
    return ImageError(
        f"{path}: holds several values {which}, which may be labels or probabilities",
        "Give the labels of the lungs with --labels RIGHT,LEFT, or for probabilities a --threshold.",
    )


def _full_scale(values: NDArray[Any], largest: float) -> int:
    """The largest value of the type; types of more than 16 bits are taken to hold values of 8 or 16 bits."""
    if values.dtype.itemsize <= 2:
        return int(np.iinfo(values.dtype).max)
    return _MAX_8_BIT if largest <= _MAX_8_BIT else _MAX_16_BIT


def _to_integers(values: NDArray[Any]) -> NDArray[Any]:
    """Floating-point values that are all whole numbers as integers, because many programs store labels so."""
    if np.abs(values).max() >= 2**31 or not np.array_equal(values, np.round(values)):
        return values
    return values.astype(np.int32)

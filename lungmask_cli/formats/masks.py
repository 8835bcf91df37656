"""Read masks from raster images, DICOM segmentations and NIfTI: binary, labels or probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.checks import file_errors
from lungmask_cli.formats.dicom.pixels import is_dicom
from lungmask_cli.formats.dicom.segmentation_read import read_segmentation
from lungmask_cli.formats.find import is_image
from lungmask_cli.formats.mask_picture import read_mask_picture
from lungmask_cli.formats.mask_values import DEFAULT_MASKS, MaskOptions, interpret
from lungmask_cli.formats.nifti import NIFTI_SUFFIXES, read_nifti
from lungmask_cli.formats.radiographs import DICOM_SUFFIXES
from lungmask_cli.formats.raster import RASTER_SUFFIXES, is_raster
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT, LungMask, Mask, format_size

MASK_SUFFIXES = RASTER_SUFFIXES | DICOM_SUFFIXES | NIFTI_SUFFIXES


def is_mask(path: Path) -> bool:
    """Whether the file may hold a mask, by its suffix or else by its content."""
    return path.name.lower().endswith(tuple(MASK_SUFFIXES)) or (path.suffix.lower() != ".img" and is_image(path))


def read_lung_mask(path: Path, options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """The mask in one file: a raster image, a DICOM segmentation or NIfTI.

    What its numbers mean is decided by the rules in `mask_values.py`.

    Raises:
        ImageError: the file cannot be read, or the meaning of its values is unclear.
    """
    with file_errors(path):
        if options.in_colour and not _has_colours(path, options):  # such as a binary mask among coloured ones
            options = replace(options, labels=None, heart=None, in_colour=False)
        if path.name.lower().endswith(tuple(NIFTI_SUFFIXES)):
            values, spacing = read_nifti(path, options.max_pixels)
            return replace(interpret(values, path, options), spacing=spacing)
        if is_dicom(path) or (path.suffix.lower() in DICOM_SUFFIXES and not is_raster(path)):
            return read_segmentation(path, options.threshold, options.max_pixels)
        picture = read_mask_picture(path, options.max_pixels, options.in_colour)
        return replace(interpret(picture.values, path, options, picture.lossy), turned=picture.turned)


def _has_colours(path: Path, options: MaskOptions) -> bool:
    """Whether the file is a picture with a pixel in one of the colours that are labels."""
    if path.name.lower().endswith(tuple(NIFTI_SUFFIXES)) or path.suffix.lower() in DICOM_SUFFIXES or is_dicom(path):
        return False
    values = read_mask_picture(path, options.max_pixels, in_colour=True).values
    return bool(np.isin(values, options.labels or ()).any())


def read_lung_mask_files(files: Mapping[str, Path], options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """One mask from one file of both lungs, or from one file of each, with the heart if it has a file.

    Args:
        files: `LUNGS` with its file, or `RIGHT` and `LEFT` with theirs; and `HEART`.
        options: how to interpret their values.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
    """
    names = [name for name in ((LUNGS,) if LUNGS in files else (RIGHT, LEFT)) + (HEART,) if name in files]
    masks = dict(zip(names, read_lung_masks([files[name] for name in names], options), strict=True))
    if LUNGS in masks:
        mask = masks[LUNGS]
    else:
        right, left = masks[RIGHT], masks[LEFT]
        spacing, turned = right.spacing or left.spacing, right.turned or left.turned
        mask = LungMask(right.lungs | left.lungs, right.lungs, left.lungs, spacing, turned=turned)
    return replace(mask, heart=masks[HEART].lungs) if HEART in masks else mask


def read_masks(paths: Sequence[Path], options: MaskOptions = DEFAULT_MASKS) -> list[Mask]:
    """The masks (H, W) bool in files of the same size, such as those of the left and the right lung.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
    """
    return [mask.lungs for mask in read_lung_masks(paths, options)]


def read_lung_masks(paths: Sequence[Path], options: MaskOptions = DEFAULT_MASKS) -> list[LungMask]:
    """As `read_masks`, with all that is known of each mask."""
    masks = [read_lung_mask(path, options) for path in paths]
    for path, mask in zip(paths, masks, strict=True):
        if mask.shape != masks[0].shape:
            sizes = f"{format_size(masks[0].lungs)} and {format_size(mask.lungs)} pixels"
            raise ImageError(f"{paths[0]} and {path} differ in size: {sizes}", "Give masks of the same radiograph.")
    return masks

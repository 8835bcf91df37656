"""Two-dimensional NIfTI masks, through nibabel."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.formats.checks import check_size
from lungmask_cli.imaging.radiograph import Spacing, make_spacing

NIFTI_SUFFIXES = frozenset({".nii", ".nii.gz"})
_MM = {"meter": 1000.0, "micron": 0.001}


def read_nifti(path: Path, max_pixels: int) -> tuple[NDArray[Any], Spacing | None]:
    """The values (H, W) of a NIfTI file of one slice, and its pixel spacing.

    The first axis of the file is the column axis, as ITK and ITK-SNAP write it; the orientation is ignored. A spacing
    of exactly 1 x 1 counts as unknown (None), because programs write it for images without a known spacing.

    Raises:
        UsageError: nibabel is not installed.
        ImageError: the file is damaged, too large, or has more than one slice.
    """
    try:
        import nibabel
    except ImportError:
        raise UsageError(f"{path}: NIfTI needs nibabel", 'Install it: pip install "lungmask-cli[nifti]"') from None
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Any = nibabel.load(path)
            shape = tuple(image.shape)
            if len(shape) < 2 or any(length > 1 for length in shape[2:]):
                sizes = " x ".join(map(str, shape))
                raise ImageError(f"{path}: is a volume of {sizes}", "Give one two-dimensional mask per radiograph.")
            check_size(path, shape[0], shape[1], max_pixels)
            values = np.asanyarray(image.dataobj).reshape(shape[:2]).T
            unit = _MM.get(image.header.get_xyzt_units()[0], 1.0)
            columns, rows = (float(zoom) * unit for zoom in image.header.get_zooms()[:2])
    except (ImageError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # damaged bytes make nibabel raise anything
        raise ImageError(
            f"{path}: is not readable as NIfTI ({type(error).__name__})", "Export the file again."
        ) from None
    if values.dtype.kind not in "biuf":
        raise ImageError(f"{path}: holds colours or complex numbers", "Export the mask as integers or real numbers.")
    return values, None if (rows, columns) == (1.0, 1.0) else make_spacing(rows, columns, "NIfTI")

"""The types that readers return: radiographs, lung masks and pixel spacings."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli import config

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]
LUNGS, RIGHT, LEFT, HEART = config.LUNGS, "right_lung", "left_lung", config.HEART
DEFAULT_LABELS = (1, 2)  # of the right and of the left lung, in label images
HEART_LABEL = 3


@dataclass(frozen=True)
class Spacing:
    """The distance in mm between neighbouring rows and between neighbouring columns of pixels.

    `source` names the DICOM element, flag or file format that it was read from, such as `PixelSpacing`.
    """

    row_mm: float
    column_mm: float
    source: str

    @property
    def mm(self) -> tuple[float, float]:
        """Row spacing, column spacing."""
        return self.row_mm, self.column_mm


def make_spacing(row_mm: Any, column_mm: Any, source: str) -> Spacing | None:
    """The spacing, or None unless both values are finite numbers above 0."""
    try:
        row, column = float(row_mm), float(column_mm)
    except (TypeError, ValueError):
        return None
    return Spacing(row, column, source) if 0 < row < math.inf and 0 < column < math.inf else None


@dataclass(frozen=True)
class Radiograph:
    """One frontal chest radiograph.

    Args:
        pixels: (H, W) integers or float32 in any linear unit; bones are bright if the polarity of the file is correct.
        valid: (H, W) bool, False where the detector recorded nothing (DICOM padding); None if all is valid.
        spacing: of the pixels; None if unknown.
        warnings: one sentence for each problem of the file; none quotes text from the file.
        turned: the pixels were turned as the file's EXIF orientation says.
        anteroposterior: the header says that the view is anteroposterior, or that the patient lies on the back.
    """

    pixels: NDArray[Any]
    valid: Mask | None = None
    spacing: Spacing | None = None
    warnings: tuple[str, ...] = ()
    turned: bool = False
    anteroposterior: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def inverted(self) -> "Radiograph":
        """The same radiograph with inverted pixel values."""
        return replace(self, pixels=invert(self.pixels))


@dataclass(frozen=True)
class LungMask:
    """The lungs of one radiograph, from a mask file or a segmentation.

    Args:
        lungs: (H, W) bool, both lungs.
        right: the patient's right lung, (H, W) bool; None if the file does not separate the lungs.
        left: the patient's left lung; None where `right` is None.
        spacing: of the pixels; None if unknown.
        labelled: the lungs were separated by the labels 1 and 2, or by those of `MaskOptions`.
        maybe_labelled: the file holds only 0 and 1, which are labels if other files of the folder hold 2 as well.
        turned: the pixels were turned as the file's EXIF orientation says.
        heart: the heart, (H, W) bool; None if the file does not have it.
    """

    lungs: Mask
    right: Mask | None = None
    left: Mask | None = None
    spacing: Spacing | None = None
    labelled: bool = False
    maybe_labelled: bool = False
    turned: bool = False
    heart: Mask | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.lungs.shape[0], self.lungs.shape[1]


def invert(pixels: NDArray[Any]) -> NDArray[Any]:
    """The largest pixel value minus each pixel value, in a type that can hold the difference."""
    if pixels.dtype.kind == "i":
        pixels = pixels.astype(np.int64)
    return pixels.max() - pixels


def format_size(image: NDArray[Any]) -> str:
    """The size of an (H, W) array as text: width x height."""
    return f"{image.shape[1]} x {image.shape[0]}"

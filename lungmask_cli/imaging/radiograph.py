"""The radiograph as every reader hands it on, and how readers are told what to accept."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]
LUNGS, RIGHT, LEFT = "lungs", "right_lung", "left_lung"
RIGHT_LEFT = (1, 2)  # the labels that are known without being told


@dataclass(frozen=True)
class Spacing:
    """The distance between neighbouring rows and between neighbouring columns of pixels in mm.

    `source` names the element, flag or file format that it was read from, such as `PixelSpacing`.
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
        pixels: (H, W) whole or float32 numbers in any linear unit, bones bright and air dark, as far as the file tells.
        valid: (H, W) bool, False where the detector recorded nothing (DICOM padding); None if all is valid.
        spacing: of the pixels; None if unknown.
        warnings: a sentence for each thing that a user should know about this file; no text from within the file.
    """

    pixels: NDArray[Any]
    valid: Mask | None = None
    spacing: Spacing | None = None
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def inverted(self) -> "Radiograph":
        """The same radiograph with dark and bright exchanged."""
        return replace(self, pixels=invert(self.pixels))


@dataclass(frozen=True)
class LungMask:
    """The lungs of one radiograph, as a file or a hand drew them.

    Args:
        lungs: (H, W) bool, both lungs.
        right: the patient's right lung alone, (H, W) bool; None where the file does not tell.
        left: the patient's left lung alone; None where `right` is.
        spacing: of the pixels; None if unknown.
        labelled: the lungs were told apart by the labels 1 and 2, or others that were asked for.
        maybe_labelled: the file holds no number but 0 and 1, which would be labels if its neighbours have 2 as well.
    """

    lungs: Mask
    right: Mask | None = None
    left: Mask | None = None
    spacing: Spacing | None = None
    labelled: bool = False
    maybe_labelled: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.lungs.shape[0], self.lungs.shape[1]


def invert(pixels: NDArray[Any]) -> NDArray[Any]:
    """The numbers with dark and bright exchanged: the largest minus each, in a type that has room for it."""
    if pixels.dtype.kind == "i":
        pixels = pixels.astype(np.int64)
    return pixels.max() - pixels


def format_size(image: NDArray[Any]) -> str:
    """Width x height of an (H, W) array, as people write it."""
    return f"{image.shape[1]} x {image.shape[0]}"

"""The radiograph as every reader hands it on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Radiograph:
    """One frontal chest radiograph.

    Args:
        pixels: (H, W) float32 in any linear unit, bones bright and air dark.
        valid: (H, W) bool, False where the detector recorded nothing (DICOM padding); None if all is valid.
        spacing_mm: distance between rows and between columns in mm, row spacing first; None if unknown.
        spacing_source: where the spacing came from, such as `PixelSpacing`; empty if unknown.
    """

    pixels: FloatImage
    valid: Mask | None = None
    spacing_mm: tuple[float, float] | None = None
    spacing_source: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

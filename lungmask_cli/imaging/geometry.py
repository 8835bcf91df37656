"""Letterboxing, its inverse, and resizing."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from lungmask_cli.imaging.radiograph import FloatImage


def resize(image: FloatImage, height: int, width: int) -> FloatImage:
    """Bilinear resize of (H, W) float32, averaging over all covered pixels when it makes the image smaller."""
    if image.shape == (height, width):
        return image
    picture = Image.fromarray(image.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.float32)


@dataclass(frozen=True)
class Letterbox:
    """Fits an image of `height` x `width` pixels into the middle of a square of `size` pixels, keeping its shape."""

    height: int
    width: int
    size: int

    @property
    def content(self) -> tuple[int, int]:
        """Height and width of the image within the square, each at least one pixel."""
        scale = self.size / max(self.height, self.width)
        return max(1, round(self.height * scale)), max(1, round(self.width * scale))

    @property
    def offset(self) -> tuple[int, int]:
        """Row and column of the image's first pixel within the square."""
        rows, columns = self.content
        return (self.size - rows) // 2, (self.size - columns) // 2

    def apply(self, image: FloatImage) -> FloatImage:
        """(H, W) float32 into (size, size) float32; what the image does not cover is 0."""
        (rows, columns), (top, left) = self.content, self.offset
        square = np.zeros((self.size, self.size), np.float32)
        square[top : top + rows, left : left + columns] = resize(image, rows, columns)
        return square

    def invert(self, square: FloatImage) -> FloatImage:
        """(size, size) float32 back to (H, W) float32."""
        (rows, columns), (top, left) = self.content, self.offset
        return resize(square[top : top + rows, left : left + columns], self.height, self.width)

    def spacing_mm(self, spacing_mm: tuple[float, float] | None) -> tuple[float, float] | None:
        """The pixel spacing (row, column) in the square, from that in the image."""
        if spacing_mm is None:
            return None
        rows, columns = self.content
        return spacing_mm[0] * self.height / rows, spacing_mm[1] * self.width / columns

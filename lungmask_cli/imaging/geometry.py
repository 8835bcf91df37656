"""Letterboxing, its inverse, and resizing."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.imaging.radiograph import FloatImage, Mask

T = TypeVar("T", bound=np.generic)


def resize(image: NDArray[Any], height: int, width: int) -> FloatImage:
    """Bilinear resize of (H, W) numbers to float32; where that makes them fewer, over all pixels that one covers."""
    if image.shape == (height, width):
        return image.astype(np.float32, copy=False)
    rows, columns = image.shape
    # Means of whole blocks first, at least two of them in each new pixel: much faster, and no difference to be seen.
    block = int(min(rows / height, columns / width) / 2)
    if block > 1:
        image = _block_means(_block_means(image, block).T, block).T
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    covered = (0, 0, columns / max(block, 1), rows / max(block, 1))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, covered), dtype=np.float32)


def _block_means(image: NDArray[Any], block: int) -> FloatImage:
    """The means of every `block` rows of (H, W), and of the rest, if any: float32."""
    whole = len(image) // block * block
    total = image[:whole:block].astype(np.float32)
    for row in range(1, block):
        total += image[row:whole:block]
    total /= block
    rest = image[whole:]
    return np.vstack([total, rest.mean(0, dtype=np.float32)]) if len(rest) else total


def _nearest(image: NDArray[T], height: int, width: int) -> NDArray[T]:
    """(H, W) of any type, read at the centres of the new pixels."""
    rows, columns = (
        ((2 * np.arange(new) + 1) * old // (2 * new)) for new, old in zip((height, width), image.shape, strict=True)
    )
    return image[np.ix_(rows, columns)]


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
        """(H, W) float32, or the same image at another size, into (size, size); what it does not cover is 0."""
        (rows, columns), (top, left) = self.content, self.offset
        square = np.zeros((self.size, self.size), np.float32)
        square[top : top + rows, left : left + columns] = resize(image, rows, columns)
        return square

    def apply_mask(self, mask: Mask) -> Mask:
        """(H, W) bool into (size, size) bool; a pixel is lung where at least half of what it covers is."""
        (rows, columns), (top, left) = self.content, self.offset
        square = np.zeros((self.size, self.size), np.bool_)
        square[top : top + rows, left : left + columns] = self._resize_mask(mask, rows, columns)
        return square

    def invert(self, square: FloatImage) -> FloatImage:
        """(size, size) float32 back to (H, W) float32; cut at one half it is the inverse of `apply_mask`.

        Where the image was enlarged, that inverse is exact: the square is read at the centres of the image's pixels.
        Where it was made smaller, detail is lost, and boundaries come back within one pixel of the square.
        """
        (rows, columns), (top, left) = self.content, self.offset
        content = square[top : top + rows, left : left + columns]
        if rows >= self.height and columns >= self.width:
            return _nearest(content, self.height, self.width)
        return resize(content, self.height, self.width)

    def _resize_mask(self, mask: Mask, rows: int, columns: int) -> Mask:
        if rows >= self.height and columns >= self.width:
            return _nearest(mask, rows, columns)
        # Pillow averages grey values of 8 bits some times faster than floats, and to the same half.
        share = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize(
            (columns, rows), Image.Resampling.BILINEAR
        )
        smaller: Mask = np.asarray(share) >= 128
        return smaller

    def spacing_mm(self, spacing_mm: tuple[float, float] | None) -> tuple[float, float] | None:
        """The pixel spacing (row, column) in the square, from that in the image."""
        if spacing_mm is None:
            return None
        rows, columns = self.content
        return spacing_mm[0] * self.height / rows, spacing_mm[1] * self.width / columns

"""Letterboxing, windows on a part of an image, their inverses, and resizing."""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.imaging.radiograph import FloatImage, Mask, Spacing

T = TypeVar("T", bound=np.generic)

# Beside lungs that are looked at more closely, as a share of their longer side: what a first look may have missed.
ZOOM_MARGIN = 0.05
# Of their height: two lungs are 0.87 and more on the validation images, changed ones among them; one is half that.
MIN_WIDTH = 0.75


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


def nearest(image: NDArray[T], height: int, width: int) -> NDArray[T]:
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
            return nearest(content, self.height, self.width)
        return resize(content, self.height, self.width)

    def invert_above(self, square: FloatImage, threshold: float) -> Mask:
        """Where `invert(square)` is above the threshold, (H, W) bool; only parts are enlarged that may be."""
        (rows, columns), (top, left) = self.content, self.offset
        content = square[top : top + rows, left : left + columns]
        above = content > threshold
        mask = np.zeros((self.height, self.width), np.bool_)
        if not above.any():
            return mask
        if rows >= self.height or columns >= self.width:
            return np.asarray(self.invert(square) > threshold)
        # What lies between two pixels of the square is above only if one of the two is.
        down = _enlarged_range(np.any(above, axis=1), self.height)
        across = _enlarged_range(np.any(above, axis=0), self.width)
        box = (
            across[0] * columns / self.width,
            down[0] * rows / self.height,
            across[1] * columns / self.width,
            down[1] * rows / self.height,
        )
        part = _resized_part(content, box, (across[1] - across[0], down[1] - down[0]))
        mask[down[0] : down[1], across[0] : across[1]] = part > threshold
        return mask

    def _resize_mask(self, mask: Mask, rows: int, columns: int) -> Mask:
        if rows >= self.height and columns >= self.width:
            return nearest(mask, rows, columns)
        # Pillow averages grey values of 8 bits some times faster than floats, and to the same half.
        share = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize(
            (columns, rows), Image.Resampling.BILINEAR
        )
        smaller: Mask = np.asarray(share) >= 128
        return smaller

    def scale_spacing(self, spacing: Spacing) -> Spacing:
        """The pixel spacing in the square, from that in the image."""
        rows, columns = self.content
        return Spacing(spacing.row_mm * self.height / rows, spacing.column_mm * self.width / columns, spacing.source)


@dataclass(frozen=True)
class Window:
    """A square part of a square image: its upper and left edge and its side, as fractions of the image's side.

    It may reach beyond the image, where there is nothing, 0.
    """

    top: float
    left: float
    side: float

    @staticmethod
    def around(mask: Mask, margin: float = ZOOM_MARGIN) -> "Window":
        """The smallest square in whose middle is all that is true of (S, S), with a margin of so much of its side.

        Raises:
            ValueError: nothing is true.
        """
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if not rows.size:
            raise ValueError("there is nothing to look at in an empty mask")
        (top, bottom), (left, right) = ((int(ends[0]), int(ends[-1]) + 1) for ends in (rows, columns))
        side = max(bottom - top, right - left) * (1 + 2 * margin)
        first_row, first_column = ((value - side) / 2 for value in (top + bottom, left + right))
        return Window(first_row / len(mask), first_column / len(mask), side / len(mask))

    def within(self, outer: "Window") -> "Window":
        """A window on what another one shows, as one on the image."""
        top, left = outer.top + self.top * outer.side, outer.left + self.left * outer.side
        return Window(top, left, self.side * outer.side)

    def widened(self, margin: float) -> "Window":
        """The same window with so much of its side more on each side."""
        return Window(self.top - margin * self.side, self.left - margin * self.side, self.side * (1 + 2 * margin))

    def mirrored(self) -> "Window":
        """The window on the same place in an image with left and right exchanged."""
        return Window(self.top, 1 - self.left - self.side, self.side)

    def cut(self, square: FloatImage, size: int) -> FloatImage:
        """What the window shows of (S, S) float32, at (size, size)."""
        beyond = max(0.0, -self.top, -self.left, max(self.top, self.left) + self.side - 1)
        around = math.ceil(beyond * len(square)) + 1
        top, left = (around + edge * len(square) for edge in (self.top, self.left))
        side = self.side * len(square)
        return _resized_part(np.pad(square, around), (left, top, left + side, top + side), (size, size))

    def put_back(self, seen: FloatImage, size: int) -> FloatImage:
        """(s, s) float32 of the window to where it is in (size, size); pixels that it does not show whole are 0."""
        square = np.zeros((size, size), np.float32)
        (top, bottom), (left, right) = (self._pixels(edge, size) for edge in (self.top, self.left))
        if bottom > top and right > left:
            scale = len(seen) / (self.side * size)
            box = [(end - edge * size) * scale for end, edge in zip((left, top), (self.left, self.top), strict=True)]
            box += [box[0] + (right - left) * scale, box[1] + (bottom - top) * scale]
            square[top:bottom, left:right] = _resized_part(seen, tuple(box), (right - left, bottom - top))
        return square

    def _pixels(self, edge: float, size: int) -> tuple[int, int]:
        """First and last but one of the pixels of an axis of `size` that the window from `edge` on shows whole."""
        return max(math.ceil(edge * size), 0), min(math.floor((edge + self.side) * size), size)


WHOLE = Window(0, 0, 1)


def _enlarged_range(present: Mask, size: int) -> tuple[int, int]:
    """First and last but one of `size` pixels of an axis that are not farther than one old pixel from a present one."""
    found = np.flatnonzero(present)
    scale = size / len(present)
    return max(0, math.floor((found[0] - 1) * scale)), min(size, math.ceil((found[-1] + 2) * scale))


def _resized_part(image: FloatImage, box: tuple[float, ...], size: tuple[int, int]) -> FloatImage:
    """The box (left, upper, right, lower) of (H, W) float32 at that width and height, bilinear."""
    height, width = image.shape
    left, upper, right, lower = box
    within = (max(left, 0), max(upper, 0), min(right, width), min(lower, height))  # beyond only by rounding
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, within), dtype=np.float32)

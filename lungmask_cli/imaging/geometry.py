"""Resizing, letterboxing and crop windows, and the inverses of the last two."""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.imaging.components import PixelRuns, encode_runs, runs_between
from lungmask_cli.imaging.morphology import Box, bounding_box
from lungmask_cli.imaging.radiograph import FloatImage, Mask, Spacing

T = TypeVar("T", bound=np.generic)

_STRIP = 64  # blocks whose sums fit into the cache of a processor

# The margin around the lungs of a crop window, as a share of their longer side: the localization pass may miss a rim.
ZOOM_MARGIN = 0.05
# The least width of two lungs, as a share of their height: it is at least 0.87 on the validation images, corrupted ones
# among them. One lung is half as wide.
MIN_WIDTH = 0.75


def resize(image: NDArray[Any], height: int, width: int, blocks: float = 2) -> FloatImage:
    """(H, W) of any type resized to (height, width) float32, bilinear, with antialiasing where the image is reduced.

    Blocks of pixels are averaged first, which is much faster. At least `blocks` of them make a new pixel in each
    direction; there is no visible difference with 2.
    """
    if image.shape == (height, width):
        return image.astype(np.float32, copy=False)
    rows, columns = image.shape
    block = int(min(rows / height, columns / width) / blocks)
    if block > 1:
        image = _average_blocks(image, block)
    return _resize_box(image, (0, 0, columns / max(block, 1), rows / max(block, 1)), (width, height))


def _average_blocks(image: NDArray[Any], block: int) -> FloatImage:
    """The means of blocks of `block` x `block` pixels of (H, W), and of what remains at the lower and right edge."""
    strip = _STRIP * block
    strips = (image[top : top + strip] for top in range(0, len(image), strip))
    return np.vstack([_average_rows(_average_rows(rows, block).T, block).T for rows in strips])


def _average_rows(image: NDArray[Any], block: int) -> FloatImage:
    """The means of every `block` rows of (H, W), and of the remaining rows if any: float32."""
    whole = len(image) // block * block
    total: NDArray[Any] = image[:whole:block].astype(_sum_type(image))
    for row in range(1, block):  # many times faster than the sum over an axis of a transposed image
        total += image[row:whole:block]
    means = total.astype(np.float32, copy=False)
    means /= np.float32(block)
    rest = image[whole:]
    return np.vstack([means, rest.mean(0, dtype=np.float32)]) if len(rest) else means


def _sum_type(image: NDArray[Any]) -> type:
    """The type in which a few of the image's values are added: integers of 32 bits are added faster than floats."""
    return np.uint32 if image.dtype in (np.uint8, np.uint16) else np.float32


def resize_nearest(image: NDArray[T], height: int, width: int) -> NDArray[T]:
    """(H, W) of any type, sampled at the centres of the new pixels."""
    return image[np.ix_(*(map(_nearest, image.shape, (height, width))))]


def resize_runs(runs: PixelRuns, height: int, width: int) -> PixelRuns:
    """As `resize_nearest`, for the runs of a mask."""
    return runs.sample(*map(_nearest, runs.shape, (height, width)))


def _nearest(size: int, new: int) -> NDArray[np.int64]:
    """The pixel of an axis of `size` pixels at the centre of each of `new` pixels."""
    return (2 * np.arange(new) + 1) * size // (2 * new)


@dataclass(frozen=True)
class Letterbox:
    """Centres an image of `height` x `width` pixels in a square of `size` pixels and keeps its aspect ratio."""

    height: int
    width: int
    size: int

    @property
    def content(self) -> tuple[int, int]:
        """Height and width of the image within the square, each at least one pixel."""
        scale = self.size / max(self.height, self.width)
        return max(1, round(self.height * scale)), max(1, round(self.width * scale))

    @property
    def region(self) -> Box:
        """The rows and columns of the square that the image covers."""
        rows, columns = self.content
        top, left = (self.size - rows) // 2, (self.size - columns) // 2
        return slice(top, top + rows), slice(left, left + columns)

    def apply(self, image: FloatImage) -> FloatImage:
        """(H, W) float32, or the same image at another size, in a square (size, size); 0 beside the image."""
        square = np.zeros((self.size, self.size), np.float32)
        square[self.region] = resize(image, *self.content)
        return square

    def apply_mask(self, mask: Mask) -> Mask:
        """(H, W) bool in a square (size, size) bool; a pixel is true where at least half of what it covers is."""
        square = np.zeros((self.size, self.size), np.bool_)
        if self._enlarges:
            square[self.region] = resize_nearest(mask, *self.content)
        else:
            # Pillow averages 8-bit values much faster than floats, and thresholding at one half gives the same mask.
            grey = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
            square[self.region] = np.asarray(grey.resize(self.content[::-1], Image.Resampling.BILINEAR)) >= 128
        return square

    def invert(self, square: FloatImage) -> FloatImage:
        """(size, size) float32 back to (H, W) float32; thresholded at 0.5 it is the inverse of `apply_mask`.

        Where the letterbox enlarges the image, the inverse is exact: the square is sampled at the centres of the
        image's pixels. Where it reduces the image, boundaries are restored within one pixel of the square.
        """
        content = square[self.region]
        if content.shape == (self.height, self.width):
            return content
        return (resize_nearest if self._enlarges else resize)(content, self.height, self.width)

    def invert_and_threshold(self, square: FloatImage, threshold: float) -> PixelRuns:
        """The runs of the mask (H, W) where `invert(square)` is above the threshold, without enlarging the square.

        Along a row, the enlarged image is linear between the columns of the square, so the edges of runs are computed.
        """
        rows, columns = self.content
        if rows >= self.height or columns >= self.width:
            return encode_runs(self.invert(square) > threshold)
        content = square[self.region]
        # A value interpolated between two rows of the square is above the threshold only if one of the two is.
        is_above = content > threshold
        if not is_above.any():
            return encode_runs(np.zeros((self.height, self.width), np.bool_))
        first, last = _enlarge_extent(np.any(is_above, axis=1), self.height)
        within = np.flatnonzero(np.any(is_above, axis=0))
        start, end = max(int(within[0]) - 1, 0), min(int(within[-1]) + 2, columns)
        extent = (start, first * rows / self.height, end, last * rows / self.height)
        values = _resize_box(content, extent, (end - start, last - first))
        above = values > threshold
        line, column = np.divmod(np.flatnonzero(above[:, 1:] != above[:, :-1]), end - start - 1)
        before, after = values[line, column].astype(np.float64), values[line, column + 1].astype(np.float64)
        crossings = (start + column + (threshold - before) / (after - before) + 0.5) * self.width / columns - 0.5
        edges = np.where(after > before, np.floor(crossings) + 1, np.ceil(crossings)).astype(np.int64)
        left, right = np.flatnonzero(above[:, 0]), np.flatnonzero(above[:, -1])
        return runs_between(
            first + np.concatenate([line, left, right]),
            np.concatenate([np.clip(edges, 0, self.width), 0 * left, 0 * right + self.width]),
            (self.height, self.width),
        )

    def scale_spacing(self, spacing: Spacing) -> Spacing:
        """The pixel spacing in the square, from that of the image."""
        rows, columns = self.content
        return Spacing(spacing.row_mm * self.height / rows, spacing.column_mm * self.width / columns, spacing.source)

    @property
    def _enlarges(self) -> bool:
        rows, columns = self.content
        return rows >= self.height and columns >= self.width


@dataclass(frozen=True)
class Window:
    """A crop window: a square part of a square image, its top, left edge and side as fractions of the image's side.

    It may extend beyond the image, where everything is 0.
    """

    top: float
    left: float
    side: float

    @staticmethod
    def around(mask: Mask, margin: float = ZOOM_MARGIN) -> "Window":
        """The smallest square around the mask (S, S), centred on it, with a margin on each side as a share of its side.

        Raises:
            ValueError: the mask is empty.
        """
        box = rows, columns = bounding_box(mask)
        side = max(rows.stop - rows.start, columns.stop - columns.start) * (1 + 2 * margin)
        top, left = ((extent.start + extent.stop - side) / 2 for extent in box)
        return Window(top / len(mask), left / len(mask), side / len(mask))

    def within(self, outer: "Window") -> "Window":
        """This window, given in fractions of the crop of `outer`, in fractions of the whole image."""
        top, left = outer.top + self.top * outer.side, outer.left + self.left * outer.side
        return Window(top, left, self.side * outer.side)

    def widen(self, margin: float) -> "Window":
        """The window with a margin added on each side, as a share of its side."""
        return Window(self.top - margin * self.side, self.left - margin * self.side, self.side * (1 + 2 * margin))

    def mirror(self) -> "Window":
        """The window on the same part of the image with left and right exchanged."""
        return Window(self.top, 1 - self.left - self.side, self.side)

    def crop(self, square: FloatImage, size: int) -> FloatImage:
        """The part of (S, S) float32 in the window, resized to (size, size)."""
        beyond = max(0.0, -self.top, -self.left, max(self.top, self.left) + self.side - 1)
        padding = math.ceil(beyond * len(square)) + 1
        top, left = (padding + edge * len(square) for edge in (self.top, self.left))
        side = self.side * len(square)
        return _resize_box(np.pad(square, padding), (left, top, left + side, top + side), (size, size))

    def paste(self, crop: FloatImage, size: int) -> FloatImage:
        """The crop (s, s) float32 at its position in an image (size, size); 0 at pixels not wholly in the window."""
        square = np.zeros((size, size), np.float32)
        (top, bottom), (left, right) = (self._whole_pixels(edge, size) for edge in (self.top, self.left))
        if bottom > top and right > left:
            scale = len(crop) / (self.side * size)
            box = [(start - edge * size) * scale for start, edge in ((left, self.left), (top, self.top))]
            box += [box[0] + (right - left) * scale, box[1] + (bottom - top) * scale]
            square[top:bottom, left:right] = _resize_box(crop, tuple(box), (right - left, bottom - top))
        return square

    def _whole_pixels(self, edge: float, size: int) -> tuple[int, int]:
        """The range of the pixels of an axis of `size` that lie wholly in the window that starts at `edge`."""
        return max(math.ceil(edge * size), 0), min(math.floor((edge + self.side) * size), size)


WHOLE = Window(0, 0, 1)


def _enlarge_extent(above: NDArray[np.bool_], size: int) -> tuple[int, int]:
    """The range of `size` new pixels that are at most one old pixel away from an old pixel of `above` that is true."""
    indices = np.flatnonzero(above)
    if not indices.size:
        return 0, 0
    scale = size / len(above)
    return max(0, math.floor((indices[0] - 1) * scale)), min(size, math.ceil((indices[-1] + 2) * scale))


def _resize_box(image: NDArray[Any], box: tuple[float, ...], size: tuple[int, int]) -> FloatImage:
    """The box (left, upper, right, lower) of (H, W), resized to `size` (width, height), bilinear: float32."""
    height, width = image.shape
    left, upper, right, lower = box
    within = (max(left, 0), max(upper, 0), min(right, width), min(lower, height))  # beyond only by rounding
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, within), dtype=np.float32)

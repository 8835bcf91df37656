"""Small pictures of masks, and of the differences between two masks, encoded for browsers."""

import io
import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.imaging.cardiothoracic import measure_ratio
from lungmask_cli.imaging.components import encode_runs
from lungmask_cli.imaging.morphology import erode
from lungmask_cli.imaging.overlay import HEART_COLOUR
from lungmask_cli.imaging.radiograph import FloatImage, Mask

Colour = tuple[int, int, int]

# Orange and blue can be distinguished in every common form of colour blindness.
OVER = (230, 120, 0)
UNDER = (60, 160, 255)
# Brighter than the colours of errors, because these are lines, not areas, and have another meaning.
RIGHT_LUNG = (255, 176, 0)
LEFT_LUNG = (64, 200, 255)
THORAX_WIDTH = (235, 235, 235)
_OUTLINE = (235, 235, 235)
_FILL = (128, 128, 128)

# When a picture is reduced, each block of pixels takes its largest class, so that an error of one pixel is never lost.
_BACKGROUND, _AGREEMENT, _UNDER_SEGMENTED, _OVER_SEGMENTED = range(4)
_LEFT, _HEART, _THORAX = 2, 3, 4  # the right lung is 1, the value of True
_ERROR_ALPHA = 165  # the anatomy shows through, and the colours remain clearly visible
_OUTLINE_ALPHA = 200
_LUNG_ALPHA = 235
# Pixels of the longer side per pixel of contour width: contours are about one pixel wide on a card.
_SIDE_PER_CONTOUR_PIXEL = 256
_COLOURS_OF_4_BITS = 4  # and the background
_JPEG_QUALITY = 72


@dataclass(frozen=True)
class Picture:
    """A picture in two layers.

    Args:
        width: displayed width in pixels.
        height: displayed height in pixels.
        overlay: PNG with transparency.
        backdrop: greyscale JPEG beneath the overlay; None without a radiograph.
    """

    width: int
    height: int
    overlay: bytes
    backdrop: bytes | None


def draw_errors(predicted: Mask, truth: Mask, image: FloatImage | None, side: int) -> Picture:
    """Over-segmentation in `OVER` and under-segmentation in `UNDER`.

    On a radiograph, the area in which both masks agree is only outlined; without a radiograph it is filled with grey.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool, the reference mask.
        image: (H, W) float32 in [0, 1], or None.
        side: maximum length of the longer side in pixels; larger pictures are reduced, smaller ones are not enlarged.
    """
    height, width = reduced_shape(truth.shape, side)
    # In bits: truth alone is 2, predicted alone is 3, and both together are 3 ^ 2 = 1.
    over, under = (
        predicted.view(np.uint8) * np.uint8(_OVER_SEGMENTED),
        truth.view(np.uint8) * np.uint8(_UNDER_SEGMENTED),
    )
    classes = _reduce(over ^ under, height, width)
    if image is None:
        return Picture(width, height, _encode_png(classes, (_FILL, UNDER, OVER), (255, 255, 255)), None)
    agreement = classes == _AGREEMENT
    classes[erode(agreement | (classes == _UNDER_SEGMENTED)) & agreement] = _BACKGROUND  # only its outline is drawn
    overlay = _encode_png(classes, (_OUTLINE, UNDER, OVER), (_OUTLINE_ALPHA, _ERROR_ALPHA, _ERROR_ALPHA))
    return Picture(width, height, overlay, _encode_jpeg(image, height, width))


def draw_lungs(image: FloatImage | None, right: Mask, left: Mask, side: int, heart: Mask | None = None) -> Picture:
    """The contours of both lungs in `RIGHT_LUNG` and `LEFT_LUNG`, and of the heart in `HEART_COLOUR`.

    With the heart, its width and that of the thorax are drawn as lines, unless the heart or a lung is missing.

    Contours are computed at the size of the masks, and no part of them is lost when the picture is reduced. Without a
    radiograph, the lungs are filled.

    Args:
        image: (h, w) float32 in [0, 1], the same field of view as the masks at any size; or None.
        right: (H, W) bool, the patient's right lung.
        left: (H, W) bool.
        side: maximum length of the longer side in pixels; larger pictures are reduced, smaller ones are not enlarged.
        heart: (H, W) bool; None if it was not segmented.
    """
    from scipy import ndimage

    height, width = reduced_shape(right.shape, side)
    classes = np.maximum(right.view(np.uint8), left.view(np.uint8) * np.uint8(_LEFT))
    colours = [RIGHT_LUNG, LEFT_LUNG]
    if image is None:
        return Picture(width, height, _encode_png(_reduce(classes, height, width), colours, (255, 255)), None)
    lines = _contours(classes)
    if heart is not None:
        lines = np.maximum(lines, _contours(heart.view(np.uint8)) * np.uint8(_HEART))
        _draw_widths(lines, right, left, heart)
        colours += [HEART_COLOUR, THORAX_WIDTH]
    lines = _reduce(lines, height, width)
    thick = ndimage.maximum_filter(lines, max(1, round(max(height, width) / _SIDE_PER_CONTOUR_PIXEL)))
    overlay = _encode_png(thick, colours, [_LUNG_ALPHA] * len(colours))
    return Picture(width, height, overlay, _encode_jpeg(image, height, width))


def _draw_widths(lines: NDArray[np.uint8], right: Mask, left: Mask, heart: Mask) -> None:
    """Draw the widths of the heart and of the thorax into the classes (H, W) of the contours."""
    if ratio := measure_ratio(encode_runs(heart), encode_runs(right), encode_runs(left)):
        for extent, kind in ((ratio.thorax, _THORAX), (ratio.heart, _HEART)):
            lines[extent.row, extent.first : extent.end] = kind


def reduced_shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Height and width of (H, W) masks after reduction to at most `side` pixels on the longer side."""
    scale = min(1.0, side / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _reduce(classes: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The largest class of each block."""
    # NumPy reduces whole rows at once, so columns are transposed into rows.
    rows = np.maximum.reduceat(classes, _block_starts(classes.shape[0], height), axis=0)
    transposed = np.ascontiguousarray(rows.T)
    return np.ascontiguousarray(np.maximum.reduceat(transposed, _block_starts(transposed.shape[0], width), axis=0).T)


def _block_starts(size: int, blocks: int) -> NDArray[np.intp]:
    return np.arange(blocks, dtype=np.intp) * size // blocks


def _contours(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The classes (H, W) at pixels that touch another class or the edge of the image, and 0 elsewhere."""
    # Not `outline`: where the two lungs touch, each has its contour.
    around = np.pad(classes, 1)
    inner = (around[:-2, 1:-1] == classes) & (around[2:, 1:-1] == classes)
    inner &= (around[1:-1, :-2] == classes) & (around[1:-1, 2:] == classes)
    return np.where(inner, np.uint8(_BACKGROUND), classes)


def _encode_png(classes: NDArray[np.uint8], colours: Sequence[Colour], alphas: Sequence[int]) -> bytes:
    """The classes from 1 on in their colours and opacities (0 to 255); class 0 is transparent."""
    picture = Image.fromarray(classes).convert("P")
    picture.putpalette((0, 0, 0, *itertools.chain.from_iterable(colours)))
    file = io.BytesIO()
    bits = 2 if len(colours) < _COLOURS_OF_4_BITS else 4
    picture.save(file, "PNG", bits=bits, transparency=bytes((0, *alphas)), compress_level=1, compress_type=zlib.Z_RLE)
    return file.getvalue()


def _encode_jpeg(image: FloatImage, height: int, width: int) -> bytes:
    picture = Image.fromarray((np.clip(image, 0, 1) * np.float32(255)).astype(np.uint8))
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()

"""Small pictures of masks, and of where two of them differ, as bytes that browsers show."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.formats.png import GREY_PNG
from lungmask_cli.imaging.morphology import erode
from lungmask_cli.imaging.radiograph import FloatImage, Mask

Colour = tuple[int, int, int]

# Orange and blue stay apart in every common kind of colour blindness.
OVER = (230, 120, 0)
UNDER = (60, 160, 255)
# Brighter than those of errors: lines, not areas, and of another meaning.
RIGHT_LUNG = (255, 176, 0)
LEFT_LUNG = (64, 200, 255)
_OUTLINE = (235, 235, 235)
_FILL = (128, 128, 128)

# A block of pixels takes the largest class within it, so that an error of one pixel is never lost.
_NOTHING, _AGREED, _MISSED, _ADDED = range(4)
_LEFT = 2  # and the right lung is 1, as bool is
_ERROR_ALPHA = 165  # anatomy shows beneath, and the colours are still plain to see
_OUTLINE_ALPHA = 200
_LUNG_ALPHA = 235
# Of the longer side, for each pixel that contours are wide: about one on the screen where the picture is a card.
_SIDE_PER_LINE = 256
_JPEG_QUALITY = 72


@dataclass(frozen=True)
class Picture:
    """A picture in two layers.

    Args:
        width: shown width in pixels.
        height: shown height in pixels.
        overlay: PNG with transparency.
        backdrop: greyscale JPEG that lies beneath; None where no radiograph is known.
    """

    width: int
    height: int
    overlay: bytes
    backdrop: bytes | None


def draw_errors(drawn: Mask, truth: Mask, image: FloatImage | None, side: int) -> Picture:
    """Over-segmentation in `OVER`, under-segmentation in `UNDER`, at most `side` pixels on the longer side.

    On a radiograph, what both masks hold is only outlined; without one it is filled with grey.

    Args:
        drawn: (H, W) bool, the mask to judge.
        truth: (H, W) bool.
        image: (H, W) float32 in [0, 1], or None.
        side: larger pictures are reduced to it, smaller ones stay as they are.
    """
    height, width = reduced_shape(truth.shape, side)
    classes = _reduced(_classes(drawn, truth), height, width)
    if image is None:
        return Picture(width, height, _png(classes, (_FILL, UNDER, OVER), (255, 255, 255)), None)
    classes[_inner(classes)] = _NOTHING
    overlay = _png(classes, (_OUTLINE, UNDER, OVER), (_OUTLINE_ALPHA, _ERROR_ALPHA, _ERROR_ALPHA))
    return Picture(width, height, overlay, _jpeg(image, height, width))


def draw_lungs(image: FloatImage | None, right: Mask, left: Mask, side: int) -> Picture:
    """The contours of both lungs in `RIGHT_LUNG` and `LEFT_LUNG`, at most `side` pixels on the longer side.

    Contours are found in the masks at their own size and no part of them is lost when they are reduced. Without a
    radiograph the lungs are filled.

    Args:
        image: (h, w) float32 in [0, 1] of the same field as the masks, at any size; or None.
        right: (H, W) bool, the patient's right lung.
        left: (H, W) bool.
        side: larger pictures are reduced to it, smaller ones stay as they are.
    """
    from scipy import ndimage

    height, width = reduced_shape(right.shape, side)
    classes = np.maximum(right.view(np.uint8), left.view(np.uint8) * np.uint8(_LEFT))
    colours = (RIGHT_LUNG, LEFT_LUNG)
    if image is None:
        return Picture(width, height, _png(_reduced(classes, height, width), colours, (255, 255)), None)
    lines = _reduced(_contours(classes), height, width)
    thick = ndimage.maximum_filter(lines, max(1, round(max(height, width) / _SIDE_PER_LINE)))
    overlay = _png(thick, colours, (_LUNG_ALPHA, _LUNG_ALPHA))
    return Picture(width, height, overlay, _jpeg(image, height, width))


def reduced_shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Height and width of the picture of (H, W) masks that has at most `side` pixels on the longer side."""
    scale = min(1.0, side / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _classes(drawn: Mask, truth: Mask) -> NDArray[np.uint8]:
    """Agreement, under- and over-segmentation as 1, 2 and 3."""
    # Written as bits: truth alone is 2 and drawn alone 3, both together are 3 ^ 2 = 1.
    return (drawn.view(np.uint8) * np.uint8(_ADDED)) ^ (truth.view(np.uint8) * np.uint8(_MISSED))


def _reduced(classes: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The largest class of each block."""
    # Along rows NumPy reduces whole rows at once; columns are made rows for it.
    rows = np.maximum.reduceat(classes, _block_starts(classes.shape[0], height), axis=0)
    turned = np.ascontiguousarray(rows.T)
    return np.ascontiguousarray(np.maximum.reduceat(turned, _block_starts(turned.shape[0], width), axis=0).T)


def _block_starts(size: int, blocks: int) -> NDArray[np.intp]:
    return np.arange(blocks, dtype=np.intp) * size // blocks


def _inner(classes: NDArray[np.uint8]) -> Mask:
    """Agreement that lies within the truth, away from its outline."""
    agreed = classes == _AGREED
    return erode(agreed | (classes == _MISSED)) & agreed


def _contours(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The classes (H, W) at pixels that touch another class or the edge of the image, and 0 elsewhere."""
    # Not `outline`: where the two lungs touch, each has its contour.
    around = np.pad(classes, 1)
    inner = (around[:-2, 1:-1] == classes) & (around[2:, 1:-1] == classes)
    inner &= (around[1:-1, :-2] == classes) & (around[1:-1, 2:] == classes)
    return np.where(inner, np.uint8(_NOTHING), classes)


def _png(classes: NDArray[np.uint8], colours: Sequence[Colour], alphas: Sequence[int]) -> bytes:
    """The classes from 1 on in colours with so much opacity of 255; 0 is transparent."""
    picture = Image.fromarray(classes).convert("P")
    picture.putpalette((0, 0, 0, *itertools.chain.from_iterable(colours)))
    file = io.BytesIO()
    picture.save(file, "PNG", bits=2, transparency=bytes((0, *alphas)), **GREY_PNG)
    return file.getvalue()


def _jpeg(image: FloatImage, height: int, width: int) -> bytes:
    picture = Image.fromarray((np.clip(image, 0, 1) * np.float32(255)).astype(np.uint8))
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()

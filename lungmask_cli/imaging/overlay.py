"""The masks drawn on their radiograph."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lungmask_cli.imaging.cardiothoracic import CardiothoracicRatio
from lungmask_cli.imaging.morphology import outline
from lungmask_cli.imaging.radiograph import FloatImage, Mask

_MASK_COLOUR = (64, 200, 255)
_TRUTH_COLOUR = (255, 190, 0)
HEART_COLOUR = (255, 110, 180)
_TINT = 0.22


def draw_overlay(image: FloatImage, mask: Mask, truth: Mask | None = None, heart: Mask | None = None) -> Image.Image:
    """The image (H, W) in [0, 1] with the mask tinted and outlined in blue.

    `truth` is outlined in orange, and the heart in pink.
    """
    grey = np.repeat((image * 255).astype(np.uint8)[..., None], 3, axis=2).astype(np.float32)
    grey[mask] = grey[mask] * (1 - _TINT) + np.array(_MASK_COLOUR, np.float32) * _TINT
    width = _line_width(image.shape)
    if truth is not None:
        grey[outline(truth, width)] = _TRUTH_COLOUR
    grey[outline(mask, width)] = _MASK_COLOUR
    if heart is not None:
        grey[outline(heart, width)] = HEART_COLOUR
    return Image.fromarray(grey.astype(np.uint8))


def draw_ratio(picture: Image.Image, ratio: CardiothoracicRatio | None) -> Image.Image:
    """The picture (H, W) with the widths of heart and thorax as lines, and their ratio; as it is without a ratio."""
    if ratio is None:
        return picture
    draw = ImageDraw.Draw(picture)
    width = _line_width(picture.size)
    for extent, colour in ((ratio.heart, HEART_COLOUR), (ratio.thorax, _MASK_COLOUR)):
        draw.line((extent.first, extent.row, extent.end - 1, extent.row), colour, width)
        for column in (extent.first, extent.end - 1):
            draw.line((column, extent.row - 4 * width, column, extent.row + 4 * width), colour, width)
    font = ImageFont.load_default(size=max(10, max(picture.size) // 40))
    middle = (ratio.heart.first + ratio.heart.end) // 2
    draw.text((middle, ratio.heart.row - 3 * width), f"{ratio.value:.2f}", HEART_COLOUR, font, anchor="mb")
    return picture


def _line_width(shape: tuple[int, ...]) -> int:
    return max(1, round(max(shape) / 400))

"""The radiograph with the mask drawn on it, for the eye."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.imaging.radiograph import FloatImage, Mask

_DRAWN = (64, 200, 255)
_TRUTH = (255, 190, 0)
_TINT = 0.22


def draw_overlay(image: FloatImage, mask: Mask, truth: Mask | None = None) -> Image.Image:
    """The image (H, W) in [0, 1] with the mask tinted and outlined in blue, and the outline of `truth` in orange."""
    grey = np.repeat((image * 255).astype(np.uint8)[..., None], 3, axis=2).astype(np.float32)
    grey[mask] = grey[mask] * (1 - _TINT) + np.array(_DRAWN, np.float32) * _TINT
    width = max(1, round(max(image.shape) / 400))
    if truth is not None:
        grey[_outline(truth, width)] = _TRUTH
    grey[_outline(mask, width)] = _DRAWN
    return Image.fromarray(grey.astype(np.uint8))


def _outline(mask: Mask, width: int) -> NDArray[np.bool_]:
    inner = mask
    for _ in range(width):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outline: NDArray[np.bool_] = mask & ~inner
    return outline

"""The mask drawn on its radiograph."""

import numpy as np
from PIL import Image

from lungmask_cli.imaging.morphology import outline
from lungmask_cli.imaging.radiograph import FloatImage, Mask

_MASK_COLOUR = (64, 200, 255)
_TRUTH_COLOUR = (255, 190, 0)
_TINT = 0.22


def draw_overlay(image: FloatImage, mask: Mask, truth: Mask | None = None) -> Image.Image:
    """The image (H, W) in [0, 1] with the mask tinted and outlined in blue, and `truth` outlined in orange."""
    grey = np.repeat((image * 255).astype(np.uint8)[..., None], 3, axis=2).astype(np.float32)
    grey[mask] = grey[mask] * (1 - _TINT) + np.array(_MASK_COLOUR, np.float32) * _TINT
    width = max(1, round(max(image.shape) / 400))
    if truth is not None:
        grey[outline(truth, width)] = _TRUTH_COLOUR
    grey[outline(mask, width)] = _MASK_COLOUR
    return Image.fromarray(grey.astype(np.uint8))

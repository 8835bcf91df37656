"""Contrast normalisation of a network's input, for networks that were published with one."""

import numpy as np

from lungmask_cli.config import CLAHE
from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import FloatImage

_CLIP_LIMIT = 0.02


def enhance(image: FloatImage, contrast: str) -> FloatImage:
    """The image (H, W) in [0, 1] after contrast normalisation: `clahe`, or `none` to return it unchanged.

    CLAHE is contrast-limited adaptive histogram equalisation (Zuiderveld 1994, Graphics Gems IV, VIII.5), computed by
    scikit-image in tiles of an eighth of each side.

    Raises:
        UsageError: scikit-image is not installed.
    """
    if contrast != CLAHE:
        return image
    try:
        from skimage.exposure import equalize_adapthist
    except ImportError as error:
        raise UsageError(
            "the contrast normalisation clahe needs scikit-image", 'Install it: pip install "lungmask-cli[clahe]"'
        ) from error
    if image.max() <= image.min():  # equalize_adapthist would divide by zero
        return image
    return np.asarray(equalize_adapthist(image, clip_limit=_CLIP_LIMIT), np.float32)

"""Contrast normalisation of what a network sees, for those that were published with one."""

import numpy as np

from lungmask_cli.config import CLAHE
from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import FloatImage

_CLIP_LIMIT = 0.02


def enhance(image: FloatImage, contrast: str) -> FloatImage:
    """The image (H, W) in [0, 1] with that contrast: `clahe`, or `none` for itself.

    CLAHE is the contrast-limited adaptive histogram equalisation of Zuiderveld 1994 (Graphics Gems IV, VIII.5) in tiles
    of an eighth of each side, by scikit-image.

    Raises:
        UsageError: scikit-image is missing.
    """
    if contrast != CLAHE:
        return image
    try:
        from skimage.exposure import equalize_adapthist
    except ImportError as error:
        raise UsageError(
            "the contrast normalisation clahe needs scikit-image", 'Install it: pip install "lungmask-cli[clahe]"'
        ) from error
    if image.max() <= image.min():  # it would divide by the range
        return image
    return np.asarray(equalize_adapthist(image, clip_limit=_CLIP_LIMIT), np.float32)

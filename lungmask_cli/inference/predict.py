"""From a normalised radiograph to its lung mask."""

import numpy as np

from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.geometry import Letterbox
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.inference.cleanup import clean
from lungmask_cli.inference.weights import LoadedModel

THRESHOLD = 0.5


def predict_probability(model: LoadedModel, image: FloatImage, shape: tuple[int, int] | None = None) -> FloatImage:
    """The probability of lung at each pixel: (H, W) in [0, 1].

    Args:
        model: the generator.
        image: the radiograph in [0, 1], at any size.
        shape: H and W, those of the radiograph where `image` is a smaller copy; None for the image's own.
    """
    height, width = shape or image.shape
    box = Letterbox(height, width, model.image_size)
    seen = enhance(box.apply(image), model.contrast)
    drawn = model.generator.predict_on_batch(seen[None, ..., None])
    return box.invert(np.asarray(drawn)[0, ..., 0])


def predict_mask(
    model: LoadedModel, image: FloatImage, cleanup: bool = True, shape: tuple[int, int] | None = None
) -> Mask:
    """The lung mask (H, W) bool: probabilities enlarged, cut at 0.5 and, with `cleanup`, cleaned."""
    mask: Mask = predict_probability(model, image, shape) > THRESHOLD
    return clean(mask) if cleanup else mask

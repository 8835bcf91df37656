"""From a normalised radiograph to its lung mask."""

import numpy as np

from lungmask_cli.imaging.geometry import Letterbox
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.inference.cleanup import clean
from lungmask_cli.inference.weights import LoadedModel

THRESHOLD = 0.5


def predict_probability(model: LoadedModel, image: FloatImage) -> FloatImage:
    """The probability of lung at each pixel: (H, W) in [0, 1] for an image (H, W) in [0, 1] of any size."""
    box = Letterbox(image.shape[0], image.shape[1], model.image_size)
    square = model.generator.predict_on_batch(box.apply(image)[None, ..., None])
    return box.invert(np.asarray(square)[0, ..., 0])


def predict_mask(model: LoadedModel, image: FloatImage, cleanup: bool = True) -> Mask:
    """The lung mask (H, W) bool: probabilities enlarged, cut at 0.5 and, with `cleanup`, cleaned."""
    mask: Mask = predict_probability(model, image) > THRESHOLD
    return clean(mask) if cleanup else mask

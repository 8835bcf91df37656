"""From a normalised radiograph to its lung mask."""

import numpy as np

from lungmask_cli.imaging.borders import within_borders
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.geometry import Letterbox, Window, resize
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.inference.cleanup import clean
from lungmask_cli.inference.weights import LoadedModel

THRESHOLD = 0.5
# Of their height: two lungs are 0.87 and more on the validation images, changed ones among them; one is half that.
_LEAST_WIDTH = 0.75
_SEARCHED_SIDE = 128


def predict_probability(model: LoadedModel, image: FloatImage, shape: tuple[int, int] | None = None) -> FloatImage:
    """The probability of lung at each pixel: (H, W) in [0, 1].

    Args:
        model: the generator.
        image: the radiograph in [0, 1], at any size; more detail than `model.detail` is not looked at.
        shape: H and W, those of the radiograph where `image` is a smaller copy; None for the image's own.
    """
    height, width = shape or image.shape
    box = Letterbox(height, width, model.detail)
    square = box.apply(image)
    if not model.zoom:
        return box.invert(_draw(model, square))
    window = _picture(square)
    drawn = _draw(model, window.cut(square, model.image_size))
    lungs = _both_lungs(drawn)
    probability = window.put_back(drawn, model.detail)
    if lungs:
        window = lungs.within(window)
        closer = window.put_back(_draw(model, window.cut(square, model.image_size)), model.detail)
        probability = (probability + closer) * np.float32(0.5)
    return box.invert(probability)


def _draw(model: LoadedModel, seen: FloatImage) -> FloatImage:
    """What the network draws on (S, S)."""
    drawn = model.generator.predict_on_batch(enhance(seen, model.contrast)[None, ..., None])
    probability: FloatImage = np.asarray(drawn)[0, ..., 0]
    return probability


def _picture(square: FloatImage) -> Window:
    """Where there is a picture and not the page, the collimation or the black beside it."""
    small = resize(square, _SEARCHED_SIDE, _SEARCHED_SIDE)
    picture = np.zeros(small.shape, np.bool_)
    picture[within_borders(small)] = True
    return Window.around(picture, margin=0)


def _both_lungs(drawn: FloatImage) -> Window | None:
    """Where to look again; None where that would cut off a lung that was not found."""
    lungs = clean(drawn > THRESHOLD)
    rows, columns = (np.flatnonzero(lungs.any(axis)) for axis in (1, 0))
    if not rows.size or np.ptp(columns) < _LEAST_WIDTH * np.ptp(rows):
        return None
    return Window.around(lungs)


def predict_mask(
    model: LoadedModel, image: FloatImage, cleanup: bool = True, shape: tuple[int, int] | None = None
) -> Mask:
    """The lung mask (H, W) bool: probabilities enlarged, cut at 0.5 and, with `cleanup`, cleaned."""
    mask: Mask = predict_probability(model, image, shape) > THRESHOLD
    return clean(mask) if cleanup else mask

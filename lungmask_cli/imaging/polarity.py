"""Detection and correction of inverted radiographs: bones are dark although the file does not say so.

The detector is a linear classifier of a thumbnail. Its weights have no bias and the thumbnail has mean 0, so that an
image and its inverse have scores of equal size and opposite sign. `benchmarks/polarity.py` fits and evaluates it.
"""

import functools
import json
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.borders import find_exposed_area
from lungmask_cli.imaging.geometry import Letterbox, resize
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.radiograph import FloatImage, Radiograph

DARK_BONES = "bones were dark and were made bright"
_SIDE = 16
# The image is inverted only if the odds are above e^2 = 7.4 to 1, because the polarity of most files is correct.
_LEAST_EVIDENCE = 2.0
_BORDER_SEARCH_SIDE = 128


def to_network_input(
    radiograph: Radiograph, correct: bool = True, shape: tuple[int, int] | None = None
) -> tuple[FloatImage, bool]:
    """The radiograph as input for a network, (H, W) float32 in [0, 1] with bright bones, and whether it was inverted.

    Args:
        radiograph: as a reader returns it.
        correct: invert the image if its bones are dark; else keep the polarity of the file.
        shape: height and width to resize it to; None keeps its own.
    """
    image = normalize(radiograph, shape)
    if not correct or not has_dark_bones(image):
        return image, False
    return normalize(radiograph.inverted(), shape), True


def has_dark_bones(image: FloatImage) -> bool:
    """Whether the classifier is certain that the image (H, W) in [0, 1] is inverted."""
    return polarity_score(image) < -_LEAST_EVIDENCE


def polarity_score(image: FloatImage) -> float:
    """The log odds that bones are bright in the image (H, W) in [0, 1]: negative where they are dark."""
    return float(_load_weights() @ make_thumbnail(image))


def make_thumbnail(image: FloatImage) -> NDArray[np.float32]:
    """The classifier's input, (256,): the exposed area of the image at 16 x 16 pixels, mean 0, standard deviation 1.

    Collimation and black margins are left out, because they are black in either polarity.
    """
    content = Letterbox(image.shape[0], image.shape[1], _BORDER_SEARCH_SIDE).content
    small = resize(image, *content)
    thumbnail = resize(small[find_exposed_area(small)], _SIDE, _SIDE).ravel()
    thumbnail = thumbnail - thumbnail.mean()
    return thumbnail / (thumbnail.std() + np.float32(1e-3))


@functools.cache
def _load_weights() -> NDArray[np.float32]:
    fitted = json.loads(files(__package__).joinpath("polarity.json").read_text(encoding="utf-8"))
    return np.array(fitted["weights"], np.float32)

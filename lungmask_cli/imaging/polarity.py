"""Radiographs whose file lies about their polarity: bones dark although the header, or nothing, says bright.

A linear classifier on a thumbnail. Its weights have no bias and the thumbnail no mean, so that the two polarities of an
image have scores of the same size and opposite sign. `benchmarks/polarity.py` fits and measures it.
"""

import functools
import json
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.borders import find_content
from lungmask_cli.imaging.geometry import Letterbox, resize
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.radiograph import FloatImage, Radiograph

DARK_BONES = "bones were dark and were made bright"
THUMBNAIL_SIDE = 16
# The file is believed unless the odds are above e^2 = 7.4 to 1 against it: most files tell the truth.
_LEAST_EVIDENCE = 2.0
_SEARCHED_SIDE = 128


def to_network_input(
    radiograph: Radiograph, correct: bool = True, shape: tuple[int, int] | None = None
) -> tuple[FloatImage, bool]:
    """The radiograph as input for a network, (H, W) float32 in [0, 1] with bright bones, and whether it was inverted.

    Args:
        radiograph: as a reader gave it.
        correct: make bones bright where they are not; else the file is believed.
        shape: height and width to resize it to; None keeps its own.
    """
    image = normalize(radiograph, shape)
    if not correct or not bones_are_dark(image):
        return image, False
    return normalize(radiograph.inverted(), shape), True


def bones_are_dark(image: FloatImage) -> bool:
    """Whether the image (H, W) in [0, 1] is surely inverted."""
    return polarity_score(image) < -_LEAST_EVIDENCE


def polarity_score(image: FloatImage) -> float:
    """The logarithm of the odds that bones are bright in the image (H, W) in [0, 1]: negative where they are dark."""
    return float(_weights() @ thumbnail(image))


def thumbnail(image: FloatImage) -> NDArray[np.float32]:
    """What the classifier sees: (256,), the 16 x 16 picture within uniform borders, of mean 0 and standard deviation 1.

    Collimation and the black beside a picture say nothing: they are black in either polarity.
    """
    content = Letterbox(image.shape[0], image.shape[1], _SEARCHED_SIDE).content
    small = resize(image, *content)
    seen = resize(small[find_content(small)], THUMBNAIL_SIDE, THUMBNAIL_SIDE).ravel()
    seen = seen - seen.mean()
    return seen / (seen.std() + np.float32(1e-3))


@functools.cache
def _weights() -> NDArray[np.float32]:
    fitted: dict[str, Any] = json.loads(files(__package__).joinpath("polarity.json").read_text(encoding="utf-8"))
    return np.array(fitted["weights"], np.float32)

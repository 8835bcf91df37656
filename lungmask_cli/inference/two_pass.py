"""From a normalised radiograph to the probability of lung."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lungmask_cli.imaging.borders import find_exposed_area
from lungmask_cli.imaging.components import clean
from lungmask_cli.imaging.geometry import MIN_WIDTH, WHOLE, ZOOM_MARGIN, Letterbox, Window, resize
from lungmask_cli.imaging.morphology import bounding_box
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.models.network import THRESHOLD, Network, predict_one

_SEARCHED_SIDE = 128
# Test-time augmentation looks at the lungs with more around them as well.
_MORE_MARGINS = (0.1, 0.15, 0.2)


@dataclass(frozen=True)
class Look:
    """A drawing of a part of a radiograph.

    Args:
        window: which part.
        drawn: the probabilities there, (S, S) float32 in [0, 1].
    """

    window: Window
    drawn: FloatImage

    def at(self, size: int) -> FloatImage:
        """The drawing where it was seen, in the square of (size, size); 0 where it saw nothing."""
        return self.window.paste(self.drawn, size)


@dataclass(frozen=True)
class Prediction:
    """What was drawn on one radiograph.

    Args:
        box: how the radiograph lies in a square of D x D pixels.
        seen: the radiograph there, (D, D) float32 in [0, 1].
        looks: each drawing that counts.
        searches: each drawing that only told where to look; none by networks that draw once.
    """

    box: Letterbox
    seen: FloatImage
    looks: tuple[Look, ...]
    searches: tuple[Look, ...] = ()

    @functools.cached_property
    def probability(self) -> FloatImage:
        """The probability of lung, (D, D): the mean of all looks."""
        total = self.looks[0].at(self.box.size)
        for look in self.looks[1:]:
            total += look.at(self.box.size)
        return total * np.float32(1 / len(self.looks)) if len(self.looks) > 1 else total

    def enlarged(self) -> FloatImage:
        """The probability at each pixel of the radiograph, (H, W)."""
        return self.box.invert(self.probability)


def predict(
    networks: Sequence[Network], image: FloatImage, shape: tuple[int, int] | None = None, augment: bool = False
) -> Prediction:
    """What the networks draw on a radiograph; each counts the same.

    Args:
        networks: at least one.
        image: the radiograph in [0, 1], at any size; more than `content` is not looked at.
        shape: H and W, those of the radiograph where `image` is a smaller copy; None for the image's own.
        augment: look more often, at slightly different parts, and at the mirror image if the network knows that.
    """
    height, width = shape or image.shape
    box = _box(networks, height, width)
    square = box.apply(image)
    looks: list[Look] = []
    searches: list[Look] = []
    for network in networks:
        window = WHOLE
        if network.zoom:
            search, window = _search(network, square)
            searches.append(search)
        looks += _looks(network, square, window, augment)
    return Prediction(box, square, tuple(looks), tuple(searches))


def content(networks: Sequence[Network], height: int, width: int) -> tuple[int, int]:
    """The size at which networks look at a radiograph: its own, or a smaller one that has all they can see."""
    return _box(networks, height, width).content


def _box(networks: Sequence[Network], height: int, width: int) -> Letterbox:
    return Letterbox(height, width, min(max(height, width), max(network.detail for network in networks)))


def _search(network: Network, square: FloatImage) -> tuple[Look, Window]:
    """A drawing of the whole picture, and where the lungs are by it."""
    picture = _picture(square)
    drawn = predict_one(network, picture.crop(square, network.localization_size))
    lungs = _both_lungs(drawn)
    return Look(picture, drawn), lungs.within(picture) if lungs else picture


def _looks(network: Network, square: FloatImage, window: Window, augment: bool) -> Iterator[Look]:
    """Each drawing of what is in the window."""
    yield _look(network, square, window)
    if augment:
        for margin in _MORE_MARGINS:
            yield _look(network, square, window.widen(margin - ZOOM_MARGIN))
    if augment and network.flips:
        mirrored = np.ascontiguousarray(square[:, ::-1])
        yield Look(window, _look(network, mirrored, window.mirror()).drawn[:, ::-1])


def _look(network: Network, square: FloatImage, window: Window) -> Look:
    return Look(window, predict_one(network, window.crop(square, network.image_size)))


def _picture(square: FloatImage) -> Window:
    """Where there is a picture and not the page, the collimation or the black beside it."""
    small = resize(square, _SEARCHED_SIDE, _SEARCHED_SIDE)
    picture = np.zeros(small.shape, np.bool_)
    picture[find_exposed_area(small)] = True
    return Window.around(picture, margin=0)


def _both_lungs(drawn: FloatImage) -> Window | None:
    """Where to look closely; None where that would cut off a lung that was not found."""
    lungs = clean(drawn > THRESHOLD, most=None)  # the largest parts need not be the lungs
    if not lungs.any():
        return None
    rows, columns = bounding_box(lungs)
    if columns.stop - columns.start - 1 < MIN_WIDTH * (rows.stop - rows.start - 1):
        return None
    return Window.around(lungs)


def as_mask(prediction: Prediction, cleanup: bool = True) -> Mask:
    """The lungs, (H, W) bool: probabilities enlarged, cut at one half and, with `cleanup`, cleaned."""
    mask = prediction.box.invert_and_threshold(prediction.probability, THRESHOLD)
    return clean(mask) if cleanup else mask

"""From a normalised radiograph to the probability of lung and heart, in one pass of the network or in two.

A network with `zoom` runs twice: the localization pass finds the lungs on the whole image, and the refinement pass
predicts the mask on the crop around them.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lungmask_cli.config import HEART, LUNGS
from lungmask_cli.imaging.borders import find_exposed_area
from lungmask_cli.imaging.components import PixelRuns, clean
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.filters import blur
from lungmask_cli.imaging.geometry import MIN_WIDTH, WHOLE, ZOOM_MARGIN, Letterbox, Window, resize
from lungmask_cli.imaging.morphology import bounding_box
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.models.network import THRESHOLD, Network

_BORDER_DETECTION_SIZE = 128
# The refinement pass is smoothed by a Gaussian of this standard deviation, as a fraction of the crop's side: networks
# draw teeth where contrast is low, and lungs have none.
_SMOOTHING = 0.007
# Test-time augmentation also predicts from crops with these larger margins around the lungs.
_TTA_MARGINS = (0.1, 0.15, 0.2)


@dataclass(frozen=True)
class Pass:
    """A network's prediction on one square crop of a radiograph.

    Args:
        window: the crop.
        probability: the probability of lung in the crop, (S, S) float32 in [0, 1].
        refines: whether it is a refinement pass.
        heart: the probability of heart; None for networks that do not know it.
    """

    window: Window
    probability: FloatImage
    refines: bool = False
    heart: FloatImage | None = None

    def place(self, size: int) -> FloatImage:
        """The probability in the square of the whole radiograph, (size, size); 0 outside the crop."""
        return self.window.paste(self.probability, size)

    def place_smoothed(self, size: int, structure: str = LUNGS) -> FloatImage:
        """That of a structure, without the teeth that networks draw where contrast is low, if it is a refinement pass.

        Raises:
            ValueError: the network does not know the structure.
        """
        probability = self.probability if structure == LUNGS else self.heart
        if probability is None:
            raise ValueError(f"the network does not predict: {structure}")
        smoothed = blur(probability, _SMOOTHING * len(probability)) if self.refines else probability
        return self.window.paste(smoothed, size)


@dataclass(frozen=True)
class Prediction:
    """What the networks predict on one radiograph.

    Args:
        box: the position of the radiograph in a square of D x D pixels.
        image: the radiograph in this square, (D, D) float32 in [0, 1].
        passes: the passes whose mean is the prediction.
        localization_passes: the passes that only located the lungs; empty for networks without `zoom`.
    """

    box: Letterbox
    image: FloatImage
    passes: tuple[Pass, ...]
    localization_passes: tuple[Pass, ...] = ()

    @functools.cached_property
    def probability(self) -> FloatImage:
        """The probability of lung, (D, D): the mean of all passes, smoothed."""
        return self._mean(LUNGS)

    @functools.cached_property
    def heart(self) -> FloatImage:
        """The probability of heart, likewise.

        Raises:
            ValueError: a network does not know the heart.
        """
        return self._mean(HEART)

    def _mean(self, structure: str) -> FloatImage:
        total = self.passes[0].place_smoothed(self.box.size, structure)
        for other in self.passes[1:]:
            total += other.place_smoothed(self.box.size, structure)
        return total * np.float32(1 / len(self.passes)) if len(self.passes) > 1 else total

    def enlarge(self) -> FloatImage:
        """The probability at each pixel of the radiograph, (H, W)."""
        return self.box.invert(self.probability)


def predict(
    networks: Sequence[Network], image: FloatImage, shape: tuple[int, int] | None = None, tta: bool = False
) -> Prediction:
    """Predict the lungs on a radiograph; all networks have the same weight.

    Args:
        networks: at least one.
        image: the radiograph in [0, 1], at any size; resolution above `input_shape` is not used.
        shape: the height and width of the radiograph if `image` is a smaller copy; None for the image's own.
        tta: test-time augmentation: also predict from slightly different crops, and from the mirror image if the
            network was trained on mirrored images.
    """
    height, width = shape or image.shape
    box = _box(networks, height, width)
    square = box.apply(image)
    passes: list[Pass] = []
    localization_passes: list[Pass] = []
    for network in networks:
        window = WHOLE
        if network.zoom:
            localization_pass, window = _localize(network, square)
            localization_passes.append(localization_pass)
        passes += (replace(one, refines=network.zoom) for one in _run_passes(network, square, window, tta))
    return Prediction(box, square, tuple(passes), tuple(localization_passes))


def input_shape(networks: Sequence[Network], height: int, width: int) -> tuple[int, int]:
    """The height and width at which the networks need a radiograph: its own, or smaller without loss for them."""
    return _box(networks, height, width).content


def _box(networks: Sequence[Network], height: int, width: int) -> Letterbox:
    return Letterbox(height, width, min(max(height, width), max(network.detail for network in networks)))


def _localize(network: Network, square: FloatImage) -> tuple[Pass, Window]:
    """The localization pass, and the window around the lungs that it found."""
    small = resize(square, _BORDER_DETECTION_SIZE, _BORDER_DETECTION_SIZE)
    exposed = np.zeros(small.shape, np.bool_)
    exposed[find_exposed_area(small)] = True
    picture = Window.around(exposed, margin=0)  # without page margins, collimation or black borders
    localization_pass = _run_pass(network, square, picture, network.localization_size)
    lungs = _locate_lungs(localization_pass.probability)
    return localization_pass, lungs.within(picture) if lungs else picture


def _run_passes(network: Network, square: FloatImage, window: Window, tta: bool) -> Iterator[Pass]:
    """The pass on the window and, with `tta`, those on wider windows and on the mirror image."""
    yield _run_pass(network, square, window, network.image_size)
    if tta:
        for margin in _TTA_MARGINS:
            yield _run_pass(network, square, window.widen(margin - ZOOM_MARGIN), network.image_size)
    if tta and network.flips:
        mirror_image = np.ascontiguousarray(square[:, ::-1])
        mirrored = _run_pass(network, mirror_image, window.mirror(), network.image_size)
        heart = None if mirrored.heart is None else mirrored.heart[:, ::-1]
        yield Pass(window, mirrored.probability[:, ::-1], heart=heart)


def _run_pass(network: Network, square: FloatImage, window: Window, size: int) -> Pass:
    predicted = network.predict(enhance(window.crop(square, size), network.contrast)[None])[0]
    masks = {name: np.ascontiguousarray(predicted[..., index]) for index, name in enumerate(network.structures)}
    return Pass(window, masks[LUNGS], heart=masks.get(HEART))


def _locate_lungs(probability: FloatImage) -> Window | None:
    """The window around the lungs; None where it might crop off a lung that the localization pass missed."""
    lungs = clean(probability > THRESHOLD, most=None)  # the largest components need not be the lungs
    if not lungs.any():
        return None
    rows, columns = bounding_box(lungs)
    if columns.stop - columns.start - 1 < MIN_WIDTH * (rows.stop - rows.start - 1):
        return None
    return Window.around(lungs)


def find_lungs(prediction: Prediction, cleanup: bool = True) -> PixelRuns:
    """The runs of the lungs: the enlarged probability, thresholded at 0.5 and, with `cleanup`, cleaned."""
    runs = prediction.box.invert_and_threshold(prediction.probability, THRESHOLD)
    return runs.clean() if cleanup else runs


def find_heart(prediction: Prediction, cleanup: bool = True) -> PixelRuns:
    """The runs of the heart, likewise; with `cleanup`, the largest component without holes.

    Raises:
        ValueError: a network does not know the heart.
    """
    runs = prediction.box.invert_and_threshold(prediction.heart, THRESHOLD)
    return runs.clean(most=1) if cleanup else runs


def as_mask(prediction: Prediction, cleanup: bool = True) -> Mask:
    """As `find_lungs`, (H, W) bool."""
    return find_lungs(prediction, cleanup).paint()

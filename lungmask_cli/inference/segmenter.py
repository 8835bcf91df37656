"""One radiograph in, its lungs out: what scripts and the command line alike are built on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.polarity import DARK_BONES, to_network_input
from lungmask_cli.imaging.radiograph import FloatImage, Mask, Radiograph, Spacing
from lungmask_cli.imaging.sides import split_sides
from lungmask_cli.inference.quality import Quality, assess, read_baseline
from lungmask_cli.inference.two_pass import Prediction, as_mask, content, predict
from lungmask_cli.models.load import KERAS, load_network, start_runtime
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS, find_weights
from lungmask_cli.models.network import Network


@dataclass(frozen=True)
class Segmentation:
    """The lungs of one radiograph of H x W pixels.

    Args:
        lungs: (H, W) bool, both lungs.
        right: the patient's right lung alone, which is on the image's left; (H, W) bool.
        left: the patient's left lung alone.
        prediction: what the networks drew, at their own size.
        quality: how far the mask can be trusted.
        spacing: of the pixels; None if unknown.
        inverted: whether the radiograph was inverted, because its bones were dark.
        warnings: a sentence for each thing that a user should know about the radiograph.
    """

    lungs: Mask
    right: Mask
    left: Mask
    prediction: Prediction
    quality: Quality
    spacing: Spacing | None
    inverted: bool
    warnings: tuple[str, ...]

    @property
    def probability(self) -> FloatImage:
        """Of lung at each pixel, (H, W) float32 in [0, 1], before clean-up."""
        return self.prediction.enlarged()


class Segmenter:
    """Finds the lungs in frontal chest radiographs.

    The weights are loaded once, when it is made. Several threads may use one at the same time.

    Args:
        weights: those that ship, by name; a `.weights.h5` file; or a run folder. Of several, the mean counts.
        device: `auto`, `cpu`, `gpu`, or `gpu:N`.
        runtime: what computes the network: `keras`, or `onnx`, which needs the extra `[fast]`.
        cleanup: fill holes and keep the two largest parts.
        correct_polarity: make dark bones bright, whatever the file says.
        augment: test-time augmentation: look more often, at slightly different parts.
        max_pixels: larger images are refused.
        threads: how many threads will call it at the same time: on a CPU the network then takes one core for each, and
            a GPU draws for all that wait at once. None for one caller, to whom all cores are given.

    Raises:
        UsageError: there are no such weights, or they are damaged; no such device or runtime.
    """

    def __init__(
        self,
        weights: str | Path | Sequence[str | Path] = DEFAULT_WEIGHTS,
        *,
        device: str = "auto",
        runtime: str = KERAS,
        cleanup: bool = True,
        correct_polarity: bool = True,
        augment: bool = False,
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
    ) -> None:
        names = [weights] if isinstance(weights, (str, Path)) else list(weights)
        paths = [find_weights(str(name)) for name in names]
        self.device = start_runtime(runtime, device, threads)
        together = threads if threads and self.device.kind == "gpu" else 1
        self.networks: tuple[Network, ...] = tuple(load_network(path, runtime, threads, together) for path in paths)
        self._usual = read_baseline([network.manifest for network in self.networks])
        self._cleanup = cleanup
        self._correct_polarity = correct_polarity
        self._augment = augment
        self._max_pixels = max_pixels

    def segment(self, radiograph: str | Path | NDArray[Any]) -> Segmentation:
        """The lungs in a file, or in an array (H, W) of numbers in any linear unit, bones bright and air dark.

        Raises:
            ImageError: the file cannot be read or is not a radiograph; the array is not (H, W), or is not numbers.
        """
        if isinstance(radiograph, (str, Path)):
            return self.segment_radiograph(read_radiograph(Path(radiograph), self._max_pixels))
        return self.segment_radiograph(_from_array(radiograph))

    def segment_radiograph(self, radiograph: Radiograph) -> Segmentation:
        """The lungs in what `read_radiograph` gave."""
        seen = content(self.networks, *radiograph.shape)
        image, inverted = to_network_input(radiograph, self._correct_polarity, seen)
        prediction = predict(self.networks, image, radiograph.shape, self._augment)
        lungs = as_mask(prediction, self._cleanup)
        right, left = split_sides(lungs)
        return Segmentation(
            lungs=lungs,
            right=right,
            left=left,
            prediction=prediction,
            quality=assess(prediction, right, left, self._usual),
            spacing=radiograph.spacing,
            inverted=inverted,
            warnings=(*radiograph.warnings, *([DARK_BONES] if inverted else [])),
        )


def _from_array(array: NDArray[Any]) -> Radiograph:
    pixels = np.asarray(array)
    if pixels.ndim != 2 or not pixels.size:
        raise ImageError(f"an array of shape {pixels.shape} is no radiograph", "Give one of (height, width).")
    if pixels.dtype.kind not in "biuf" or not np.isfinite(pixels).all():
        raise ImageError("the array holds values that are no numbers", "Give whole or floating-point numbers.")
    return Radiograph(pixels.astype(np.float32) if pixels.dtype.kind in "bf" else pixels)

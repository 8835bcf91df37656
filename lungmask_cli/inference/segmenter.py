"""Segments one radiograph. Scripts and the command line are both built on this module."""

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.cardiothoracic import CardiothoracicRatio, measure_ratio
from lungmask_cli.imaging.components import PixelRuns
from lungmask_cli.imaging.polarity import DARK_BONES, to_network_input
from lungmask_cli.imaging.radiograph import FloatImage, Mask, Radiograph, Spacing
from lungmask_cli.imaging.sides import split_runs
from lungmask_cli.inference.heart import RatioError, doubt_ratio, read_ratio_error
from lungmask_cli.inference.options import InferenceOptions
from lungmask_cli.inference.quality import NetworkBaseline, Quality, assess, read_baseline
from lungmask_cli.inference.two_pass import Prediction, find_heart, find_lungs, input_shape, predict
from lungmask_cli.models.load import load_network, start_runtime
from lungmask_cli.models.network import Network
from lungmask_cli.networks.backend import Device


@dataclass(frozen=True)
class Segmentation:
    """The lungs of one radiograph of H x W pixels, and its heart if it was asked for.

    Args:
        right_runs: the patient's right lung, which is on the left side of the image.
        left_runs: the patient's left lung.
        prediction: the networks' prediction, at their own resolution.
        quality: how far the mask can be trusted.
        spacing: the pixel spacing; None if unknown.
        inverted: whether the radiograph was inverted because its bones were dark.
        warnings: one sentence for each problem of the radiograph that a user should know about.
        heart_runs: the heart; None if it was not segmented.
        cardiothoracic_ratio: the ratio with its two widths; None without a heart, or if the heart or a lung is missing.
        ratio_interval: the limits between which 95 % of the ratios of hand-drawn masks lie for such a ratio, on
            radiographs like those of validation; None if unknown.
    """

    right_runs: PixelRuns
    left_runs: PixelRuns
    prediction: Prediction
    quality: Quality
    spacing: Spacing | None
    inverted: bool
    warnings: tuple[str, ...]
    heart_runs: PixelRuns | None = None
    cardiothoracic_ratio: CardiothoracicRatio | None = None
    ratio_interval: tuple[float, float] | None = None

    @functools.cached_property
    def heart(self) -> Mask | None:
        """The heart, (H, W) bool; None if it was not segmented."""
        return None if self.heart_runs is None else self.heart_runs.paint()

    @functools.cached_property
    def lungs(self) -> Mask:
        """Both lungs, (H, W) bool."""
        return self.right_runs.join(self.left_runs).paint()

    @functools.cached_property
    def right(self) -> Mask:
        """The patient's right lung, (H, W) bool."""
        return self.right_runs.paint()

    @functools.cached_property
    def left(self) -> Mask:
        """The patient's left lung, (H, W) bool."""
        return self.left_runs.paint()

    @property
    def probability(self) -> FloatImage:
        """The probability of lung at each pixel before clean-up, (H, W) float32 in [0, 1]."""
        return self.prediction.enlarge()


@dataclass(frozen=True)
class Segmenter(InferenceOptions):
    """Segments the lungs in frontal chest radiographs.

    The weights are loaded once, when the segmenter is created. Several threads may share it. Its arguments are those of
    `InferenceOptions`, and:

    Args:
        threads: the number of threads that call the segmenter in parallel. On a CPU, each call then uses one core; a
            GPU predicts all waiting images as one batch. None for a single caller that uses all cores.

    Raises:
        UsageError: the weights do not exist or are damaged, or the device or runtime is not available.
    """

    threads: int | None = field(default=None, kw_only=True)
    hardware: Device = field(init=False, repr=False, compare=False)
    networks: tuple[Network, ...] = field(init=False, repr=False, compare=False)
    _baseline: NetworkBaseline | None = field(init=False, repr=False, compare=False)
    _ratio_error: RatioError | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        paths = self.weight_files()
        runtime, hardware = start_runtime(self.choose_runtime(), self.device, self.threads)
        batch_size = self.threads if self.threads and hardware.kind == "gpu" else 1
        networks = tuple(load_network(path, runtime, self.threads, batch_size) for path in paths)
        manifests = [network.manifest for network in networks]
        values = {
            "hardware": hardware,
            "networks": networks,
            "_baseline": read_baseline(manifests),
            "_ratio_error": read_ratio_error(manifests),
        }
        for name, value in values.items():  # the usual way to set fields of a frozen dataclass
            object.__setattr__(self, name, value)

    def segment(self, radiograph: str | Path | NDArray[Any]) -> Segmentation:
        """Segment a file, or an array (H, W) of numbers in any linear unit in which bones are bright and air is dark.

        Raises:
            ImageError: the file cannot be read or is not a radiograph, or the array is not (H, W) or not numeric.
        """
        if isinstance(radiograph, (str, Path)):
            return self.segment_radiograph(read_radiograph(Path(radiograph), self.max_pixels))
        return self.segment_radiograph(_from_array(radiograph))

    def segment_radiograph(self, radiograph: Radiograph) -> Segmentation:
        """Segment a radiograph that `read_radiograph` has read."""
        shape = input_shape(self.networks, *radiograph.shape)
        image, inverted = to_network_input(radiograph, self.polarity, shape)
        prediction = predict(self.networks, image, radiograph.shape, self.tta)
        right, left = split_runs(find_lungs(prediction, self.cleanup))
        quality = assess(prediction, right, left, self._baseline)
        warnings = (*radiograph.warnings, *([DARK_BONES] if inverted else []), *quality.warnings)
        segmentation = Segmentation(right, left, prediction, quality, radiograph.spacing, inverted, warnings)
        return self._add_heart(segmentation, radiograph) if self.heart else segmentation

    def _add_heart(self, segmentation: Segmentation, radiograph: Radiograph) -> Segmentation:
        heart = find_heart(segmentation.prediction, self.cleanup)
        ratio = measure_ratio(heart, segmentation.right_runs, segmentation.left_runs)
        doubts = doubt_ratio(radiograph, heart, ratio, bool(segmentation.quality.reasons))
        return replace(
            segmentation,
            heart_runs=heart,
            cardiothoracic_ratio=ratio,
            ratio_interval=self._ratio_error.interval(ratio.value) if ratio and self._ratio_error else None,
            warnings=(*segmentation.warnings, *doubts),
        )


def _from_array(array: NDArray[Any]) -> Radiograph:
    pixels = np.asarray(array)
    if pixels.ndim != 2 or not pixels.size:
        raise ImageError(f"an array of shape {pixels.shape} is not a radiograph", "Its shape must be (height, width).")
    if pixels.dtype.kind not in "biuf" or not np.isfinite(pixels).all():
        raise ImageError("the array contains values that are not numbers", "Use integers or floating-point numbers.")
    return Radiograph(pixels.astype(np.float32) if pixels.dtype.kind in "bf" else pixels)

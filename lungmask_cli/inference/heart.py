"""The cardiothoracic ratio of a segmentation: its interval, and the reasons not to rely on it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.cardiothoracic import CardiothoracicRatio, Extent
from lungmask_cli.imaging.components import PixelRuns
from lungmask_cli.imaging.radiograph import Radiograph

RATIO_ERROR = "cardiothoracic_ratio_error"  # in the manifest
_SDS = 1.96  # 95 % of a normal distribution are within this many standard deviations
_LEAST_IMAGES = 2
_AT_EDGE = 0.01  # of the side; networks seldom predict the last pixel


@dataclass(frozen=True)
class RatioError:
    """The error of the cardiothoracic ratios of a network on validation images.

    Args:
        bias: the mean of predicted minus reference ratio.
        sd: the standard deviation of these differences.
        images: their number.
    """

    bias: float
    sd: float
    images: int

    def interval(self, ratio: float) -> tuple[float, float]:
        """The limits between which 95 % of the reference ratios lie for a predicted one, if images are similar.

        They are the limits of agreement of Bland and Altman 1986 (10.1016/S0140-6736(86)90837-8).
        """
        middle, half = ratio - self.bias, _SDS * self.sd
        return middle - half, middle + half


def measure_ratio_error(differences: Iterable[float]) -> RatioError | None:
    """The error from differences of ratios, NaN where undefined; None with fewer than two defined ones."""
    defined = [difference for difference in differences if not math.isnan(difference)]
    if len(defined) < _LEAST_IMAGES:
        return None
    return RatioError(float(np.mean(defined)), float(np.std(defined, ddof=1)), len(defined))


def read_ratio_error(manifests: Sequence[Mapping[str, Any]]) -> RatioError | None:
    """The largest error of the networks of these manifests; None if it was not measured for one of them.

    Raises:
        UsageError: an error does not have the numbers that it should have.
    """
    try:
        errors = [RatioError(**manifest[RATIO_ERROR]) for manifest in manifests if RATIO_ERROR in manifest]
    except TypeError as error:
        raise UsageError(
            f"the weights' manifest has other entries in {RATIO_ERROR} than this version knows: {error}",
            "Copy it again from where the weights came from.",
        ) from error
    return max(errors, key=lambda error: error.sd) if len(errors) == len(manifests) else None


def doubt_ratio(
    radiograph: Radiograph, heart: PixelRuns, ratio: CardiothoracicRatio | None, doubtful: bool
) -> Iterator[str]:
    """One sentence for each reason why the ratio is missing or misleads.

    Args:
        radiograph: its header may name the view.
        heart: the heart.
        ratio: the ratio; None if the heart or a lung is missing.
        doubtful: whether the masks of the lungs are doubtful.
    """
    if ratio is None:
        missing = "both lungs are needed for the width of the thorax" if heart.area else "no heart was found"
        yield f"no cardiothoracic ratio: {missing}"
        return
    height, width = heart.shape
    reasons = {
        "the view is anteroposterior or the patient supine, which magnifies the heart": radiograph.anteroposterior,
        "the heart is cut off by the image's edge": _at_side(ratio.heart, width)
        or heart.rows[-1] >= height - 1 - _AT_EDGE * height,
        "the thorax is cut off by the image's edge": _at_side(ratio.thorax, width),
        "the mask of the lungs is doubtful": doubtful,
    }
    yield from (f"the cardiothoracic ratio misleads: {reason}" for reason, applies in reasons.items() if applies)


def _at_side(extent: Extent, width: int) -> bool:
    """Whether the extent reaches the left or right edge of an image of this width."""
    return extent.first <= _AT_EDGE * width or extent.end >= (1 - _AT_EDGE) * width

"""What the numbers in a mask file mean.

The rules, from the first to the last; the same table with examples is in docs/reference/formats.md.

| numbers | meaning |
|---|---|
| negative, or not finite | refused |
| in a format that does not keep numbers exactly: none above 63 | refused: small numbers may be lost |
| with `threshold` | probabilities: lung from the threshold; 0 and 1, or 0 and 255, are a binary mask all the same |
| with `labels` | lung where the number is a label; 0 and 255, or 0 and 65535, are a binary mask all the same |
| only 0 | an empty mask |
| 0, 1, 2 as whole numbers, or two of them with 2 | labels: 1 right lung, 2 left lung |
| no number in the lowest fifth, except a single number | refused: there is no background |
| 0 and one other whole number: 1, or above 20 | a binary mask |
| whole numbers up to a fifth of the largest of the type | refused: labels or probabilities |
| others: an even area of a number between background and largest | refused: another label, or "ignore" |
| others: more numbers between background and half than half of the lungs' | refused: a lung may be lost |
| others: smoothed masks, probabilities | lung from half of the largest; of numbers in [0, 1], from 0.5 |
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS, LungMask, Mask

_MAX_16_BIT, _MAX_8_BIT = 65535, 255
_BACKGROUND_SHARE = 0.2  # values up to this share of the largest are background
_FULL_SHARE = 0.95  # values from this share of the largest are as good as the largest
_LARGEST_LABEL = 20
_LEAST_LOSSY = 64  # a largest value below may be a label that lossy compression has changed
_NOISE_SHARE = 0.01  # of the largest value: what lossy compression adds to even areas
_EVEN_SHARE, _LEAST_EVEN_PIXELS = 0.001, 9  # of the image's area, and in pixels
_FEW_VALUES = 20
_LARGEST_PROBABILITY = 1.001  # with rounding
_HINT = "Give the labels of the lungs with --labels RIGHT,LEFT, or for probabilities a --threshold."
_LABELS_HINT = (
    'Give two whole numbers, such as 1,2, one for both lungs, colours such as "#00ff00,#0000ff", or names, such as '
    "right=1,left=2,heart=3 or lungs=1,heart=2."
)
_LABEL_NAMES = ("right,left", "lungs", "right,left,heart", "lungs,heart")


@dataclass(frozen=True)
class MaskOptions:
    """How to interpret the values of a mask file.

    Args:
        threshold: the values are probabilities, and lung where they are at least this. Integers are divided by the
            largest value of the file's type; floating-point values must be in [0, 1]. Files of 0 and 1, or of 0 and
            255, are binary masks all the same.
        labels: the values are labels; those of the right and of the left lung, or twice that of both. Files that hold
            only 0 and 255, or 0 and 65535, are binary masks all the same.
        heart: the label of the heart; None if there is none.
        in_colour: the labels are colours, as 0xRRGGBB.
        max_pixels: larger images are rejected.
    """

    threshold: float | None = None
    labels: tuple[int, int] | None = None
    heart: int | None = None
    in_colour: bool = False
    max_pixels: int = MAX_PIXELS


DEFAULT_MASKS = MaskOptions()


def make_mask_options(labels: str | None, threshold: float | None, max_pixels: int = MAX_PIXELS) -> MaskOptions:
    """The options from the texts of --labels and --threshold; None for options that are not given.

    Raises:
        UsageError: the labels are neither one or two whole numbers nor colours, or the threshold is not in (0, 1].
    """
    if threshold is not None and not 0 < threshold <= 1:
        raise UsageError(f"--threshold {threshold:g}: is not above 0 and at most 1", "Give a probability, such as 0.5.")
    if labels is None:
        return MaskOptions(threshold, max_pixels=max_pixels)
    values, in_colour = _parse_labels(labels)
    if len(set(values.values())) < len(values):
        raise UsageError(f"--labels {labels}: two labels are the same", "Give one for both lungs, such as 1.")
    both = values.get("lungs", 0)
    lungs = values.get("right", both), values.get("left", both)
    return MaskOptions(threshold, lungs, values.get("heart"), in_colour, max_pixels)


def _parse_labels(text: str) -> tuple[dict[str, int], bool]:
    """The label of each structure, and whether labels are colours."""
    terms = [term.rpartition("=")[::2] for term in text.replace(" ", "").lower().split(",")]
    names, labels = ([term[index] for term in terms] for index in (0, 1))
    if not any(names):
        names = ["lungs"] if len(labels) == 1 else ["right", "left"]
    colours = [re.fullmatch("#([0-9a-f]{6})", label) for label in labels]
    numbers = [re.fullmatch(r"(\d+)", label, re.ASCII) for label in labels]
    matches = [match for match in (colours if any(colours) else numbers) if match]
    known = any(sorted(names) == sorted(known.split(",")) for known in _LABEL_NAMES)
    if not known or len(matches) < len(names) or len(names) < len(labels):
        raise UsageError(f"--labels {text}: is neither labels nor colours", _LABELS_HINT)
    base = 16 if any(colours) else 10
    return {name: int(match[1], base) for name, match in zip(names, matches, strict=True)}, any(colours)


def describe_labels(options: MaskOptions) -> str | None:
    """The labels as they are given to --labels; None without labels."""
    if options.labels is None:
        return None
    lungs = dict.fromkeys(options.labels)
    labels = [
        f"#{label:06x}" if options.in_colour else str(label) for label in (*lungs, options.heart) if label is not None
    ]
    if options.heart is None:
        return ",".join(labels)
    names = ("right", "left", "heart") if len(lungs) == 2 else ("lungs", "heart")
    return ",".join(f"{name}={label}" for name, label in zip(names, labels, strict=True))


def interpret(values: NDArray[Any], path: Path, options: MaskOptions, lossy: bool = False) -> LungMask:
    """The mask that the values (H, W) of a file mean, by the rules at the head of this module.

    Args:
        values: integers or floating-point numbers.
        path: the file, for messages.
        options: what the user says about the values.
        lossy: the file does not keep numbers exactly.

    Raises:
        ImageError: the meaning is unclear; the hint names the option that decides.
    """
    values = _check_numbers(values, path, options.threshold)
    largest = float(values.max())
    if lossy and (options.labels is not None or (options.threshold is None and largest < _LEAST_LOSSY)):
        raise ImageError(
            f"{path}: labels, and masks of small numbers such as 1, are not kept exactly in a file of this kind",
            "Save the mask without loss, as 8-bit grey PNG.",
        )
    is_integer = values.dtype.kind in "biu"
    explicit = options.labels is not None or options.threshold is not None
    if explicit and _is_full_scale_binary(values, largest):
        return LungMask(values > 0)
    default = is_integer and largest == DEFAULT_LABELS[1] and not explicit
    if default:
        _require_background(values, largest, path)
    if labels := DEFAULT_LABELS if default else options.labels:
        return _select_labels(values, labels, options.heart, path)
    several = options.threshold is None and _has_values_between(values, largest)
    least = _smallest_lung_value(values, largest, path, options.threshold, several)
    mask: Mask = values >= (math.ceil(least) if is_integer else least)
    if several:
        _require_background(values, largest, path)
        _reject_even_areas(values, largest, path, lossy)
        _reject_lost_values(values, largest, mask, path)
    return LungMask(mask, maybe_labelled=is_integer and largest <= DEFAULT_LABELS[0])


def _check_numbers(values: NDArray[Any], path: Path, threshold: float | None) -> NDArray[Any]:
    """The values, without a threshold as integers if all are whole; many programs store labels as floating point."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ImageError(f"{path}: holds values that are not finite numbers", "Export the file again, as integers.")
        whole = np.abs(values).max() < 2**31 and np.array_equal(values, np.round(values))
        values = values.astype(np.int32) if whole and threshold is None else values
    if values.dtype.kind in "if" and values.min() < 0:
        raise ImageError(f"{path}: holds negative values", "Export a mask of 0 and 255, of labels or of probabilities.")
    return values


def _is_full_scale_binary(values: NDArray[Any], largest: float) -> bool:
    """Whether there are only 0 and 255, or 0 and 65535, which no option makes labels or probabilities."""
    full_scale = values.dtype.kind in "iu" and largest in (_MAX_8_BIT, _MAX_16_BIT)
    return full_scale and not _has_values_between(values, largest)


def _has_values_between(values: NDArray[Any], largest: float) -> bool:
    """Whether there are values between 0 and the largest."""
    # Compared with a number of the same type, because that is several times faster.
    return largest > 0 and bool(np.count_nonzero(values) > np.count_nonzero(values == values.dtype.type(largest)))


def _select_labels(values: NDArray[Any], labels: tuple[int, int], heart_label: int | None, path: Path) -> LungMask:
    right, left = (values == label for label in labels)
    heart = None if heart_label is None else values == heart_label
    lungs = right | left
    if not lungs.any() and values.any():
        raise ImageError(
            f"{path}: has neither the label {labels[0]} nor {labels[1]}, but others",
            "Give the labels of the two lungs with --labels RIGHT,LEFT.",
        )
    if labels[0] == labels[1]:
        return LungMask(lungs, heart=heart)
    return LungMask(lungs, right, left, labelled=True, heart=heart)


def _smallest_lung_value(
    values: NDArray[Any], largest: float, path: Path, threshold: float | None, several: bool
) -> float:
    """The smallest value that is lung; `several`: there are values between 0 and the largest."""
    is_integer = values.dtype.kind in "biu"
    if is_integer and largest <= 1:
        return 1
    if threshold is None:
        _reject_labels(values, largest, path, several)
        return max(largest / 2, 0.5)
    if is_integer:
        return threshold * _full_scale(values, largest)
    if largest > 1:
        raise ImageError(
            f"{path}: holds values up to {largest:g}, which are not probabilities", "Give probabilities in [0, 1]."
        )
    return threshold


def _reject_labels(values: NDArray[Any], largest: float, path: Path, several: bool) -> None:
    """Reject values that may be labels: a single small one, several up to half of the full scale, or fractions."""
    if values.dtype.kind == "f":
        if _LARGEST_PROBABILITY < largest < _LEAST_LOSSY:
            raise _ambiguous(path, f"fractions up to {largest:g}")
        return
    if not several and largest <= _LARGEST_LABEL:
        raise _ambiguous(path, f"only 0 and {largest:g}")
    likely = _MAX_8_BIT if largest <= _MAX_8_BIT else _MAX_16_BIT  # larger types may hold values of 8 bits
    if several and largest < min(likely, _full_scale(values, largest)) / 2:
        raise _ambiguous(path, f"several values up to {largest:g}")


def _require_background(values: NDArray[Any], largest: float, path: Path) -> None:
    least = float(values.min())
    if largest * _BACKGROUND_SHARE < least < largest:
        raise ImageError(
            f"{path}: holds values from {least:g} to {largest:g}, and none for the background",
            "The background should be 0; otherwise give the labels of the lungs with --labels RIGHT,LEFT.",
        )


def _reject_even_areas(values: NDArray[Any], largest: float, path: Path, lossy: bool) -> None:
    """Reject a file with an area of one value between background and lung: another organ, a label, or "ignore".

    At smoothed edges and in probabilities such values change from pixel to pixel.
    """
    between = (values > 0) & (values < largest)
    if len(np.unique(values[between])) > _FEW_VALUES:  # compression leaves noise in the background and in the lungs
        between &= (values > largest * _BACKGROUND_SHARE / 2) & (values < largest * _FULL_SHARE)
    if not between.any():
        return
    # SciPy takes time to load, which most masks do without.
    from scipy.ndimage import maximum_filter, minimum_filter

    from lungmask_cli.imaging.components import encode_runs

    even = between & (maximum_filter(values, 3) - minimum_filter(values, 3) <= (largest * _NOISE_SHARE if lossy else 0))
    if not even.any():
        return
    runs = encode_runs(even)
    _, labels = runs.label(diagonally=True)
    areas = runs.areas(labels)
    if areas.max() >= max(_LEAST_EVEN_PIXELS, _EVEN_SHARE * values.size):
        run = int(np.flatnonzero(labels == areas.argmax())[0])
        raise _ambiguous(path, f"an area of the value {values[runs.rows[run], runs.starts[run]]:g} beside {largest:g}")


def _reject_lost_values(values: NDArray[Any], largest: float, mask: Mask, path: Path) -> None:
    """Reject a file in which many values lie between background and half of the largest: a lung may be lost there.

    Smoothed edges, or those that JPEG has blurred, hold fewer such values: up to half as many as the lungs.
    """
    count = int(np.count_nonzero(mask))
    background = largest * _BACKGROUND_SHARE
    # Integers are compared with an integer, because it is faster.
    above = values > (math.floor(background) if values.dtype.kind in "iu" else background)
    if int(np.count_nonzero(above)) - count > count / 2:
        raise _ambiguous(path, f"many values on both sides of half of {largest:g}")


def _ambiguous(path: Path, what: str) -> ImageError:
    return ImageError(f"{path}: holds {what}, which may be labels or probabilities", _HINT)


def _full_scale(values: NDArray[Any], largest: float) -> int:
    """The largest value of the type; types of more than 16 bits are taken to hold values of 8 or 16 bits."""
    if values.dtype.itemsize <= 2:
        return int(np.iinfo(values.dtype).max)
    return _MAX_8_BIT if largest <= _MAX_8_BIT else _MAX_16_BIT

"""From stored values to grey values with bright bones.

Order: modality LUT or rescale (PS3.3 C.11.1), VOI LUT or window (C.11.2), then one inversion where the photometric
interpretation is MONOCHROME1 (C.7.6.3.1.2) or the presentation LUT shape says INVERSE (C.11.6). All of them are
optional: one that cannot be read, or that would show no image, is left out with a warning.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.formats.dicom.elements import (
    SENSELESS,
    Header,
    UnreadableError,
    is_filled,
    read_numbers,
    read_table,
)
from lungmask_cli.imaging.radiograph import Mask, invert

_LARGEST_VALUE = 1e30
_LEAST_WINDOWED_SHARE = 0.1
_LEAST_WIDTH = 1e-30  # of a window; a smaller one cannot be divided by
_LEAST_RANGE = 1 / 256  # of the window's, that an image must use
_FLAT = "shows hardly any grey values"
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_MODALITY = {"ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"}
_SHAPES = ("IDENTITY", "INVERSE", "LIN OD")


def to_grey_values(header: Header, stored: NDArray[Any], photometric: str) -> NDArray[Any]:
    """Grey values with bright bones, from stored values (H, W) of one sample per pixel."""
    pixels = _apply_voi(header, _apply_modality(header, stored))
    shape = header.text("PresentationLUTShape", _SHAPES)
    return invert(pixels) if photometric == "MONOCHROME1" or shape == "INVERSE" else pixels


def find_valid(header: Header, stored: NDArray[Any], is_signed: bool) -> Mask | None:
    """The pixels that are not padding (C.7.5.1.1.2); None if the header defines no padding, or all would be padding."""
    first = header.number("PixelPaddingValue")
    if first is None or stored.ndim == 3:
        return None
    last = header.number("PixelPaddingRangeLimit")
    ends = [_as_stored(end, is_signed) for end in (first, first if last is None else last)]
    valid: Mask = (stored < min(ends)) | (stored > max(ends))
    if valid.any():
        return valid
    header.leave_out("PixelPaddingValue", SENSELESS)
    return None


def _as_stored(number: float, is_signed: bool) -> float:
    """A padding value as a signed number if the pixels are signed; some programs write negative values as unsigned."""
    return number - 2**16 if is_signed and 2**15 <= number < 2**16 else number


def _apply_modality(header: Header, stored: NDArray[Any]) -> NDArray[Any]:
    """The values after the modality LUT, else after the rescale, else unchanged."""
    if lut := _find_lut(header, "ModalityLUTSequence"):
        values = lut.apply(stored)
        if np.ptp(values) or not np.ptp(stored):
            return values
        header.leave_out("ModalityLUTSequence", _FLAT)
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if header.left_out & {"RescaleSlope", "RescaleIntercept"}:
        return stored
    return _rescale(header, stored, 1.0 if slope is None else slope, intercept or 0.0)


def _rescale(header: Header, stored: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """The values after the rescale, unless it makes different values equal in 32 bits."""
    if (slope, intercept) == (1, 0):
        return stored  # so that integers stay integers
    least, largest = (float(end) for end in (stored.min(), stored.max()))
    with np.errstate(over="ignore", invalid="ignore"):
        rescaled = (np.array([least, largest]) * slope + intercept).astype(np.float32)
        is_kept = np.isclose(float(np.ptp(rescaled)), abs(slope) * (largest - least), rtol=1e-3, atol=0)
    if slope == 0 or not is_kept or np.abs(rescaled).max() > _LARGEST_VALUE:
        header.leave_out("RescaleSlope", SENSELESS)
        return stored
    return stored.astype(np.float64) * slope + intercept


def _apply_voi(header: Header, values: NDArray[Any]) -> NDArray[Any]:
    """The values after the VOI LUT, else after the window, else unchanged."""
    if header.left_out & _MODALITY:
        if any(is_filled(header.dataset, name) for name in ("VOILUTSequence", "WindowCenter", "WindowWidth")):
            header.warn("its window was not used, because it is one of rescaled values")
        return values
    if lut := _find_lut(header, "VOILUTSequence"):
        shown = lut.apply(values)
        if _shows_image(shown, values):
            return shown
        header.leave_out("VOILUTSequence", _FLAT)
    return _apply_window(header, values)


def _apply_window(header: Header, values: NDArray[Any]) -> NDArray[Any]:
    """The values from 0 to 1 after the first window, else unchanged."""
    centers, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    if not centers or not widths:
        return values
    function = header.text("VOILUTFunction", _FUNCTIONS) or "LINEAR"
    if len(centers) != len(widths) or widths[0] < (1 if function == "LINEAR" else _LEAST_WIDTH):
        header.warn(f"its window {SENSELESS} and was left out")
        return values
    shown = _window(values.astype(np.float64), centers[0], widths[0], function).astype(np.float32)
    if np.ptp(shown) > _LEAST_RANGE and _shows_image(shown, values):
        return shown
    header.warn(f"its window {_FLAT} and was left out")
    return values


def _window(values: NDArray[np.float64], center: float, width: float, function: str) -> NDArray[np.float64]:
    """The share of white that each value is shown with (C.11.2.1.2, C.11.2.1.3)."""
    if function == "SIGMOID":
        return 0.5 + 0.5 * np.tanh(2 * (values - center) / width)
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, _LEAST_WIDTH)  # a window of width 1 is a step
    return np.clip((values - center) / width + 0.5, 0, 1)


def _shows_image(shown: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether enough pixels are neither black nor white, or there were only two values before."""
    between = np.count_nonzero((shown > shown.min()) & (shown < shown.max()))
    return bool(between >= _LEAST_WINDOWED_SHARE * shown.size or np.unique(values).size <= 2)


@dataclass(frozen=True)
class _Lut:
    """A look-up table, and the first value that it maps."""

    first: int
    table: NDArray[np.uint16]

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """The entry of each value (C.11.1.1, C.11.2.1.1): the first or the last for values beyond the table.

        pydicom's functions let values that exceed the bit depth of the entries wrap around.
        """
        first = self.first
        if values.dtype.kind == "i" and first > np.iinfo(values.dtype).max:
            first -= 2**16  # a signed number that was written as unsigned
        indices = np.clip(np.floor(values.astype(np.float64)) - first, 0, len(self.table) - 1)
        return self.table[indices.astype(np.int64)]


def _find_lut(header: Header, name: str) -> _Lut | None:
    """The first LUT of the sequence that is not empty."""
    for item in header.items(name):
        if is_filled(item, "LUTDescriptor") or is_filled(item, "LUTData"):
            try:
                return _read_lut(item)
            except UnreadableError:
                header.leave_out(name)
                return None
    return None


def _read_lut(item: Any) -> _Lut:
    descriptor = read_numbers(item, "LUTDescriptor")
    if len(descriptor) != 3 or any(number != int(number) for number in descriptor):
        raise UnreadableError
    count, first, bits = (int(number) for number in descriptor)
    count = count % 2**16 or 2**16  # written as 0 because it does not fit 16 bits
    table = read_table(item, "LUTData", packed=False)
    if bits <= 8 and len(table) < count:
        table = read_table(item, "LUTData", packed=True)
    if len(table) < count:
        raise UnreadableError
    return _Lut(first, (table[:count] % 2**16).astype(np.uint16))

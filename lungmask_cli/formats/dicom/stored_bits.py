"""Which bits of the stored words are pixel values (PS3.5 8.1.1).

The words may hold overlays in the other bits, in which case the header usually declares them. Some programs also write
values of more bits than `BitsStored`, or a `HighBit` that does not fit. Where values and overlays would give different
pixels, those are chosen that vary smoothly from pixel to pixel, as radiographs do, with a warning; if neither
do, the file is refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.dicom.elements import Header, is_filled, read_numbers
from lungmask_cli.formats.dicom.pixel_format import PixelFormat

_HINT = "Export the file again, or correct the element with a DICOM editor."
# Of the differences between neighbouring pixels, as a share of the range of values.
_SMOOTH, _CLEARLY_SMOOTHER = 0.1, 3
_LINES = 512  # rows and columns in which differences are measured


def extract_values(words: NDArray[Any], pixel_format: PixelFormat, header: Header, path: Path) -> NDArray[Any]:
    """The pixel values in stored words, without overlays and unused bits.

    Args:
        words: (H, W) integers of `bits_allocated` bits, with all their bits.
        pixel_format: what the header says about them.
        header: for the positions of overlays, and for warnings.
        path: for errors.

    Raises:
        ImageError: the words do not fit the header, and it is unclear which of their bits are the values.
    """
    unsigned = words.astype(f"u{words.dtype.itemsize}")  # of the machine's own byte order
    unsigned &= ~_overlay_bits(header, pixel_format, unsigned.dtype)
    unsigned = _align(unsigned, pixel_format, header)
    if pixel_format.is_signed is None:
        return _extract_of_unknown_sign(unsigned, pixel_format.bits_stored, header, path)
    return _extract(unsigned, pixel_format.bits_stored, pixel_format.is_signed, header, path)


def _overlay_bits(header: Header, pixel_format: PixelFormat, kind: np.dtype[Any]) -> Any:
    """The bits outside the values in which the header says that overlays are (PS3.3 C.9.2)."""
    values = range(pixel_format.high_bit - pixel_format.bits_stored + 1, pixel_format.high_bit + 1)
    bits = 0
    for group in range(0x6000, 0x6020, 2):
        position = _read_overlay_position(header.dataset, group << 16)
        if position is not None and position not in values and 0 <= position < pixel_format.bits_allocated:
            bits |= 1 << int(position)
    return kind.type(bits)


def _read_overlay_position(dataset: Any, group: int) -> float | None:
    """The bit of an overlay in the pixels; None if there is no such overlay, or it has an element of its own."""
    if is_filled(dataset, group | 0x3000):
        return None
    try:
        (position,) = read_numbers(dataset, group | 0x0102)
    except ValueError:  # unreadable, none, or several
        return None
    return position


def _align(words: NDArray[Any], pixel_format: PixelFormat, header: Header) -> NDArray[Any]:
    """The words shifted so that the values begin at bit 0."""
    low = pixel_format.high_bit - pixel_format.bits_stored + 1
    if low == 0:
        return words
    if low > 0 and pixel_format.high_bit < pixel_format.bits_allocated and not (words & ((1 << low) - 1)).any():
        return words >> low
    header.warn("the element HighBit does not fit BitsStored and was not used")
    return words


def _extract(words: NDArray[Any], bits: int, signed: bool, header: Header, path: Path) -> NDArray[Any]:
    """The lowest `bits` of the words, or all their bits if the values clearly have more."""
    values = _cut(words, bits, signed)
    if _fit(words, bits, signed):
        return values
    whole = words.view(f"i{words.itemsize}") if signed else words
    padding = words == _padding_word(header, words.itemsize)
    if padding.any() and _fit(words[~padding], bits, signed):  # it is no value, and may have more bits
        return np.where(padding, whole, values)
    smoother = _find_smoother(whole, values)
    if smoother is None:
        raise ImageError(f"{path}: its pixel values need more bits than the element BitsStored says", _HINT)
    if smoother is whole:
        header.warn("its pixel values need more bits than the element BitsStored says; all bits were used")
    else:
        header.warn("its pixels have bits beyond BitsStored that look like an overlay and were left out")
    return smoother


def _padding_word(header: Header, size: int) -> int:
    """The pixel padding value as an unsigned word of `size` bytes; -1, which is none, if there is no padding."""
    number = header.number("PixelPaddingValue")
    return -1 if number is None or number != int(number) else int(number) % 2 ** (8 * size)


def _extract_of_unknown_sign(words: NDArray[Any], bits: int, header: Header, path: Path) -> NDArray[Any]:
    """The lowest `bits` of the words as unsigned numbers, or as signed ones if only these fit or vary smoothly."""
    unsigned, signed = _cut(words, bits, False), _cut(words, bits, True)
    fits_unsigned, fits_signed = _fit(words, bits, False), _fit(words, bits, True)
    if not (fits_unsigned or fits_signed):
        raise ImageError(f"{path}: the element PixelRepresentation is missing or wrong", _HINT)
    is_signed = not fits_unsigned or (fits_signed and _find_smoother(unsigned, signed) is signed)
    kind = "signed" if is_signed else "unsigned"
    header.warn(f"the element PixelRepresentation is missing or wrong; the pixels were read as {kind} numbers")
    return signed if is_signed else unsigned


def _cut(words: NDArray[Any], bits: int, signed: bool) -> NDArray[Any]:
    """The lowest `bits` of the words, as unsigned numbers or in two's complement."""
    unused = 8 * words.itemsize - bits
    return (words << unused).view(f"i{words.itemsize}" if signed else words.dtype) >> unused


def _fit(words: NDArray[Any], bits: int, signed: bool) -> bool:
    """Whether the words hold nothing but numbers of that many bits; the bits above may repeat the sign."""
    if bits == 8 * words.itemsize:
        return True
    above = words >> bits
    if not signed:
        return not above.any()
    ones = words.dtype.type((1 << (8 * words.itemsize - bits)) - 1)
    negative = (words >> (bits - 1)) & 1
    return bool(((above == 0) | ((above == ones) & (negative == 1))).all())


def _find_smoother(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any] | None:
    """The one that varies smoothly where the two vary differently; None if neither or both do."""
    steps = [_differences(image) for image in (first, second)]
    differ = steps[0] != steps[1]
    if not differ.any():  # they differ by a constant
        return first
    ranges = [float(image.max()) - float(image.min()) for image in (first, second)]
    one, other = (
        float(np.median(step[differ])) / extent if extent else np.inf
        for step, extent in zip(steps, ranges, strict=True)
    )
    if one < _SMOOTH and other > _CLEARLY_SMOOTHER * one:
        return first
    return second if other < _SMOOTH and one > _CLEARLY_SMOOTHER * other else None


def _differences(image: NDArray[Any]) -> NDArray[np.float64]:
    """The differences between neighbouring pixels of some rows and of some columns."""
    across, down = (max(1, size // _LINES) for size in image.shape)
    rows, columns = image[::across].astype(np.float64), image[:, ::down].astype(np.float64)
    return np.abs(np.concatenate([np.diff(rows, axis=1).ravel(), np.diff(columns, axis=0).ravel()]))

"""The elements that describe how pixels are stored (PS3.3 C.7.6.3, PS3.5 8.1).

They are required. Where one is missing that follows from the others, or that every viewer does without, it is added
with a warning. Any other that is missing or wrong is an error that names it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.dicom.elements import (
    UNREADABLE,
    Header,
    UnreadableError,
    is_filled,
    read_numbers,
    read_text,
    set_element,
)

# How pixels are decoded: with the bits that the header calls unused, because they may be those of values.
DECODING = {"raw": False, "correct_unused_bits": False}
_PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_BITS_ALLOCATED = (1, 8, 16, 32, 64)
# The samples per pixel of each photometric interpretation that pydicom decodes.
_SAMPLES = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3,
    "YBR_PARTIAL_422": 3, "YBR_PARTIAL_420": 3, "YBR_ICT": 3, "YBR_RCT": 3,
}  # fmt: skip
_SPELLINGS = {re.sub(r"[ _]", "", name): name for name in _SAMPLES}
_HINT = "Export the file again, or correct the element with a DICOM editor."


@dataclass(frozen=True)
class PixelFormat:
    """How pixels are stored.

    Args:
        element: the keyword of the element that holds them.
        samples: numbers per pixel: 1 or 3.
        bits_allocated: bits of each number in the file.
        bits_stored: how many of them are the number.
        high_bit: the highest of them, counted from 0.
        is_signed: whether the numbers are in two's complement; None if the header does not say.
    """

    element: str
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool | None


def read_size(dataset: Any, path: Path) -> tuple[int, int]:
    """Rows and columns.

    Raises:
        ImageError: one of them is missing or wrong.
    """
    return require_integer(dataset, "Rows", path), require_integer(dataset, "Columns", path)


def read_frame_count(header: Header) -> int:
    """The number of frames: 1 if it is not given, and, with a warning, if it cannot be read."""
    number = header.number("NumberOfFrames") or 1
    if number < 1 or number != int(number):
        header.leave_out("NumberOfFrames")
        return 1
    return int(number)


def complete_pixel_format(header: Header, path: Path) -> PixelFormat:
    """How the pixels are stored; what the decoder needs is added to the header, or corrected.

    Raises:
        ImageError: an element that does not follow from the others is missing or wrong.
    """
    dataset = header.dataset
    element = _find_pixel_element(dataset, path)
    rows, columns = read_size(dataset, path)
    photometric, samples = _find_photometric(header, path)
    pixel_format = _find_bits(header, path, element, samples)
    completed = {
        "Rows": rows,
        "Columns": columns,
        "NumberOfFrames": read_frame_count(header),
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": photometric,
        "BitsAllocated": pixel_format.bits_allocated,
        "BitsStored": pixel_format.bits_stored,
        "PixelRepresentation": int(pixel_format.is_signed or False),
    }
    if samples > 1:
        completed["PlanarConfiguration"] = _find_planar_configuration(header)
    for unused in {"PlanarConfiguration", "ExtendedOffsetTable"} - completed.keys():
        dataset.pop(unused, None)  # the decoder reads them although it needs neither
    for keyword, value in completed.items():
        set_element(dataset, keyword, value)
    return pixel_format


def _find_pixel_element(dataset: Any, path: Path) -> str:
    """The element that holds the pixels; others are removed, because the decoder accepts only one."""
    found = [keyword for keyword in _PIXEL_ELEMENTS if _holds_bytes(dataset, keyword)]
    if not found:
        if "PixelData" in dataset:
            raise ImageError(f"{path}: the element PixelData holds no pixels", _HINT)
        raise ImageError(
            f"{path}: holds no pixel data: the element PixelData is missing",
            "It may be a report or a presentation state.",
        )
    for keyword in _PIXEL_ELEMENTS:
        if keyword != found[0]:
            dataset.pop(keyword, None)
    return found[0]


def _holds_bytes(dataset: Any, keyword: str) -> bool:
    try:
        return keyword in dataset and isinstance(dataset[keyword].value, bytes) and bool(dataset[keyword].value)
    except Exception as error:  # pydicom raises almost anything on odd values
        if isinstance(error, OSError) and error.errno:  # the file itself cannot be read
            raise
        return False


def _find_photometric(header: Header, path: Path) -> tuple[str, int]:
    """The photometric interpretation and the samples per pixel, each of which may imply the other."""
    dataset = header.dataset
    samples = _read_limited(dataset, "SamplesPerPixel", 1, 4)
    if not is_filled(dataset, "PhotometricInterpretation"):
        if samples != 1:
            require_element(dataset, "PhotometricInterpretation", path)
        header.warn("the element PhotometricInterpretation is missing; it was read as MONOCHROME2")
        return "MONOCHROME2", 1
    try:
        photometric = _SPELLINGS[re.sub(r"[ _]", "", read_text(dataset, "PhotometricInterpretation").upper())]
    except (KeyError, UnreadableError):
        raise ImageError(f"{path}: the element PhotometricInterpretation has an unknown value", _HINT) from None
    if samples is None:
        _warn_derived(header, "SamplesPerPixel")
    elif samples != _SAMPLES[photometric]:
        raise ImageError(f"{path}: the element SamplesPerPixel does not fit PhotometricInterpretation", _HINT)
    return photometric, _SAMPLES[photometric]


def _find_planar_configuration(header: Header) -> int:
    planar = _read_limited(header.dataset, "PlanarConfiguration", 0, 1)
    if planar is None:
        problem = _problem(header.dataset, "PlanarConfiguration")
        header.warn(f"the element PlanarConfiguration {problem}; the colours were read pixel by pixel")
    return planar or 0


def _find_bits(header: Header, path: Path, element: str, samples: int) -> PixelFormat:
    dataset = header.dataset
    if element in _FLOAT_BITS:  # the element itself implies them
        bits = _FLOAT_BITS[element]
        return PixelFormat(element, samples, bits, bits, bits - 1, True)
    allocated = require_integer(dataset, "BitsAllocated", path)
    if allocated not in _BITS_ALLOCATED:
        raise ImageError(f"{path}: the element BitsAllocated is {allocated}, which cannot be read", _HINT)
    stored, highest = _read_limited(dataset, "BitsStored", 1, allocated), _read_limited(dataset, "HighBit", 0, 63)
    if stored is None:
        _warn_derived(header, "BitsStored")
        stored = allocated if highest is None else min(highest + 1, allocated)
    if highest is None:
        _warn_derived(header, "HighBit")
        highest = stored - 1
    signed = _read_limited(dataset, "PixelRepresentation", 0, 1)
    return PixelFormat(element, samples, allocated, stored, highest, None if signed is None else bool(signed))


def _warn_derived(header: Header, keyword: str) -> None:
    header.warn(f"the element {keyword} {_problem(header.dataset, keyword)} and was derived from the others")


def _problem(dataset: Any, keyword: str) -> str:
    """What is wrong with an element that has no usable value: it is missing, or cannot be read."""
    return UNREADABLE if is_filled(dataset, keyword) else "is missing"


def _read_limited(dataset: Any, keyword: str, least: int, most: int) -> int | None:
    """A whole number; None if it is missing, wrong, or beyond the limits."""
    try:
        (number,) = read_numbers(dataset, keyword)
    except ValueError:  # unreadable, none, or several
        return None
    return int(number) if least <= number <= most and number == int(number) else None


def require_integer(dataset: Any, keyword: str, path: Path) -> int:
    """A whole number from 0 to 65535.

    Raises:
        ImageError: it is missing, or something else.
    """
    require_element(dataset, keyword, path)
    number = _read_limited(dataset, keyword, 0, 2**16 - 1)
    if number is None:
        raise ImageError(f"{path}: the element {keyword} cannot be read", _HINT)
    return number


def require_element(dataset: Any, keyword: str, path: Path) -> None:
    """Require that an element is present and not empty.

    Raises:
        ImageError: it is missing; the message names it.
    """
    if not is_filled(dataset, keyword):
        raise ImageError(f"{path}: the element {keyword} is missing", _HINT)

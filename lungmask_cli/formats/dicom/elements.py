"""Read the elements of a DICOM header so that an odd one costs nothing but itself.

Programs write elements with other value representations than the standard's, with decimal commas, or with too many or
too few values. What is certain is read. Everything else counts as missing, and is named by its keyword, never quoted.
"""

import math
import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A keyword such as `PixelSpacing`, or the number of a tag that has none of its own.
Name = str | int

UNREADABLE, SENSELESS = "cannot be read", "makes no sense"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# 1,024 is 1024 where a comma separates thousands, and 1.024 where it separates decimals.
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_PADDING = " \0\t"  # no other white space, because the bytes of a binary number may look like it
_BINARY = {
    "US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8", "US or SS": "u2", "US or OW": "u2",
    "OB or OW": "u1",
}  # fmt: skip
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # that begin each item of a sequence, in both byte orders


class UnreadableError(ValueError):
    """An element has a value that cannot be understood."""


def read_numbers(dataset: Any, name: Name) -> tuple[float, ...]:
    """The finite numbers of an element; none if it is absent or empty.

    Raises:
        UnreadableError: the element holds something else, or a number whose comma may separate thousands.
    """
    return tuple(_to_number(value) for value in _read_values(dataset, name))


def read_text(dataset: Any, name: Name) -> str:
    """The text of an element, its values separated by backslashes; empty if it is absent.

    Raises:
        UnreadableError: the element is a sequence, or is damaged.
    """
    values = _read_values(dataset, name)
    if any(_is_item(value) for value in values):
        raise UnreadableError
    return "\\".join(str(value) for value in values)


def read_items(dataset: Any, name: Name) -> list[Any]:
    """The items of a sequence.

    Raises:
        UnreadableError: the element is not a sequence.
    """
    items = _read_values(dataset, name)
    if not all(_is_item(item) for item in items):
        raise UnreadableError
    return items


def read_table(dataset: Any, name: Name, packed: bool) -> NDArray[np.int64]:
    """The whole numbers of a table that is stored as words, or as bytes if it is `packed`.

    Raises:
        UnreadableError: the element holds something else.
    """
    value = _read_value(dataset, name)
    if isinstance(value, bytes):
        kind = np.dtype(np.uint8) if packed else _word_type(dataset, "u2")
        return np.frombuffer(value[: len(value) // kind.itemsize * kind.itemsize], kind).astype(np.int64)
    return np.array(read_numbers(dataset, name), np.float64).astype(np.int64)


def is_filled(dataset: Any, name: Name) -> bool:
    """Whether the element is present and not empty, readable or not."""
    try:
        return bool(_read_values(dataset, name))
    except UnreadableError:
        return True


def set_element(dataset: Any, keyword: str, value: Any) -> None:
    """Replace an element, with the value representation of the standard."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None
    dataset.add_new(tag, dictionary_VR(tag), value)


class Header:
    """A header whose odd elements are left out, with a warning each.

    Args:
        dataset: the header as pydicom reads it.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._warnings: dict[str, None] = {}  # each once, in the order in which they arose
        self.left_out: set[str] = set()  # the keywords of the elements that were not used
        try:
            dataset.get("PixelRepresentation")
        except Exception:  # pydicom looks it up for each sequence, and would find none of them readable
            dataset.pop("PixelRepresentation")

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each element that was left out, and those of `warn`."""
        return tuple(self._warnings)

    def warn(self, sentence: str) -> None:
        """Add a warning."""
        self._warnings[sentence] = None

    def leave_out(self, name: str, reason: str = UNREADABLE) -> None:
        """Note and warn that an element was not used."""
        self.left_out.add(name)
        self.warn(f"its {_describe(name)} {reason} and was not used")

    def numbers(self, name: str, count: int | None = None) -> tuple[float, ...]:
        """The numbers of an element; none, with a warning, if it cannot be read or has not `count` of them."""
        try:
            numbers = read_numbers(self.dataset, name)
        except UnreadableError:
            self.leave_out(name)
            return ()
        if numbers and count and len(numbers) != count:
            self.leave_out(name)
            return ()
        return numbers

    def number(self, name: str) -> float | None:
        """The only number of an element; None if there is none, with a warning if it cannot be read."""
        return next(iter(self.numbers(name, 1)), None)

    def text(self, name: str, known: Collection[str] = (), keep_case: bool = False) -> str:
        """The text in capitals; empty, with a warning, if it cannot be read, or is none of those `known`."""
        try:
            text = read_text(self.dataset, name)
            text = text if keep_case else text.upper()
        except UnreadableError:
            self.leave_out(name)
            return ""
        if text and known and text not in known:
            self.leave_out(name)
            return ""
        return text

    def items(self, name: str) -> list[Any]:
        """The items of a sequence; none, with a warning, if it cannot be read."""
        try:
            return read_items(self.dataset, name)
        except UnreadableError:
            self.leave_out(name)
            return []


def _describe(keyword: str) -> str:
    """The name of an element in plain words: `pixel spacing`, `VOI LUT sequence`."""
    from pydicom.datadict import dictionary_description

    words = dictionary_description(keyword).replace("'s", "").split()
    return " ".join(word if word.isupper() else word.lower() for word in words)


def _read_values(dataset: Any, name: Name) -> list[Any]:
    """The values of an element, texts without padding; none if all of them are empty."""
    value = _read_value(dataset, name)
    if isinstance(value, bytes):
        value = _interpret_bytes(value, dataset, name)
    if isinstance(value, str):
        value = value.split("\\")
    values = list(value) if isinstance(value, Sequence) else [value]
    values = [value.strip(_PADDING) if isinstance(value, str) else value for value in values]
    return ["" if value is None else value for value in values] if any(v not in ("", None) for v in values) else []


def _read_value(dataset: Any, name: Name) -> Any:
    """The value as pydicom reads it, or its bytes if pydicom cannot; None if it is absent."""
    if name not in dataset:
        return None
    raw = None
    try:
        raw = dataset.get_item(name)
        value = dataset[name].value
    except Exception:  # pydicom raises almost anything on odd values
        if raw is not None and isinstance(raw.value, bytes):
            return raw.value
        raise UnreadableError from None
    is_sequence = dataset[name].VR == "SQ" and isinstance(raw.value, bytes)
    if is_sequence and raw.value and raw.value[:4] not in _ITEM_TAGS:  # which pydicom does not check
        dataset[name] = raw  # so that it is found unreadable again
        raise UnreadableError
    return value


def _interpret_bytes(content: bytes, dataset: Any, name: Name) -> str | list[Any]:
    """The numbers in a value of binary numbers, else the text."""
    from pydicom.datadict import dictionary_VR

    kind = _BINARY.get(dictionary_VR(name))
    if kind is None:
        return content.decode("ascii", "replace")
    words = _word_type(dataset, kind)
    if len(content) % words.itemsize:
        raise UnreadableError
    return list(np.frombuffer(content, words).tolist())


def _word_type(dataset: Any, kind: str) -> np.dtype[Any]:
    is_little = dataset.original_encoding[1] is not False  # None in a dataset that was not read from a file
    return np.dtype(("<" if is_little else ">") + kind)


def _is_item(value: Any) -> bool:
    from pydicom import Dataset

    return isinstance(value, Dataset)


def _to_number(value: Any) -> float:
    from pydicom.tag import BaseTag

    if isinstance(value, BaseTag):  # which is an int
        raise UnreadableError
    if isinstance(value, str):
        if _AMBIGUOUS.fullmatch(value):
            raise UnreadableError
        value = value if "." in value else value.replace(",", ".", 1)
        if not _NUMBER.fullmatch(value):
            raise UnreadableError
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableError from None
    if not math.isfinite(number):
        raise UnreadableError
    return number

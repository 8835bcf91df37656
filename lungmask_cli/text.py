"""Text that is safe in terminals, tables and file names, wherever it comes from."""

import hashlib
import math
import os
import re
from pathlib import Path

_MAX_NAME_BYTES = 255  # on common file systems
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with control characters, and bytes of file names that are not UTF-8, written as `%0A` and the like.

    Such characters would break the lines of a table, move the cursor of a terminal, or not be encodable as UTF-8.
    """
    return _CONTROL.sub(lambda match: f"%{ord(match[0]) & 0xFF:02X}", text)


def pluralize(number: int, noun: str) -> str:
    """The number and the noun, in the plural unless the number is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def format_dice(dice: float) -> str:
    """A Dice with four decimals; `undefined` for NaN, that of two empty masks."""
    return "undefined" if math.isnan(dice) else f"{dice:.4f}"


def format_cell(value: float, spec: str) -> str:
    """A number for a table in this format; empty for NaN."""
    return "" if math.isnan(value) else f"{value:{spec}}"


def shorten_file_name(name: str) -> str:
    """The file name, shortened to what file systems allow; a checksum of the whole name keeps it unique."""
    if len(os.fsencode(name)) <= _MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    suffix = Path(name).suffix
    ending = f"-{digest}{suffix if len(suffix) < 16 else ''}"
    start = os.fsencode(name)[: _MAX_NAME_BYTES - len(os.fsencode(ending))].decode("utf-8", "ignore")
    return start + ending

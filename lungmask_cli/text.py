"""Text made fit for terminals, tables and file names, above all what comes from outside."""

import hashlib
import os
import re
from pathlib import Path

_LONGEST_NAME = 255  # bytes, on the file systems in use
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with `%0A` and the like for control characters and for bytes of file names that are not UTF-8.

    Such characters would break lines of tables, move a terminal's cursor, or be refused by UTF-8 files.
    """
    return _CONTROL.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", text)


def pluralize(number: int, noun: str) -> str:
    """The number and the noun, in the plural unless it is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def shorten_file_name(name: str) -> str:
    """The file name, shortened to what file systems allow; a sum of the whole name keeps it unique."""
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    suffix = Path(name).suffix
    ending = f"-{digest}{suffix if len(suffix) < 16 else ''}"
    start = os.fsencode(name)[: _LONGEST_NAME - len(os.fsencode(ending))].decode("utf-8", "ignore")
    return start + ending

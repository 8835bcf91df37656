"""The errors a user can cause. Nothing else is raised for a user's mistake."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class LungmaskError(Exception):
    """A mistake the user can mend.

    Args:
        message: what is wrong, and with which file, in one line.
        hint: what to do about it, in one line; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LungmaskError):
    """The command cannot start as it was asked to, or there is nothing to do."""


class ConfigError(UsageError):
    """A configuration key or value is wrong."""


class ImageError(LungmaskError):
    """One radiograph or mask cannot be used; the others are not affected."""


def suggest(name: str, names: Iterable[str], label: str = "Known") -> str:
    """A hint that names the nearest of the known names, where one is near, and lists all of them."""
    names = list(names)
    nearest = difflib.get_close_matches(name, names, n=1)
    return (f"Did you mean {nearest[0]}? " if nearest else "") + f"{label}: {', '.join(names) or 'none'}."


def suggest_path(path: Path, otherwise: str) -> str:
    """A hint that names an existing path whose name is near that of the missing `path`; else the hint `otherwise`."""
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    try:
        beside = [entry.name for entry in missing.parent.iterdir()]
    except OSError:
        return otherwise
    found = difflib.get_close_matches(missing.name, beside, n=1)
    return f"Did you mean {missing.parent / found[0]}?" if found else otherwise

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


def near(name: str, names: Iterable[str]) -> str:
    """The hint that what was meant may be one of these names; which there are, where none is like it."""
    names = list(names)
    found = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {found[0]}?" if found else f"Use {', '.join(names)}."


def near_path(path: Path, otherwise: str) -> str:
    """The hint that what was meant may be a path like this one, which is not there; else another hint."""
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    try:
        beside = [entry.name for entry in missing.parent.iterdir()]
    except OSError:
        return otherwise
    found = difflib.get_close_matches(missing.name, beside, n=1)
    return f"Did you mean {missing.parent / found[0]}?" if found else otherwise

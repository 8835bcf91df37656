"""The errors that a user can cause. No other exception is raised for a user's mistake."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class LungmaskError(Exception):
    """An error that the user can correct.

    Args:
        message: what is wrong, and with which file, in one line.
        hint: what the user can do, in one line; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LungmaskError):
    """The command cannot start with these arguments, or there is nothing to do."""


class ConfigError(UsageError):
    """A configuration key or value is wrong."""


class ImageError(LungmaskError):
    """One radiograph or mask cannot be used; other files are not affected."""


def suggest(name: str, names: Iterable[str], label: str = "Known") -> str:
    """A hint that lists the known names, after the most similar one if there is any."""
    names = list(names)
    nearest = difflib.get_close_matches(name, names, n=1)
    return (f"Did you mean {nearest[0]}? " if nearest else "") + f"{label}: {', '.join(names) or 'none'}."


def suggest_path(path: Path, otherwise: str) -> str:
    """A hint that gives an existing path with a name similar to that of the missing `path`; else `otherwise`."""
    missing = next(ancestor for ancestor in (path, *path.parents) if ancestor.parent.exists())
    try:
        names = [entry.name for entry in missing.parent.iterdir()]
    except OSError:
        return otherwise
    matches = difflib.get_close_matches(missing.name, names, n=1)
    return f"Did you mean {missing.parent / matches[0]}?" if matches else otherwise

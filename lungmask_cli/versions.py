"""Versions of installed packages."""

from collections.abc import Iterable
from importlib import metadata


def find_version(*names: str) -> str | None:
    """The version of the first installed one of these distributions; None if none is installed."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """The version of each of these distributions that is installed."""
    return {name: version for name in names if (version := find_version(name))}

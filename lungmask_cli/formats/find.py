"""The search for radiographs in files and folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lungmask_cli.errors import UsageError, suggest_path
from lungmask_cli.formats.dicom.pixels import is_dicom
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES

_DICOMDIR = "DICOMDIR"


def find_images(inputs: Iterable[Path], outside: Path | None = None) -> list[tuple[Path, Path]]:
    """All image files in `inputs`, each with its path relative to the input it was found in, sorted, without repeats.

    Folders are searched through by suffix, and files of no or an unknown suffix by content, for PACS and CDs name DICOM
    files by numbers; a DICOMDIR given as an input stands for its folder. Links to folders are followed, each folder
    once. Hidden files are passed over. A file named by itself is taken whatever its suffix. Dangling links, and folders
    that cannot be listed, count as files, so that they are reported and not lost.

    Args:
        inputs: files and folders.
        outside: a folder that is passed over where it lies within an input, such as the one for the results.

    Raises:
        UsageError: an input does not exist.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        start = given.parent if given.name.upper() == _DICOMDIR and given.is_file() else given
        if start.is_dir():
            for path in sorted(_walk(start, outside)):
                found.setdefault(path, path.relative_to(start))
        elif os.path.lexists(start):
            found.setdefault(start, Path(start.name))
        else:
            raise UsageError(f"{given}: no such file or folder", suggest_path(given, "Check the spelling of the path."))
    return list(found.items())


def _walk(folder: Path, outside: Path | None) -> Iterator[Path]:
    # Real paths, because links may lead around in circles; Path.resolve would raise on a link to itself.
    entered = {os.path.realpath(outside)} if outside else set()
    refused: list[Path] = []
    for root, folders, names in os.walk(
        folder, onerror=lambda error: refused.append(Path(error.filename)), followlinks=True
    ):
        entered.add(os.path.realpath(root))
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.realpath(Path(root, name)) not in entered
        )
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and _looks_like_image(path):
                yield path
    yield from refused


def _looks_like_image(path: Path) -> bool:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        return path.name.upper() != _DICOMDIR and path.is_file() and is_dicom(path)
    except OSError:
        return False

"""Find radiographs in files and folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lungmask_cli.errors import UsageError, suggest_path
from lungmask_cli.formats.dicom.pixels import is_dicom
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES

_DICOMDIR = "DICOMDIR"


def find_images(inputs: Iterable[Path], exclude: Path | None = None) -> list[tuple[Path, Path]]:
    """All image files in `inputs`, each with its path relative to its input, sorted and without duplicates.

    In folders, images are recognised by suffix, and DICOM files with other suffixes or none by content, because PACS
    and CDs often name them by numbers. A DICOMDIR as an input stands for its folder. Links to folders are followed,
    each folder once. Hidden files are ignored. A file given as an input is taken whatever its suffix. Dangling links
    and folders that cannot be listed are returned as files, so that they are reported.

    Args:
        inputs: files and folders.
        exclude: a folder to ignore within the inputs, such as that of the results.

    Raises:
        UsageError: an input does not exist.
    """
    images: dict[Path, Path] = {}
    for path in inputs:
        start = path.parent if path.name.upper() == _DICOMDIR and path.is_file() else path
        if start.is_dir():
            for image in sorted(_walk(start, exclude)):
                images.setdefault(image, image.relative_to(start))
        elif os.path.lexists(start):
            images.setdefault(start, Path(start.name))
        else:
            raise UsageError(f"{path}: no such file or folder", suggest_path(path, "Check the spelling of the path."))
    return list(images.items())


def _walk(folder: Path, exclude: Path | None) -> Iterator[Path]:
    # Real paths, because links may form a cycle; Path.resolve would raise on a link to itself.
    visited = {os.path.realpath(exclude)} if exclude else set()
    unlisted: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=unlisted.append, followlinks=True):
        visited.add(os.path.realpath(root))
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.realpath(Path(root, name)) not in visited
        )
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and _is_image(path):
                yield path
    yield from (Path(error.filename) for error in unlisted)


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        return path.name.upper() != _DICOMDIR and path.is_file() and is_dicom(path)
    except OSError:
        return False

"""Find radiographs and masks in files and folders."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.errors import UsageError, suggest_path
from lungmask_cli.formats.dicom.pixels import is_dicom
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES
from lungmask_cli.formats.raster import is_raster
from lungmask_cli.processes import map_in_threads
from lungmask_cli.text import pluralize, printable

_DICOMDIR = "DICOMDIR"
_LONGEST_SUFFIX = 8  # longer ones are parts of names
_READERS = 16  # files without suffix are opened in parallel, because slow storage answers late


@dataclass(frozen=True)
class FoundFiles:
    """The files in folders.

    Args:
        images: each image with its path relative to its input, sorted and without duplicates.
        skipped: the files that are not images.
    """

    images: list[tuple[Path, Path]]
    skipped: list[Path]


def find_images(inputs: Iterable[Path], exclude: Path | None = None) -> list[tuple[Path, Path]]:
    """The images that `find_files` finds."""
    return find_files(inputs, exclude).images


def find_files(inputs: Iterable[Path], exclude: Path | None = None) -> FoundFiles:
    """All image files in `inputs`, and the other files.

    In folders, images are recognised by suffix or by content, because PACS and CDs often name them by numbers. A
    DICOMDIR as an input stands for its folder. Links to folders are followed, each folder once. Hidden files are
    ignored. A file given as an input is taken whatever its suffix. Dangling links and folders that cannot be listed are
    returned as images, so that they are reported.

    Args:
        inputs: files and folders.
        exclude: a folder to ignore within the inputs, such as that of the results.

    Raises:
        UsageError: an input does not exist.
    """
    images: dict[Path, Path] = {}
    skipped: list[Path] = []
    for path in inputs:
        start = path.parent if path.name.upper() == _DICOMDIR and path.is_file() else path
        if start.is_dir():
            files = sorted(walk_files(start, exclude))
            unclear = [file for file in files if not _has_image_suffix(file)]
            found = map_in_threads(_is_found, unclear, _READERS)
            others = {file for file, is_found in zip(unclear, found, strict=True) if not is_found}
            for file in files:
                if file not in others:
                    images.setdefault(file, file.relative_to(start))
                elif file.name.upper() != _DICOMDIR:
                    skipped.append(file)
        elif os.path.lexists(start):
            images.setdefault(start, Path(start.name))
        else:
            raise UsageError(f"{path}: no such file or folder", suggest_path(path, "Check the spelling of the path."))
    return FoundFiles(list(images.items()), skipped)


def describe_skipped(files: Sequence[Path]) -> str:
    """The number of files that are not images, by suffix, in one line."""
    suffixes = (file.suffix.lower() for file in files)
    kinds = Counter(suffix if 1 < len(suffix) <= _LONGEST_SUFFIX else "without suffix" for suffix in suffixes)
    counts = ", ".join(f"{count} {printable(kind)}" for kind, count in sorted(kinds.items()))
    return f"{pluralize(len(files), 'file')} skipped, in no known image format: {counts}"


def walk_files(
    folder: Path, exclude: Path | None = None, enter: Callable[[Path], bool] = Path.exists
) -> Iterator[Path]:
    """All files below the folder, without hidden ones, and the folders that cannot be listed.

    Links to folders are followed, each folder once.

    Args:
        folder: the folder.
        exclude: a folder that is not entered.
        enter: whether a folder below is entered.
    """
    # Real paths, because links may form a cycle; Path.resolve would raise on a link to itself.
    visited = {os.path.realpath(exclude)} if exclude else set()
    unlisted: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=unlisted.append, followlinks=True):
        visited.add(os.path.realpath(root))
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and os.path.realpath(Path(root, name)) not in visited
            and enter(Path(root, name))
        )
        yield from (Path(root, name) for name in names if not name.startswith("."))
    yield from (Path(error.filename) for error in unlisted)


def is_image(path: Path) -> bool:
    """Whether the file is an image, by its suffix or else by its content."""
    if _has_image_suffix(path):
        return True
    try:
        return path.name.upper() != _DICOMDIR and path.is_file() and (is_dicom(path) or is_raster(path))
    except OSError:
        return False


def _has_image_suffix(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_found(path: Path) -> bool:
    """Whether the path is returned as an image: it is one, or it must be reported."""
    return is_image(path) or _is_lost(path)


def _is_lost(path: Path) -> bool:
    """Whether the path is a dangling link, or a folder that could not be listed."""
    return path.is_dir() or (path.is_symlink() and not path.exists())

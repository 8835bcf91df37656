"""One reader for every kind of file, and the search for files in folders."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.imaging.dicom import is_dicom, read_dicom
from lungmask_cli.imaging.jsrt import read_jsrt
from lungmask_cli.imaging.radiograph import Radiograph
from lungmask_cli.imaging.raster import read_raster

RASTER_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"})
DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = RASTER_SUFFIXES | DICOM_SUFFIXES | {".img"}


def read_radiograph(path: Path) -> Radiograph:
    """The radiograph in `path`: DICOM by content, JSRT's `.IMG` by suffix, else a picture.

    Raises:
        ImageError: the file cannot be read or is not a radiograph; the message names it and says why.
    """
    try:
        radiograph = _reader(path)(path)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be read: {error.strerror or error}", "Check the file and its permissions."
        ) from error
    except Exception as error:  # damaged bytes make decoders raise anything; none of it may end a batch
        raise ImageError(
            f"{path}: cannot be decoded ({type(error).__name__})", "Copy or export the file again."
        ) from error
    if not np.isfinite(radiograph.pixels).all():
        raise ImageError(f"{path}: holds values that are no numbers", "Export the file again, as whole numbers.")
    return radiograph


def _reader(path: Path) -> Callable[[Path], Radiograph]:
    if is_dicom(path) or path.suffix.lower() in DICOM_SUFFIXES:
        return read_dicom
    return read_jsrt if path.suffix.lower() == ".img" else read_raster


def find_images(inputs: Iterable[Path], outside: Path | None = None) -> list[tuple[Path, Path]]:
    """All image files in `inputs`, each with its path relative to the input it was found in, sorted, without repeats.

    Folders are searched through by suffix, and files without a suffix by content; hidden files are passed over. A file
    named by itself is taken whatever its suffix. Dangling links, and folders that cannot be listed, count as files, so
    that they are reported and not lost.

    Args:
        inputs: files and folders.
        outside: a folder that is passed over where it lies within an input, such as the one for the results.

    Raises:
        UsageError: an input does not exist.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        if given.is_dir():
            for path in sorted(_walk(given, outside)):
                found.setdefault(path, path.relative_to(given))
        elif given.exists() or given.is_symlink():
            found.setdefault(given, Path(given.name))
        else:
            raise UsageError(f"{given}: no such file or folder", "Check the spelling of the path.")
    return list(found.items())


def _walk(folder: Path, outside: Path | None) -> Iterator[Path]:
    passed_over = outside.resolve() if outside else None
    refused: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=lambda error: refused.append(Path(error.filename))):
        folders[:] = [
            name for name in folders if not name.startswith(".") and Path(root, name).resolve() != passed_over
        ]
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and _looks_like_image(path):
                yield path
    yield from refused


def _looks_like_image(path: Path) -> bool:
    if path.suffix:
        return path.suffix.lower() in IMAGE_SUFFIXES
    try:
        return path.is_file() and path.name != "DICOMDIR" and is_dicom(path)
    except OSError:
        return False

"""One reader for every kind of file, and the search for files in folders."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lungmask_cli.errors import ImageError, UsageError, near_path
from lungmask_cli.imaging.dicom import is_dicom, read_dicom, read_dicom_spacing
from lungmask_cli.imaging.jsrt import SIDE, SPACING_MM, SPACING_SOURCE, read_jsrt
from lungmask_cli.imaging.radiograph import DEFAULTS, Radiograph, ReadOptions
from lungmask_cli.imaging.raster import read_raster

RASTER_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"})
DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = RASTER_SUFFIXES | DICOM_SUFFIXES | {".img"}
_LARGEST_VALUE = 1e30
_DICOMDIR = "DICOMDIR"


def read_radiograph(path: Path, options: ReadOptions = DEFAULTS) -> Radiograph:
    """The radiograph in `path`: DICOM by content, JSRT's `.IMG` by suffix, else a picture.

    Raises:
        ImageError: the file cannot be read or is not a radiograph; the message names it and says why.
    """
    try:
        radiograph = _reader(path)(path, options)
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
    least, largest = radiograph.pixels.min(), radiograph.pixels.max()
    if not (least > -_LARGEST_VALUE and largest < _LARGEST_VALUE):  # false for what is not a number, too
        raise ImageError(f"{path}: holds values that are no numbers", "Export the file again, as whole numbers.")
    return radiograph


def read_spacing(path: Path) -> tuple[tuple[int, int] | None, tuple[float, float] | None, str]:
    """Height and width, row and column spacing in mm, and where the spacing came from, without reading the pixels.

    What is not known is None, as it is for pictures, and the source empty.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        if path.suffix.lower() == ".img":
            return (SIDE, SIDE), SPACING_MM, SPACING_SOURCE
        return read_dicom_spacing(path) if _reader(path) is read_dicom else (None, None, "")
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error


def _reader(path: Path) -> Callable[[Path, ReadOptions], Radiograph]:
    suffix = path.suffix.lower()
    if suffix == ".img":
        return read_jsrt
    if suffix in DICOM_SUFFIXES or is_dicom(path):
        return read_dicom
    return read_raster


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
            raise UsageError(f"{given}: no such file or folder", near_path(given, "Check the spelling of the path."))
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

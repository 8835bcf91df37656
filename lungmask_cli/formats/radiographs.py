"""Read radiographs of every supported format."""

from collections.abc import Callable
from pathlib import Path

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.checks import file_errors
from lungmask_cli.formats.dicom.pixels import is_dicom, read_dicom, read_dicom_spacing
from lungmask_cli.formats.jsrt import SIDE, SPACING, has_jsrt_size, read_jsrt
from lungmask_cli.formats.raster import RASTER_SUFFIXES, is_raster, read_raster
from lungmask_cli.imaging.radiograph import Radiograph, Spacing

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = RASTER_SUFFIXES | DICOM_SUFFIXES | {".img"}
_LARGEST_VALUE = 1e30


def read_radiograph(path: Path, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """The radiograph in `path`: JSRT by the suffix `.IMG` and its size, DICOM by content, else a raster image.

    Raises:
        ImageError: the file cannot be read or is not a radiograph; the message names the file and the reason.
    """
    try:
        with file_errors(path):
            radiograph = _select_reader(path)(path, max_pixels)
    except ImageError:
        raise
    except Exception as error:  # decoders may raise anything on damaged data, and a batch must not end
        raise ImageError(
            f"{path}: cannot be decoded ({type(error).__name__})", "Copy or export the file again."
        ) from error
    pixels = radiograph.pixels
    # The comparison is also false for NaN.
    if pixels.dtype.kind == "f" and not (pixels.min() > -_LARGEST_VALUE and pixels.max() < _LARGEST_VALUE):
        raise ImageError(f"{path}: holds values that are not finite numbers", "Export the file again, as integers.")
    return radiograph


def read_spacing(path: Path) -> tuple[tuple[int, int] | None, Spacing | None]:
    """Height and width, and the pixel spacing, from the header alone; None where they are unknown.

    Raises:
        ImageError: the file cannot be read.
    """
    with file_errors(path):
        reader = _select_reader(path)
        if reader is read_jsrt:
            return (SIDE, SIDE), SPACING
        return read_dicom_spacing(path) if reader is read_dicom else (None, None)


def _select_reader(path: Path) -> Callable[[Path, int], Radiograph]:
    """The reader for the content, for which the suffix only decides if the content does not tell."""
    suffix = path.suffix.lower()
    if suffix == ".img" and has_jsrt_size(path):
        return read_jsrt
    if is_dicom(path):
        return read_dicom
    if is_raster(path):
        return read_raster
    return read_jsrt if suffix == ".img" else read_dicom if suffix in DICOM_SUFFIXES else read_raster

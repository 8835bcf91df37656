"""Read DICOM radiographs: the file, its header, its decoded pixels, and from these an image with bright bones.

Errors are raised `from None`, because pydicom's errors quote header elements, such as patient names, and a traceback
would write them to logs.
"""

import contextlib
import logging
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.checks import check_size
from lungmask_cli.formats.dicom.elements import Header
from lungmask_cli.formats.dicom.grey_values import find_valid, to_grey_values
from lungmask_cli.formats.dicom.header import add_warnings, find_spacing, is_anteroposterior, require_radiograph
from lungmask_cli.formats.dicom.pixel_format import DECODING, PixelFormat, complete_pixel_format, read_size
from lungmask_cli.formats.dicom.stored_bits import extract_values
from lungmask_cli.imaging.radiograph import Radiograph, Spacing

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_MAX_HEADER_BYTES = 64 * 2**20  # of all elements before the pixels
_DEFLATED = "1.2.840.10008.1.2.1.99"
_GDCM, _LIBJPEG = "gdcm", "pylibjpeg"  # pydicom's names; pylibjpeg decodes JPEG 2000 with OpenJPEG, which is safe
_JPEG_12_BIT = "1.2.840.10008.1.2.4.51"
# Lossless and 12-bit JPEG: the only decoders for them may crash on damaged data.
SUBPROCESS_SYNTAXES = (_JPEG_12_BIT, "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_JPEG = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.[578]\d")  # JPEG and JPEG-LS, not JPEG 2000
_VALUE_REPRESENTATIONS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split()
)


def is_dicom(path: Path) -> bool:
    """Whether the file has a DICOM preamble (PS3.10 7.1), or starts with a data element, as files without one do."""
    with path.open("rb") as file:
        head = file.read(132)
    return head[128:] == b"DICM" or (len(head) == 132 and _starts_with_element(head))


def _starts_with_element(head: bytes) -> bool:
    group, element, representation = head[:2], head[2:4], head[4:6]
    little, big = group in (b"\x02\x00", b"\x08\x00"), group == b"\x00\x08"
    if representation in _VALUE_REPRESENTATIONS:
        return little or big
    # Implicit VR: a group length of four bytes, or a short first element.
    length = int.from_bytes(head[4:8], "little")
    return little and (element == b"\x00\x00" or group == b"\x08\x00") and element[1] == 0 and 0 < length <= 64


def read_dicom(path: Path, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """A single-frame DICOM radiograph.

    Raises:
        ImageError: the file is not readable as DICOM, has no or several frames or another modality, is too large, or
            is compressed with a method that no installed decoder supports.
    """
    with pydicom_errors(path):
        header = Header(read_dataset(path, max_pixels))
        require_radiograph(header, path)
        rows, columns = read_size(header.dataset, path)
        check_size(path, columns, rows, max_pixels)
        pixel_format = complete_pixel_format(header, path)
        stored, photometric = _read_stored_values(header, pixel_format, path)
        add_warnings(header)
        # Colour is that of screenshots and scans, which have neither LUT nor window.
        pixels = stored @ _LUMINANCE if stored.ndim == 3 else to_grey_values(header, stored, photometric)
        if pixels.dtype.kind not in "iu" or pixels.dtype.itemsize > 2:
            pixels = pixels.astype(np.float32)
        valid = find_valid(header, stored, stored.dtype.kind == "i")
        anteroposterior = is_anteroposterior(header)
        return Radiograph(pixels, valid, find_spacing(header), header.warnings, anteroposterior=anteroposterior)


def read_dicom_spacing(path: Path) -> tuple[tuple[int, int], Spacing | None]:
    """Height and width, and the pixel spacing (None if unknown).

    Raises:
        ImageError: the file is not readable as DICOM, or holds no image.
    """
    with pydicom_errors(path):
        header = Header(read_dataset(path))
        require_radiograph(header, path)
        return read_size(header.dataset, path), find_spacing(header)


@contextlib.contextmanager
def pydicom_errors(path: Path) -> Iterator[None]:
    """Silence pydicom, and turn every error that it raises into an `ImageError`.

    Its messages quote header elements, which must not reach a terminal or a log.
    """
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (ImageError, OSError):
            raise
        except Exception as error:
            raise ImageError(
                f"{path}: its header or pixels cannot be interpreted ({type(error).__name__})",
                "The file may be incomplete; export it again.",
            ) from None


def read_dataset(path: Path, max_pixels: int = MAX_PIXELS) -> Any:
    """The elements of a DICOM file; large ones stay on disk until they are used.

    Raises:
        ImageError: the file is not readable as DICOM, or inflates to more bytes than a radiograph needs.
    """
    from pydicom import dcmread

    if not is_dicom(path):
        raise ImageError(f"{path}: is not readable as DICOM", "The file may be incomplete, or of another kind.")
    _reject_inflation(path, max_pixels)
    try:
        # With large elements left on disk, a file of many frames is rejected by its header alone.
        return dcmread(path, force=True, defer_size="1 MB")
    except Exception as error:  # pydicom raises almost anything on damaged bytes
        if isinstance(error, OSError) and error.errno:  # the file itself cannot be read
            raise
        raise ImageError(f"{path}: is not readable as DICOM", "The file may be incomplete.") from None


def _reject_inflation(path: Path, max_pixels: int) -> None:
    """Reject a deflated file that is too large when inflated, before pydicom inflates it in memory."""
    from pydicom import filereader

    with path.open("rb") as file:
        if _DEFLATED.encode() not in file.read(1024):
            return
        file.seek(132)  # after the preamble: the meta information, group 2, then the deflated part (PS3.10 7.1)
        try:
            filereader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
        except Exception:  # the file is damaged, which pydicom reports later
            return
        deflated = file.read()
    limit = _MAX_HEADER_BYTES + 6 * max_pixels
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while deflated and not inflater.eof and inflated <= limit:
        try:
            inflated += len(inflater.decompress(deflated, 2**20))
        except zlib.error:
            return  # the file is damaged, which pydicom reports later
        deflated = inflater.unconsumed_tail
    if inflated > limit:
        raise ImageError(
            f"{path}: inflates to more bytes than a radiograph needs", "Raise --max-pixels if it is a radiograph."
        )


def decode_pixels(header: Header, pixel_format: PixelFormat, path: Path) -> tuple[NDArray[Any], str]:
    """The stored words with all their bits, or colours as RGB, and their photometric interpretation.

    Args:
        header: as `complete_pixel_format` leaves it.
        pixel_format: what that function returned.
        path: the file, for errors, and for decoders that run in another process.

    Raises:
        ImageError: the pixels cannot be decoded, or do not fit the header.
    """
    syntax = transfer_syntax(header.dataset)
    _check_length(header, pixel_format, syntax, path)
    try:
        words, properties = _decode(header.dataset, path)
    except (RuntimeError, NotImplementedError):
        # An unknown transfer syntax is not quoted, because it may be any text.
        name = syntax.name if syntax.name != str(syntax) else "an unknown transfer syntax"
        raise ImageError(f"{path}: its pixels ({name}) cannot be decoded", _decoder_hint(syntax)) from None
    except (ValueError, AttributeError, KeyError, IndexError, TypeError, struct.error):
        raise ImageError(f"{path}: its pixel data do not fit its header", "The file may be incomplete.") from None
    return words, str(properties["photometric_interpretation"])


def _decode(dataset: Any, path: Path) -> tuple[NDArray[Any], Any]:
    """The decoded pixels and their properties, as pydicom's `Decoder.as_array` returns them.

    No decoder that may crash on damaged data runs in this process. The first that succeeds is used.

    Raises:
        RuntimeError, NotImplementedError: no decoder is installed for the transfer syntax, or all of them failed.
    """
    from pydicom.pixels import get_decoder

    decoder = get_decoder(transfer_syntax(dataset))
    unsafe = {_GDCM, _LIBJPEG} if _JPEG.fullmatch(decoder.UID) else {_GDCM}
    attempts = [
        partial(decoder.as_array, dataset, decoding_plugin=plugin, **DECODING)
        for plugin in decoder.available_plugins
        if plugin not in unsafe
    ]
    if decoder.UID in SUBPROCESS_SYNTAXES:
        # Few files need this module, and its import takes time.
        from lungmask_cli.formats.dicom.decode_subprocess import decode_in_subprocess

        plugins = (plugin for plugin in (_GDCM, _LIBJPEG) if plugin in decoder.available_plugins)
        attempts += [partial(decode_in_subprocess, path, plugin) for plugin in plugins]
    for attempt in attempts[:-1]:
        with contextlib.suppress(RuntimeError, NotImplementedError):
            return attempt()
    # Without any plugin, the pixels are not compressed, or pydicom raises an error that there is no decoder.
    return attempts[-1]() if attempts else decoder.as_array(dataset, **DECODING)


def _read_stored_values(header: Header, pixel_format: PixelFormat, path: Path) -> tuple[NDArray[Any], str]:
    """The stored values, (H, W) or (H, W, 3) RGB, and their photometric interpretation."""
    from pydicom.pixels import apply_color_lut

    words, photometric = decode_pixels(header, pixel_format, path)
    if words.ndim != (2 if pixel_format.samples == 1 else 3):
        raise ImageError(f"{path}: holds several frames", "Give single-frame radiographs.")
    if words.ndim == 3 or words.dtype.kind == "f":
        return words.astype(np.float32), photometric
    values = extract_values(words, pixel_format, header, path)
    if photometric != "PALETTE COLOR":
        return values, photometric
    try:
        return apply_color_lut(values, header.dataset)[..., :3].astype(np.float32), "RGB"
    except Exception:  # pydicom raises almost anything on odd palettes
        raise ImageError(f"{path}: its palette cannot be read", "Export it again, as grey values.") from None


def _check_length(header: Header, pixel_format: PixelFormat, syntax: Any, path: Path) -> None:
    """Reject pixels that are not compressed and hold far more or fewer bytes than the header says; warn of more."""
    if syntax.is_private or not syntax.is_transfer_syntax or syntax.is_encapsulated:
        return
    dataset = header.dataset
    length, bits = len(dataset[pixel_format.element].value), pixel_format.bits_allocated * pixel_format.samples
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3  # two pixels share a blue and a red value
    expected = math.ceil(dataset.Rows * dataset.Columns * dataset.NumberOfFrames * bits / 8)
    padded = expected + 1  # at most, to an even number
    if length < expected or length >= max(2 * expected, padded + 1):
        raise ImageError(
            f"{path}: its pixel data do not fit its header: {length} bytes instead of {expected}",
            "The file is incomplete, or one of the elements Rows, Columns, BitsAllocated and SamplesPerPixel is wrong.",
        )
    if length > padded:
        header.warn("its pixel data are longer than its header says; the rest was left out")


def _decoder_hint(syntax: Any) -> str:
    """A hint for pixels that cannot be decoded: install a decoder if one is missing."""
    from pydicom.pixels import get_decoder

    try:
        available = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return "Export it again, uncompressed or as JPEG 2000."
    if syntax == _JPEG_12_BIT and _LIBJPEG not in available:
        return 'Install a decoder for 12 bits: pip install "lungmask-cli[gpl]".'
    if syntax in SUBPROCESS_SYNTAXES and not {_GDCM, _LIBJPEG} & set(available):
        return 'Install a decoder: pip install "lungmask-cli[dicom]".'
    return "The file is damaged; copy or export it again."


def transfer_syntax(dataset: Any) -> Any:
    """The transfer syntax as pydicom's `UID`, also for files without meta information."""
    from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if uid := getattr(dataset, "file_meta", {}).get("TransferSyntaxUID"):
        return UID(uid)
    implicit, little = dataset.original_encoding  # the encoding that pydicom detected
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian

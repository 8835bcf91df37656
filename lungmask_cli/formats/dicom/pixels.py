"""DICOM radiographs: stored values to a picture with bright bones.

Order: modality LUT or rescale (PS3.3 C.11.1), VOI LUT or window (C.11.2), then one inversion where the photometric
interpretation is MONOCHROME1 (C.7.6.3.1.2) or the presentation LUT shape says INVERSE (C.11.6). Overlays are ignored.

Errors are raised `from None`: pydicom's own quote the elements they are about, patient names among them, and a
traceback would carry them into logs.
"""

import contextlib
import logging
import re
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
from lungmask_cli.formats.dicom.header import find_spacing, header_warnings, refuse_other_than_radiographs
from lungmask_cli.formats.limits import check_size
from lungmask_cli.imaging.radiograph import Mask, Radiograph, Spacing, invert

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_LARGEST_HEADER = 64 * 2**20  # bytes, of all elements before the pixels
_DEFLATED = "1.2.840.10008.1.2.1.99"
_GDCM, _LIBJPEG = "gdcm", "pylibjpeg"  # pydicom's names; for JPEG 2000 pylibjpeg is openjpeg, which is harmless
_EXTENDED = "1.2.840.10008.1.2.4.51"
# 12-bit and lossless JPEG, which only decoders can decode that do not survive damaged data.
SUBPROCESS_SYNTAXES = (_EXTENDED, "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_JPEG = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.[578]\d")  # JPEG and JPEG-LS, not JPEG 2000
_LEAST_SHOWN = 0.1
_VALUE_TYPES = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split())


def is_dicom(path: Path) -> bool:
    """Whether the file has DICOM's preamble (PS3.10 7.1), or begins with a data element as files without one do."""
    with path.open("rb") as file:
        head = file.read(132)
    return head[128:] == b"DICM" or (len(head) == 132 and _begins_with_element(head))


def _begins_with_element(head: bytes) -> bool:
    group, element, kind = head[:2], head[2:4], head[4:6]
    little, big = group in (b"\x02\x00", b"\x08\x00"), group == b"\x00\x08"
    if kind in _VALUE_TYPES:
        return little or big
    # Implicit VR: a group length of four bytes, or a short first element.
    length = int.from_bytes(head[4:8], "little")
    return little and (element == b"\x00\x00" or group == b"\x08\x00") and element[1] == 0 and 0 < length <= 64


def read_dicom(path: Path, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """A single-frame DICOM radiograph.

    Raises:
        ImageError: the file is not readable DICOM, holds no or several frames, is of another modality, is too large, or
            is compressed in a way that no installed decoder handles.
    """
    with pydicom_errors(path):
        return _read(path, max_pixels)


def read_dicom_spacing(path: Path) -> tuple[tuple[int, int], Spacing | None]:
    """Height and width, and the pixel spacing (None if unknown).

    Raises:
        ImageError: the file is not readable DICOM, or holds no picture.
    """
    with pydicom_errors(path):
        dataset = read_dataset(path)
        refuse_other_than_radiographs(dataset, path)
        return (int(dataset.Rows), int(dataset.Columns)), find_spacing(dataset)


@contextlib.contextmanager
def pydicom_errors(path: Path) -> Iterator[None]:
    """Keeps pydicom silent, and makes whatever it raises an `ImageError`.

    What pydicom says of odd elements quotes them; none of it may reach a terminal or a log.
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
                f"{path}: its header or its pixels cannot be interpreted ({type(error).__name__})",
                "Is the file complete? Export it again.",
            ) from None


def _read(path: Path, max_pixels: int) -> Radiograph:
    dataset = read_dataset(path, max_pixels)
    refuse_other_than_radiographs(dataset, path)
    check_size(path, int(dataset.Columns), int(dataset.Rows), max_pixels)
    stored, photometric = _stored_values(dataset, path)
    notes = header_warnings(dataset)
    if stored.ndim == 3:  # colour: screenshots and scans, which have neither LUT nor window
        pixels = stored.astype(np.float32) @ _LUMINANCE
    else:
        pixels, note = _displayed(dataset, stored, photometric)
        notes = (*notes, *note)
    return Radiograph(_compact(pixels), _not_padding(dataset, stored), find_spacing(dataset), notes)


def read_dataset(path: Path, max_pixels: int = MAX_PIXELS) -> Any:
    """The elements of a DICOM file, large ones still on disk.

    Raises:
        ImageError: the file is not readable DICOM, or inflates to more than a radiograph can hold.
    """
    from pydicom import dcmread

    if not is_dicom(path):
        raise ImageError(f"{path}: is not readable as DICOM", "Is the file complete, and what its name says?")
    _refuse_inflation(path, max_pixels)
    try:
        # Large elements stay on disk until they are asked for: a file of many frames is refused by its header alone.
        return dcmread(path, force=True, defer_size="1 MB")
    except OSError:
        raise
    except Exception:  # pydicom raises almost anything on damaged bytes
        raise ImageError(f"{path}: is not readable as DICOM", "Is the file complete?") from None


def _refuse_inflation(path: Path, max_pixels: int) -> None:
    """Refuse a deflated file that grows beyond what a radiograph needs, before pydicom inflates it in memory."""
    from pydicom import filereader

    with path.open("rb") as file:
        if _DEFLATED.encode() not in file.read(1024):
            return
        file.seek(132)  # the meta information, group 2, follows the preamble; the deflated part follows it (PS3.10 7.1)
        try:
            filereader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
        except Exception:  # pydicom's error then says that the file is damaged
            return
        rest = file.read()
    limit = _LARGEST_HEADER + 6 * max_pixels
    inflater, grown = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while rest and not inflater.eof and grown <= limit:
        try:
            grown += len(inflater.decompress(rest, 2**20))
        except zlib.error:
            return  # pydicom's error then says that the file is damaged
        rest = inflater.unconsumed_tail
    if grown > limit:
        raise ImageError(f"{path}: inflates to more than a radiograph can hold", "Raise --max-pixels if it is one.")


def decoded(dataset: Any, path: Path) -> NDArray[Any]:
    """The decoded pixels, by no decoder that damaged data can end the program through."""
    from pydicom.pixels import get_decoder

    return _decode(get_decoder(transfer_syntax(dataset)), dataset, path)[0]


def _stored_values(dataset: Any, path: Path) -> tuple[NDArray[Any], str]:
    """The decoded pixels, (H, W) or (H, W, 3) RGB, and the photometric interpretation they now have."""
    from pydicom.pixels import apply_color_lut, get_decoder

    if "PixelData" not in dataset:
        raise ImageError(f"{path}: holds no pixel data", "It may be a report or a presentation state.")
    syntax = transfer_syntax(dataset)
    try:
        pixels, facts = _decode(get_decoder(syntax), dataset, path)
    except (RuntimeError, NotImplementedError):  # pydicom's "no decoder" and "all decoders failed"
        raise ImageError(f"{path}: its pixels ({_name(syntax)}) cannot be decoded", _decoder_hint(syntax)) from None
    except (ValueError, AttributeError, KeyError, IndexError, TypeError):
        raise ImageError(f"{path}: its pixel data do not fit its header", "Is the file complete?") from None
    photometric = str(facts["photometric_interpretation"])
    if photometric == "PALETTE COLOR":
        return apply_color_lut(pixels, dataset)[..., :3], "RGB"
    return pixels, photometric


def _name(syntax: Any) -> str:
    """The name of a transfer syntax in the standard; what the file has instead might be any text."""
    return str(syntax.name) if syntax.name != str(syntax) else "an unknown transfer syntax"


def _decoder_hint(syntax: Any) -> str:
    """What to do about pixels that cannot be decoded: install a decoder, where there is one more."""
    from pydicom.pixels import get_decoder

    try:
        available = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return "Export it again, uncompressed or as JPEG 2000."
    if syntax == _EXTENDED and _LIBJPEG not in available:
        return 'Install a decoder for 12 bits: pip install "lungmask-cli[gpl]".'
    if syntax in SUBPROCESS_SYNTAXES and not {_GDCM, _LIBJPEG} & set(available):
        return 'Install a decoder: pip install "lungmask-cli[dicom]".'
    return "The file is damaged; copy or export it again."


def _decode(decoder: Any, dataset: Any, path: Path) -> tuple[NDArray[Any], Any]:
    risky = {_GDCM, _LIBJPEG} if _JPEG.fullmatch(decoder.UID) else {_GDCM}
    ways = [
        partial(decoder.as_array, dataset, raw=False, decoding_plugin=plugin)
        for plugin in decoder.available_plugins
        if plugin not in risky
    ]
    if decoder.UID in SUBPROCESS_SYNTAXES:
        plugins = (plugin for plugin in (_GDCM, _LIBJPEG) if plugin in decoder.available_plugins)
        from lungmask_cli.formats.dicom.decode_subprocess import (
            decode_in_subprocess,  # what few files need, and takes time to import
        )

        ways += [partial(decode_in_subprocess, path, plugin) for plugin in plugins]
    for way in ways[:-1]:
        with contextlib.suppress(RuntimeError, NotImplementedError):
            return way()
    # Without any way it is not compressed, or pydicom says that there is no decoder.
    return ways[-1]() if ways else decoder.as_array(dataset, raw=False)


def transfer_syntax(dataset: Any) -> Any:
    """The transfer syntax as pydicom's `UID`, also of files without meta information."""
    from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    named = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if named:
        return UID(named)
    implicit, little = dataset.original_encoding  # files without meta information: what pydicom found while reading
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _displayed(dataset: Any, stored: NDArray[Any], photometric: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Grey values with bright bones, and what there is to say about them."""
    values = _modality_values(dataset, stored)
    pixels, notes = _values_of_interest(dataset, values)
    shape = str(dataset.get("PresentationLUTShape", ""))
    inverted = photometric == "MONOCHROME1" or shape == "INVERSE"
    return invert(pixels) if inverted else pixels, notes


def _compact(pixels: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers of up to 16 bits as they are, others as float32."""
    return pixels if pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2 else pixels.astype(np.float32)


def _modality_values(dataset: Any, stored: NDArray[Any]) -> NDArray[Any]:
    from pydicom.pixels import apply_modality_lut

    if dataset.get("ModalityLUTSequence"):
        return _look_up(dataset, dataset.ModalityLUTSequence[0], stored)
    return apply_modality_lut(stored, dataset)


def _values_of_interest(dataset: Any, values: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The VOI LUT, else the window, else the values as they are, which the network's input stretches by percentiles."""
    from pydicom.pixels import apply_windowing

    if dataset.get("VOILUTSequence"):
        shown = _look_up(dataset, dataset.VOILUTSequence[0], values)
    elif dataset.get("WindowCenter") in (None, "") or dataset.get("WindowWidth") in (None, ""):
        return values, ()
    else:
        try:
            shown = apply_windowing(values, dataset)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError):
            return values, ("its window makes no sense and was left out",)
    between = np.count_nonzero((shown > shown.min()) & (shown < shown.max()))
    if between < _LEAST_SHOWN * shown.size and np.unique(values).size > 2:
        return values, ("its window shows hardly any grey values and was left out",)
    return shown, ()


def _look_up(dataset: Any, item: Any, values: NDArray[Any]) -> NDArray[Any]:
    """The values through a modality or VOI LUT (C.11.1.1, C.11.2.1.1); beyond its ends the first and last entry hold.

    pydicom's own functions wrap values around that exceed the depth of the entries.
    """
    entries, first, bits = (int(value) for value in item.LUTDescriptor)
    if values.dtype.kind == "i" and first > np.iinfo(values.dtype).max:
        first -= 2**16  # signed, written as unsigned
    data = item.LUTData
    if isinstance(data, bytes):
        little = dataset.original_encoding[1]
        packed = bits <= 8 and len(data) < 2 * (entries or 2**16)
        table = np.frombuffer(data, np.uint8 if packed else "<u2" if little else ">u2")
    else:
        table = np.asarray(data)
    table = table[: entries or 2**16]
    places = np.clip(np.floor(values).astype(np.int64) - first, 0, len(table) - 1)
    return table[places]


def _not_padding(dataset: Any, stored: NDArray[Any]) -> Mask | None:
    if "PixelPaddingValue" not in dataset or stored.ndim == 3:
        return None
    first = _as_stored(dataset, dataset.PixelPaddingValue)
    last = _as_stored(dataset, dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue))
    valid: Mask = (stored < min(first, last)) | (stored > max(first, last))
    return valid if valid.any() else None


def _as_stored(dataset: Any, value: Any) -> int:
    """A padding value in the representation of the pixels; some writers store negative ones as unsigned."""
    number = int.from_bytes(value, "little") if isinstance(value, bytes) else int(value)
    signed = int(dataset.PixelRepresentation) == 1
    return number - 2**16 if signed and number >= 2**15 else number

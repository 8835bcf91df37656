"""DICOM radiographs: stored values to a picture with bright bones.

Order: modality LUT or rescale (PS3.3 C.11.1), VOI LUT or window (C.11.2), then one inversion where the photometric
interpretation is MONOCHROME1 (C.7.6.3.1.2) or the presentation LUT shape says INVERSE (C.11.6).
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.radiograph import Mask, Radiograph

# In the patient first, then at the detector (PS3.3 10.7.1.3); each gives row spacing, then column spacing.
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_OTHER_MODALITIES = {
    "CT": "a CT; this tool is for radiographs, the CT tool is the PyPI package lungmask",
    "MR": "an MR image",
}


def is_dicom(path: Path) -> bool:
    """Whether the file has DICOM's preamble (PS3.10 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom(path: Path) -> Radiograph:
    """A single-frame DICOM radiograph.

    Raises:
        ImageError: the file is not readable DICOM, holds no or several frames, is a CT or MR, or is compressed in a
            way that no installed decoder handles.
    """
    import pydicom

    # pydicom's warnings quote the elements they are about, patient names among them.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _read(path)


def _read(path: Path) -> Radiograph:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(path)
    except (InvalidDicomError, EOFError, ValueError, KeyError) as error:
        raise ImageError(f"{path}: is not readable as DICOM", "Is the file complete?") from error
    _refuse_other_than_radiographs(dataset, path)
    stored = _stored_values(dataset, path)
    try:
        pixels = _displayed(dataset, stored)
    except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise ImageError(f"{path}: its grey values cannot be interpreted: {type(error).__name__}") from error
    spacing, source = _spacing(dataset)
    return Radiograph(pixels.astype(np.float32), _not_padding(dataset, stored), spacing, source)


def _refuse_other_than_radiographs(dataset: Any, path: Path) -> None:
    modality = str(dataset.get("Modality", ""))
    if modality in _OTHER_MODALITIES:
        raise ImageError(f"{path}: is {_OTHER_MODALITIES[modality]}", "Give a frontal chest radiograph (CR or DX).")
    if "PixelData" not in dataset:
        raise ImageError(f"{path}: holds no pixel data", "It may be a report or a DICOMDIR.")
    frames = dataset.get("NumberOfFrames") or 1
    if int(frames) > 1:
        raise ImageError(f"{path}: holds {int(frames)} frames", "Give single-frame radiographs.")


def _stored_values(dataset: Any, path: Path) -> NDArray[Any]:
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    try:
        pixels: NDArray[Any] = dataset.pixel_array
    except (RuntimeError, NotImplementedError) as error:  # pydicom's "no decoder" and "all decoders failed"
        name = syntax.name if syntax is not None else "an unknown transfer syntax"
        raise ImageError(
            f"{path}: its pixels ({name}) cannot be decoded",
            'Compressed files may need: pip install "lungmask-cli[dicom]". If that is installed, the file is damaged.',
        ) from error
    except (ValueError, AttributeError, KeyError) as error:
        raise ImageError(f"{path}: its pixel data do not fit its header", "Is the file complete?") from error
    if pixels.ndim == 3:
        from pydicom.pixels import convert_color_space

        rgb = convert_color_space(pixels, dataset.PhotometricInterpretation, "RGB")
        pixels = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return pixels


def _displayed(dataset: Any, stored: NDArray[Any]) -> NDArray[Any]:
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    if dataset.PhotometricInterpretation == "PALETTE COLOR" or dataset.get("SamplesPerPixel", 1) > 1:
        return stored
    # apply_voi_lut prefers the LUT, and leaves the values alone where there is neither LUT nor window.
    pixels = apply_voi_lut(apply_modality_lut(stored, dataset), dataset)
    shape = str(dataset.get("PresentationLUTShape", ""))
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE"
    values = pixels.astype(np.float64)
    return values.max() + values.min() - values if inverted else values


def _not_padding(dataset: Any, stored: NDArray[Any]) -> Mask | None:
    if "PixelPaddingValue" not in dataset:
        return None
    first = int(dataset.PixelPaddingValue)
    last = int(dataset.get("PixelPaddingRangeLimit", first))
    valid: Mask = (stored < min(first, last)) | (stored > max(first, last))
    return valid if valid.any() else None


def _spacing(dataset: Any) -> tuple[tuple[float, float] | None, str]:
    for name in _SPACINGS:
        value = dataset.get(name)
        if value is not None and len(value) == 2 and min(float(v) for v in value) > 0:
            return (float(value[0]), float(value[1])), name
    return None, ""

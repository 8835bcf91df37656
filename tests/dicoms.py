"""Synthetic DICOM radiographs of every kind."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian


def make_dicom(stored: np.ndarray, syntax: str = ExplicitVRLittleEndian, **changes: Any) -> FileDataset:
    """A CR radiograph of these stored values, (H, W) or (H, W, 3), with elements changed, or removed by None."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.3680043.8.498.1")
    meta.TransferSyntaxUID = UID(syntax)
    kind = meta.TransferSyntaxUID
    dataset = FileDataset("made", {}, bytes(128), meta, kind.is_implicit_VR, kind.is_little_endian)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "CR"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    bits = stored.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    order = "<" if kind.is_little_endian else ">"
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def write_dicom(path: Path, stored: np.ndarray, syntax: str = ExplicitVRLittleEndian, **changes: Any) -> Path:
    """The file of `make_dicom`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make_dicom(stored, syntax, **changes).save_as(path)
    return path

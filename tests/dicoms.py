"""Synthetic DICOM radiographs of every kind."""

from collections.abc import Mapping
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_data_element, write_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32


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


Odd = tuple[str, bytes]  # the value representation and the bytes of an element, which no standard needs to allow


def write_odd_dicom(path: Path, dataset: FileDataset, elements: Mapping[str, Odd | None]) -> Path:
    """The dataset in explicit VR little endian, with odd elements, and without those that are None."""
    path.write_bytes(encode_odd_dicom(dataset, elements))
    return path


def encode_odd_dicom(dataset: FileDataset, elements: Mapping[str, Odd | None]) -> bytes:
    """The bytes of the file of `write_odd_dicom`."""
    encoded = {element.tag: encode_element(element) for element in correct_ambiguous_vr(dataset, True)}
    for keyword, odd in elements.items():
        encoded.pop(Tag(keyword), None)
        if odd:
            encoded[Tag(keyword)] = encode_odd_element(Tag(keyword), *odd)
    meta = DicomBytesIO()
    write_file_meta_info(meta, dataset.file_meta)
    return bytes(128) + b"DICM" + meta.getvalue() + b"".join(encoded[tag] for tag in sorted(encoded))


def encode_element(element: DataElement) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_data_element(stream, element)
    return stream.getvalue()


def encode_odd_element(tag: BaseTag, representation: str, content: bytes) -> bytes:
    length = (
        (b"\0\0" + pack("<L", len(content))) if representation in EXPLICIT_VR_LENGTH_32 else pack("<H", len(content))
    )
    return pack("<HH", tag.group, tag.element) + representation.encode() + length + content

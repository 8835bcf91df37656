"""Synthetic DICOM radiographs of every kind."""

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_data_element, write_file_meta_info
from pydicom.sequence import Sequence
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
    """The dataset with odd elements, and without those that are None."""
    correct_ambiguous_vr(dataset, True)
    path.write_bytes(encode_odd_dicom(dataset, {Tag(keyword): odd for keyword, odd in elements.items()}))
    return path


def encode_odd_dicom(dataset: FileDataset, elements: Mapping[BaseTag, Odd | None]) -> bytes:
    """The bytes of such a file, in the dataset's own transfer syntax."""
    syntax = dataset.file_meta.TransferSyntaxUID
    encoded = {element.tag: encode_element(element, syntax) for element in dataset}
    for tag, odd in elements.items():
        encoded.pop(tag, None)
        if odd:
            encoded[tag] = encode_odd_element(tag, *odd, syntax)
    content = b"".join(encoded[tag] for tag in sorted(encoded))
    if syntax.is_deflated:
        squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = squeezer.compress(content) + squeezer.flush()
    meta = DicomBytesIO()
    write_file_meta_info(meta, dataset.file_meta)
    return bytes(128) + b"DICM" + meta.getvalue() + content


def encode_element(element: DataElement, syntax: UID) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_data_element(stream, element)
    return stream.getvalue()


def encode_odd_element(tag: BaseTag, representation: str, content: bytes, syntax: UID) -> bytes:
    order = "<" if syntax.is_little_endian else ">"
    start = pack(f"{order}HH", tag.group, tag.element)
    if syntax.is_implicit_VR:
        return start + pack(f"{order}L", len(content)) + content
    if representation in EXPLICIT_VR_LENGTH_32:
        return start + representation.encode() + b"\0\0" + pack(f"{order}L", len(content)) + content
    return start + representation.encode() + pack(f"{order}H", len(content) % 2**16) + content


def make_lut(values: Iterable[int], first: int = 0) -> Dataset:
    """An item of a modality or VOI LUT sequence."""
    table = np.array(list(values), "<u2")
    item = Dataset()
    item.LUTDescriptor = [len(table), first, 16]
    item["LUTDescriptor"].VR = "US"
    item.add_new("LUTData", "OW", table.tobytes())
    return item


def make_view() -> Dataset:
    """An item of a view code sequence: postero-anterior."""
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399348003", "SCT", "postero-anterior"
    return view


# Optional elements that leave the image as it is. The padding value is that of no pixel.
NEUTRAL = {
    "Modality": "CR", "BodyPartExamined": "CHEST", "ViewPosition": "PA", "PatientOrientation": ["L", "F"],
    "ViewCodeSequence": Sequence([make_view()]), "PatientAge": "045Y", "PatientBirthDate": "19700101",
    "StudyDate": "20150101", "BurnedInAnnotation": "NO", "PresentationIntentType": "FOR PRESENTATION",
    "RescaleSlope": "1.0", "RescaleIntercept": "0.0", "ModalityLUTSequence": Sequence([make_lut(range(4096))]),
    "WindowCenter": "2048.0", "WindowWidth": "4096.0", "VOILUTFunction": "LINEAR",
    "VOILUTSequence": Sequence([make_lut(range(4096))]), "PresentationLUTShape": "IDENTITY",
    "PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4095, "NumberOfFrames": "1",
    "PixelSpacing": ["0.2", "0.1"], "ImagerPixelSpacing": ["0.2", "0.1"], "NominalScannedPixelSpacing": ["0.2", "0.1"],
    "PixelAspectRatio": ["1", "1"], "SmallestImagePixelValue": 0, "PatientName": "ZQXSECRET^JANE",
}  # fmt: skip

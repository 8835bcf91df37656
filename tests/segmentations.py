"""Synthetic DICOM segmentations; every text in them is a secret that must not be quoted."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import SegmentationStorage

from tests.dicoms import make_dicom

SECRET = "ZQXSECRET"
LABEL_MAP = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.7", "SegmentationType": "LABELMAP"}


def item(**elements):
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def code(value, **elements):
    return Sequence([item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=SECRET, **elements)])


def segment(number, label=SECRET, kind="113343008", **elements):
    """A segment with that label; its type is a body organ by default."""
    return item(SegmentNumber=number, SegmentLabel=label, SegmentedPropertyTypeCodeSequence=code(kind), **elements)


def segment_reference(number):
    return item(SegmentIdentificationSequence=Sequence([item(ReferencedSegmentNumber=number)]))


def make_seg(frames, segments, numbers=None, **changes):
    """A segmentation of frames (N, H, W): one bit per pixel, or one byte for fractions and label maps."""
    frames = np.asarray(frames, np.uint8)
    is_byte = changes.get("SegmentationType", "BINARY") != "BINARY"
    groups = [segment_reference(number) for number in numbers or range(1, len(frames) + 1)]
    elements = {
        "SOPClassUID": SegmentationStorage,
        "Modality": "SEG",
        "PatientName": f"{SECRET}^JANE",
        "ContentLabel": SECRET,
        "SegmentationType": "BINARY",
        "NumberOfFrames": len(frames),
        "SegmentSequence": Sequence(segments),
        "PerFrameFunctionalGroupsSequence": Sequence(groups),
        "PixelData": frames.tobytes() + b"\0" * (frames.size % 2) if is_byte else pack_bits(frames),
    }
    bits = {} if is_byte else {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    return make_dicom(frames[0], **(elements | bits | changes))

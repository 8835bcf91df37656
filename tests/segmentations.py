"""DICOM segmentations made by hand, for tests; every text in them is a secret that must not get out."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import SegmentationStorage

from tests.dicoms import make_dicom

SECRET = "ZQXSECRET"
LABEL_MAP = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.7", "SegmentationType": "LABELMAP"}


def item(**elements):
    made = Dataset()
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def code(value, **elements):
    return Sequence([item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=SECRET, **elements)])


def segment(number, label=SECRET, kind="113343008", **elements):
    """A segment of that label; its type is a body organ, if nothing else is said."""
    return item(SegmentNumber=number, SegmentLabel=label, SegmentedPropertyTypeCodeSequence=code(kind), **elements)


def of_segment(number):
    return item(SegmentIdentificationSequence=Sequence([item(ReferencedSegmentNumber=number)]))


def make_seg(frames, segments, numbers=None, **changes):
    """A segmentation of frames (N, H, W): one bit a pixel, or one byte where they are fractions or a label map."""
    frames = np.asarray(frames, np.uint8)
    of_bytes = changes.get("SegmentationType", "BINARY") != "BINARY"
    groups = [of_segment(number) for number in numbers or range(1, len(frames) + 1)]
    known = {
        "SOPClassUID": SegmentationStorage,
        "Modality": "SEG",
        "PatientName": f"{SECRET}^JANE",
        "ContentLabel": SECRET,
        "SegmentationType": "BINARY",
        "NumberOfFrames": len(frames),
        "SegmentSequence": Sequence(segments),
        "PerFrameFunctionalGroupsSequence": Sequence(groups),
        "PixelData": frames.tobytes() + b"\0" * (frames.size % 2) if of_bytes else pack_bits(frames),
    }
    bits = {} if of_bytes else {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    return make_dicom(frames[0], **(known | bits | changes))

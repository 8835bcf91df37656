"""DICOM segmentations (PS3.3 A.51, C.8.20) of both lungs, for a PACS; they need highdicom.

This is the one output that takes text from a DICOM header: a segmentation belongs to the patient and the study of the
radiograph that it was drawn on, as every PACS expects.

The same masks of the same radiograph and weights make the same bytes. Where the standard wants a date and a time
(C.7.6.16), those of the study stand, and where it has none, the first second of 1970.
"""

import contextlib
import hashlib
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np

from lungmask_cli import __version__
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import atomic_write
from lungmask_cli.formats.dicom.pixels import pydicom_errors, read_dataset
from lungmask_cli.imaging.radiograph import Mask, Spacing, format_size

_NAME = "lungmask"
_COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
_NO_DATE, _NO_TIME = "19700101", "000000"
_SERIES_NUMBER = 1000  # beyond those of a study's own series
_THICKNESS_MM = 1.0  # a projection has none, but programs that read pixel measures want one
# What the segmentation has from the radiograph's image, besides patient and study.
_OF_IMAGE = (
    "FrameOfReferenceUID", "PositionReferenceIndicator", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip
# What highdicom looks for in a radiograph; empty where it is unknown (type 2).
_OF_PATIENT = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


def write_segmentation(
    path: Path, right: Mask, left: Mask, source: Path | None, identity: str, spacing: Spacing | None
) -> None:
    """Write the lungs as a binary DICOM segmentation: segment 1 is the right lung, segment 2 the left one.

    Segments without pixels have no frame; if both have none, each has an empty one, for there must be one frame.

    Args:
        path: the file to write.
        right: the patient's right lung, (H, W) bool.
        left: the patient's left lung, (H, W) bool, with no pixel in common.
        source: the DICOM radiograph of H x W pixels that they were drawn on, which the segmentation refers to. None if
            the radiograph is of another kind: the segmentation then refers to nothing, and belongs to a patient and a
            study that are made up.
        identity: a text that tells radiograph and weights from all others; unique identifiers are made of it.
        spacing: of the pixels; None if unknown.

    Raises:
        UsageError: highdicom is not installed.
        ImageError: `source` cannot be read, is of another size, or has no identifier to refer to.
    """
    try:
        import highdicom
    except ImportError:
        raise UsageError(
            f"{path}: DICOM segmentations need highdicom", 'Install it: pip install "lungmask-cli[dicom]"'
        ) from None
    logging.getLogger(highdicom.__name__).setLevel(logging.CRITICAL + 1)  # it names identifiers
    unique = _Identifiers(right, left, identity, spacing)
    with pydicom_errors(source) if source else contextlib.nullcontext():
        if source:
            made = _on_radiograph(source, right, left, unique, spacing)
        else:
            made = _on_its_own(right, left, unique, spacing)
        with atomic_write(path) as partial:
            made.save_as(partial)


class _Identifiers:
    """Makes unique identifiers that are the same for the same segmentation."""

    def __init__(self, right: Mask, left: Mask, identity: str, spacing: Spacing | None) -> None:
        self.identity = identity
        lungs = hashlib.sha256(np.packbits([right, left]).tobytes()).hexdigest()
        self._content = f"{__version__} {right.shape} {spacing.mm if spacing else None} {lungs}"

    def of_radiograph(self, what: str) -> str:
        """One that all segmentations of the radiograph have in common, if drawn by the same weights."""
        return self._made(what)

    def of_segmentation(self, what: str) -> str:
        """One that another segmentation of the radiograph does not have."""
        return self._made(what, self._content)

    def _made(self, *sources: str) -> str:
        from pydicom.uid import generate_uid

        return str(generate_uid(entropy_srcs=[_NAME, self.identity, *sources]))


def _on_radiograph(source: Path, right: Mask, left: Mask, unique: _Identifiers, spacing: Spacing | None) -> Any:
    radiograph = read_dataset(source, max_pixels=right.size)
    size = int(radiograph.Rows), int(radiograph.Columns)
    if size != right.shape:
        raise ImageError(f"{source}: is of {size[1]} x {size[0]} pixels, its mask of {format_size(right)}")
    meta = getattr(radiograph, "file_meta", {})
    reference = _reference(
        right,
        SOPClassUID=radiograph.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID"),
        SOPInstanceUID=radiograph.get("SOPInstanceUID") or meta.get("MediaStorageSOPInstanceUID"),
        StudyInstanceUID=radiograph.get("StudyInstanceUID") or unique.of_radiograph("study"),
        SeriesInstanceUID=radiograph.get("SeriesInstanceUID") or unique.of_radiograph("series"),
        **{name: radiograph[name].value for name in _OF_IMAGE if radiograph.get(name)},
    )
    if not reference.SOPClassUID or not reference.SOPInstanceUID:
        raise ImageError(
            f"{source}: has no SOP class or instance UID, which a segmentation refers to", "Export the file again."
        )
    made = _segmentation(reference, right, left, unique, spacing)
    radiograph.SOPClassUID, radiograph.SOPInstanceUID = reference.SOPClassUID, reference.SOPInstanceUID
    made.copy_patient_and_study_information(radiograph)
    made.StudyInstanceUID = reference.StudyInstanceUID
    if "SpecificCharacterSet" in radiograph:
        made.SpecificCharacterSet = radiograph.SpecificCharacterSet
    day, time = (str(radiograph.get(name) or "") for name in ("StudyDate", "StudyTime"))
    if re.fullmatch(r"\d{8}", day):
        made.ContentDate = day
        made.ContentTime = time if re.fullmatch(r"\d{6}(\.\d{1,6})?", time) else _NO_TIME
    return made


def _on_its_own(right: Mask, left: Mask, unique: _Identifiers, spacing: Spacing | None) -> Any:
    """A segmentation that refers to no image, but to a frame of reference (A.51.3), which is made up as well.

    Where the spacing is known it lies in that frame as a patient would stand who is seen from the front.
    """
    patient = hashlib.sha256(unique.identity.encode()).hexdigest()[:16]
    reference = _reference(
        right,
        SOPClassUID=_COMPUTED_RADIOGRAPHY,
        SOPInstanceUID=unique.of_radiograph("radiograph"),
        StudyInstanceUID=unique.of_radiograph("study"),
        SeriesInstanceUID=unique.of_radiograph("series"),
        FrameOfReferenceUID=unique.of_radiograph("frame of reference"),
        PatientID=f"{_NAME}-{patient}",
        PatientName="Anonymous^",
    )
    if spacing:
        reference.ImagePositionPatient = [0, 0, 0]
        reference.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]  # rows run to the patient's left, columns to the feet
        reference.PixelSpacing = list(spacing.mm)
        reference.SliceThickness = _THICKNESS_MM
    made = _segmentation(reference, right, left, unique, spacing)
    del made.SourceImageSequence, made.ReferencedSeriesSequence
    for frame in made.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    return made


def _reference(mask: Mask, **elements: Any) -> Any:
    """What highdicom needs to know of a radiograph of the mask's size."""
    from pydicom import Dataset

    made = Dataset()
    made.Rows, made.Columns = mask.shape
    made.Modality = "CR"
    for name, value in {**dict.fromkeys(_OF_PATIENT, ""), **elements}.items():
        setattr(made, name, value)
    return made


def _segmentation(reference: Any, right: Mask, left: Mask, unique: _Identifiers, spacing: Spacing | None) -> Any:
    import highdicom

    made = highdicom.seg.Segmentation(
        [reference],
        right + 2 * left.astype(np.uint8),
        highdicom.seg.SegmentationTypeValues.BINARY,
        [_segment(1, "Right"), _segment(2, "Left")],
        series_instance_uid=unique.of_segmentation("series of segmentation"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=unique.of_segmentation("segmentation"),
        instance_number=1,
        manufacturer=_NAME,
        manufacturer_model_name=_NAME,
        software_versions=__version__,
        device_serial_number=__version__,  # a program has none, but there must be one (C.7.5.2)
        content_label="LUNGS",
        content_description="Lung fields",
        pixel_measures=highdicom.PixelMeasuresSequence(spacing.mm, _THICKNESS_MM) if spacing else None,
    )
    made.SeriesDescription = "Lung fields"
    made.ContentCreatorName = ""  # type 2
    _forget_now(made, unique)
    return made


def _segment(number: int, side: str) -> Any:
    """The description of one lung, in the codes of SNOMED CT: the lung, turned right or left (PS3.16 CID 7151, 244)."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    segment = SegmentDescription(
        number,
        f"{side} lung",
        codes.cid7150.AnatomicalStructure,
        codes.SCT.Lung,
        SegmentAlgorithmTypeValues.AUTOMATIC,
        AlgorithmIdentificationSequence(_NAME, codes.cid7162.ArtificialIntelligence, __version__),
    )
    turned = CodedConcept.from_code(getattr(codes.cid244, side))
    segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [turned]
    return segment


def _forget_now(made: Any, unique: _Identifiers) -> None:
    """Take out what highdicom makes anew each time: the date and the time, and random identifiers."""
    made.ContentDate, made.ContentTime = _NO_DATE, _NO_TIME
    for name in ("InstanceCreationDate", "InstanceCreationTime"):
        made.pop(name, None)
    for equipment in made.get("ContributingEquipmentSequence") or []:
        equipment.pop("ContributionDateTime", None)
    dimensions = unique.of_segmentation("dimensions")
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions

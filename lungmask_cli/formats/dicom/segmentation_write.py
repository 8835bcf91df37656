"""Write DICOM segmentations (PS3.3 A.51, C.8.20) of both lungs, and the heart, for a PACS, with highdicom.

This is the only output that copies text from a DICOM header: a segmentation belongs to the patient and the study of its
radiograph, as every PACS expects.

The same masks of the same radiograph and weights give the same bytes. The date and time that the standard requires
(C.7.6.16) are those of the study, or the first second of 1970 if the study has none.
"""

import contextlib
import hashlib
import logging
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lungmask_cli import __version__
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import atomic_write
from lungmask_cli.formats.dicom.elements import UNREADABLE, UnreadableError, is_filled, read_text, set_element
from lungmask_cli.formats.dicom.pixel_format import read_size
from lungmask_cli.formats.dicom.pixels import pydicom_errors, read_dataset
from lungmask_cli.imaging.radiograph import Mask, Spacing, format_size

_NAME = "lungmask"
_COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
_NO_DATE, _NO_TIME = "19700101", "000000"
_SERIES_NUMBER = 1000  # beyond those of a study's own series
_PIXEL_GROUP = 0x7FE0  # of the large elements, which stay on disk
_THICKNESS_MM = 1.0  # a projection has none, but readers of pixel measures require one
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Elements that the segmentation copies from the radiograph, besides those of patient and study.
_IMAGE_ELEMENTS = (
    "FrameOfReferenceUID", "PositionReferenceIndicator", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip
# Elements that highdicom requires of a radiograph; empty where unknown (type 2).
_PATIENT_ELEMENTS = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


def write_segmentation(
    path: Path,
    right: Mask,
    left: Mask,
    source: Path | None,
    identity: str,
    spacing: Spacing | None,
    heart: Mask | None = None,
) -> None:
    """Write a binary DICOM segmentation: segment 1 is the right lung, segment 2 the left one, segment 3 the heart.

    A segment without pixels has no frame, unless all are empty: a file needs at least one frame, so each has one then.

    Args:
        path: the file to write.
        right: the patient's right lung, (H, W) bool.
        left: the patient's left lung, (H, W) bool, with no pixel in common.
        source: the DICOM radiograph of H x W pixels that was segmented, to which the segmentation refers. None if the
            radiograph is not DICOM: the segmentation then has no source image, and a synthetic patient and study.
        identity: a text that is unique to the radiograph and the weights, for unique identifiers.
        spacing: of the pixels; None if unknown.
        heart: the heart, (H, W) bool, which may overlap the lungs; None for a segmentation of the lungs alone.

    Raises:
        UsageError: highdicom is not installed.
        ImageError: `source` cannot be read, has another size, or has no identifier to refer to.
    """
    try:
        import highdicom
    except ImportError:
        raise UsageError(
            f"{path}: DICOM segmentations need highdicom", 'Install it: pip install "lungmask-cli[dicom]"'
        ) from None
    logging.getLogger(highdicom.__name__).setLevel(logging.CRITICAL + 1)  # its log quotes identifiers
    content = _Content(right, left, heart, spacing, identity)
    with pydicom_errors(source) if source else contextlib.nullcontext():
        segmentation = _segment_source(source, content) if source else _segment_without_source(content)
        with atomic_write(path) as partial:
            segmentation.save_as(partial)


@dataclass(frozen=True)
class _Content:
    """The content of a segmentation, and its unique identifiers, which are the same for the same content."""

    right: Mask
    left: Mask
    heart: Mask | None
    spacing: Spacing | None
    identity: str

    @property
    def masks(self) -> list[Mask]:
        """The mask of each segment."""
        return [self.right, self.left, *([] if self.heart is None else [self.heart])]

    def radiograph_uid(self, *sources: str) -> str:
        """A UID that all segmentations of the radiograph with the same weights have in common."""
        from pydicom.uid import generate_uid

        return str(generate_uid(entropy_srcs=[_NAME, self.identity, *sources]))

    def segmentation_uid(self, purpose: str) -> str:
        """A UID of this segmentation alone."""
        return self.radiograph_uid(purpose, self._content)

    @cached_property
    def _content(self) -> str:
        checksum = hashlib.sha256(np.packbits(self.masks).tobytes()).hexdigest()
        return f"{__version__} {self.right.shape} {self.spacing.mm if self.spacing else None} {checksum}"


def _segment_source(source: Path, content: _Content) -> Any:
    radiograph = read_dataset(source, max_pixels=content.right.size)
    uids = {keyword: _read_uid(radiograph, keyword, source) for keyword in _UIDS}
    _remove_unreadable(radiograph)
    height, width = read_size(radiograph, source)
    if (height, width) != content.right.shape:
        raise ImageError(f"{source}: has {width} x {height} pixels, but its mask has {format_size(content.right)}")
    meta = getattr(radiograph, "file_meta", {})
    reference = _make_reference(
        content.right,
        SOPClassUID=uids["SOPClassUID"] or meta.get("MediaStorageSOPClassUID"),
        SOPInstanceUID=uids["SOPInstanceUID"] or meta.get("MediaStorageSOPInstanceUID"),
        StudyInstanceUID=uids["StudyInstanceUID"] or content.radiograph_uid("study"),
        SeriesInstanceUID=uids["SeriesInstanceUID"] or content.radiograph_uid("series"),
        **{name: radiograph[name].value for name in _IMAGE_ELEMENTS if _is_valid(radiograph, name)},
    )
    if not reference.SOPClassUID or not reference.SOPInstanceUID:
        raise ImageError(
            f"{source}: has no SOP class or instance UID, which a segmentation refers to", "Export the file again."
        )
    segmentation = _make_segmentation(reference, content)
    for keyword in _UIDS:
        set_element(radiograph, keyword, reference[keyword].value)
    segmentation.copy_patient_and_study_information(radiograph)
    if "SpecificCharacterSet" in radiograph:
        segmentation.SpecificCharacterSet = radiograph.SpecificCharacterSet
    day, time = (str(radiograph.get(name) or "") for name in ("StudyDate", "StudyTime"))
    if re.fullmatch(r"\d{8}", day):
        segmentation.ContentDate = day
        segmentation.ContentTime = time if re.fullmatch(r"\d{6}(\.\d{1,6})?", time) else _NO_TIME
    return segmentation


def _remove_unreadable(dataset: Any) -> None:
    """Remove the elements whose values pydicom cannot interpret: they cannot be copied."""
    for tag in list(dataset.keys()):
        if tag.group < _PIXEL_GROUP:
            try:
                dataset[tag].value  # noqa: B018
            except Exception:  # pydicom raises almost anything on odd values
                dataset.pop(tag)


def _read_uid(dataset: Any, keyword: str, source: Path) -> str:
    """A unique identifier; empty if there is none.

    Raises:
        ImageError: the element holds something else, so that the segmentation would belong to nothing.
    """
    try:
        text = read_text(dataset, keyword)
    except UnreadableError:
        text = UNREADABLE
    if text and not re.fullmatch(r"[0-9.]{1,64}", text):
        raise ImageError(
            f"{source}: the element {keyword} {UNREADABLE}, which a segmentation refers to", "Export the file again."
        )
    return text


def _is_valid(dataset: Any, keyword: str) -> bool:
    """Whether the element has a value, and one that the standard allows."""
    from pydicom import DataElement
    from pydicom.config import RAISE
    from pydicom.datadict import dictionary_VR

    if not is_filled(dataset, keyword):
        return False
    element = dataset[keyword]
    try:
        DataElement(element.tag, element.VR, element.value, validation_mode=RAISE)
    except Exception:  # pydicom raises almost anything on odd values
        return False
    return bool(dictionary_VR(element.tag) == element.VR)


def _segment_without_source(content: _Content) -> Any:
    """A segmentation that refers to no image, but to a synthetic frame of reference (A.51.3).

    If the spacing is known, its position in that frame is that of a standing patient seen from the front.
    """
    patient = hashlib.sha256(content.identity.encode()).hexdigest()[:16]
    reference = _make_reference(
        content.right,
        SOPClassUID=_COMPUTED_RADIOGRAPHY,
        SOPInstanceUID=content.radiograph_uid("radiograph"),
        StudyInstanceUID=content.radiograph_uid("study"),
        SeriesInstanceUID=content.radiograph_uid("series"),
        FrameOfReferenceUID=content.radiograph_uid("frame of reference"),
        PatientID=f"{_NAME}-{patient}",
        PatientName="Anonymous^",
    )
    if content.spacing:
        reference.ImagePositionPatient = [0, 0, 0]
        reference.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]  # rows run to the patient's left, columns to the feet
        reference.PixelSpacing = list(content.spacing.mm)
        reference.SliceThickness = _THICKNESS_MM
    segmentation = _make_segmentation(reference, content)
    del segmentation.SourceImageSequence, segmentation.ReferencedSeriesSequence
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    return segmentation


def _make_reference(mask: Mask, **elements: Any) -> Any:
    """The header of a radiograph of the mask's size, with the elements that highdicom needs."""
    from pydicom import Dataset

    reference = Dataset()
    reference.Rows, reference.Columns = mask.shape
    reference.Modality = "CR"
    for name, value in {**dict.fromkeys(_PATIENT_ELEMENTS, ""), **elements}.items():
        setattr(reference, name, value)
    return reference


def _make_segmentation(reference: Any, content: _Content) -> Any:
    import highdicom

    description = "Lung fields" if content.heart is None else "Lung fields and heart"
    segmentation = highdicom.seg.Segmentation(
        [reference],
        np.stack(content.masks, -1).astype(np.uint8)[None],
        highdicom.seg.SegmentationTypeValues.BINARY,
        [*map(_describe_lung, (1, 2), ("Right", "Left")), _describe_segment(3, "Heart")][: len(content.masks)],
        series_instance_uid=content.segmentation_uid("series of segmentation"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=content.segmentation_uid("segmentation"),
        instance_number=1,
        manufacturer=_NAME,
        manufacturer_model_name=_NAME,
        software_versions=__version__,
        device_serial_number=__version__,  # a program has none, but there must be one (C.7.5.2)
        content_label="LUNGS" if content.heart is None else "LUNGS_HEART",
        content_description=description,
        pixel_measures=highdicom.PixelMeasuresSequence(content.spacing.mm, _THICKNESS_MM) if content.spacing else None,
    )
    segmentation.SeriesDescription = description
    segmentation.ContentCreatorName = ""  # type 2
    _make_reproducible(segmentation, content)
    return segmentation


def _describe_lung(number: int, side: str) -> Any:
    """The description of one lung in SNOMED CT: the code of the lung, modified by its side (PS3.16 CID 7151, 244)."""
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    segment = _describe_segment(number, "Lung", f"{side} lung")
    modifier = CodedConcept.from_code(getattr(codes.cid244, side))
    segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return segment


def _describe_segment(number: int, organ: str, label: str = "") -> Any:
    """The description of an organ, by its name in SNOMED CT (PS3.16 CID 7151)."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        number,
        label or organ,
        codes.cid7150.AnatomicalStructure,
        getattr(codes.SCT, organ),
        SegmentAlgorithmTypeValues.AUTOMATIC,
        AlgorithmIdentificationSequence(_NAME, codes.cid7162.ArtificialIntelligence, __version__),
    )


def _make_reproducible(segmentation: Any, content: _Content) -> None:
    """Remove or replace the current date and time and the random identifiers that highdicom adds."""
    segmentation.ContentDate, segmentation.ContentTime = _NO_DATE, _NO_TIME
    for name in ("InstanceCreationDate", "InstanceCreationTime"):
        segmentation.pop(name, None)
    for equipment in segmentation.get("ContributingEquipmentSequence") or []:
        equipment.pop("ContributionDateTime", None)
    dimensions = content.segmentation_uid("dimensions")
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions

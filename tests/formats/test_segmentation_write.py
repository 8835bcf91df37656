import datetime
import logging
import sys
import traceback

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pydicom import dcmread
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.formats.dicom.segmentation_read import read_segmentation
from lungmask_cli.formats.dicom.segmentation_write import write_segmentation
from lungmask_cli.imaging.radiograph import Spacing
from tests.dicoms import make_dicom, write_dicom, write_odd_dicom
from tests.phantoms import draw_phantom

hd = pytest.importorskip("highdicom", reason="the extra [dicom]")

PHANTOM = draw_phantom(45, 41)  # 1845 pixels, so that the second frame begins within a byte
NOTHING = np.zeros_like(PHANTOM.right)
SECRET = "ZQXSECRET"
STUDY, SERIES, FRAME = "1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"
PATIENT = {
    "PatientName": f"{SECRET}^JANE", "PatientID": "id-7", "PatientBirthDate": "19500607", "PatientSex": "F",
    "StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "StudyID": "S1", "AccessionNumber": "A1",
    "StudyDate": "20040826", "StudyTime": "185059", "ReferringPhysicianName": "Doe^John", "PatientAge": "054Y",
    "StudyDescription": "Chest PA",
}  # fmt: skip


def radiograph(path, syntax=None, **changes):
    return write_dicom(path, np.zeros(PHANTOM.right.shape, np.uint16), *([syntax] if syntax else []), **changes)


def write(path, source=None, right=PHANTOM.right, left=PHANTOM.left, identity="one", spacing=None, heart=None):
    write_segmentation(path, right, left, source, identity, spacing, heart)
    return dcmread(path)


def test_the_heart_is_a_segment_of_its_own_that_may_overlap_the_lungs(tmp_path):
    heart = PHANTOM.heart | (np.roll(PHANTOM.heart, 6, axis=1) & PHANTOM.left)
    assert (heart & PHANTOM.left).any()
    dataset = write(tmp_path / "seg.dcm", radiograph(tmp_path / "a.dcm"), heart=heart)
    theirs = hd.seg.segread(tmp_path / "seg.dcm")
    assert theirs.segment_numbers == [1, 2, 3]
    assert theirs.get_segment_description(3).segmented_property_type.value == "80891009"  # heart, in SNOMED CT
    assert theirs.get_segment_description(3).segment_label == "Heart"
    frames = theirs.get_pixels_by_source_instance(
        [theirs.get_source_image_uids()[0][2]], combine_segments=False, assert_missing_frames_are_empty=True
    )[0]
    for number, mask in enumerate((PHANTOM.right, PHANTOM.left, heart)):
        assert np.array_equal(frames[..., number] > 0, mask)
    ours = read_segmentation(tmp_path / "seg.dcm")
    assert np.array_equal(ours.heart, heart)
    assert np.array_equal(ours.left, PHANTOM.left)
    assert dataset.SeriesDescription == "Lung fields and heart"
    write(tmp_path / "again.dcm", tmp_path / "a.dcm", heart=heart)
    assert (tmp_path / "again.dcm").read_bytes() == (tmp_path / "seg.dcm").read_bytes()


def assert_lungs(path, right, left):
    """Both our reader and that of highdicom find these lungs in the file."""
    mask = read_segmentation(path)
    assert np.array_equal(mask.right, right)
    assert np.array_equal(mask.left, left)
    theirs = hd.seg.segread(path)
    assert theirs.segment_numbers == [1, 2]
    frames = {
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber: frame
        for group, frame in zip(
            theirs.PerFrameFunctionalGroupsSequence, theirs.pixel_array.reshape(-1, *right.shape), strict=True
        )
    }
    for number, lung in ((1, right), (2, left)):
        assert np.array_equal(frames.get(number, np.zeros_like(lung)), lung)


def test_the_lungs_are_read_back_to_the_pixel(tmp_path):
    source = radiograph(tmp_path / "a.dcm", **PATIENT)
    write(tmp_path / "new" / "seg.dcm", source)
    assert_lungs(tmp_path / "new" / "seg.dcm", PHANTOM.right, PHANTOM.left)
    theirs = hd.seg.segread(tmp_path / "new" / "seg.dcm")
    pixels = theirs.get_pixels_by_source_instance([dcmread(source).SOPInstanceUID], segment_numbers=[1, 2])
    assert np.array_equal(pixels[0, :, :, 0], PHANTOM.right)
    assert np.array_equal(pixels[0, :, :, 1], PHANTOM.left)


@given(
    labels=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=9), elements=st.integers(0, 2))
)
@settings(max_examples=25, deadline=None)
def test_lungs_of_any_size_are_read_back(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("any") / "seg.dcm"
    write(path, right=labels == 1, left=labels == 2)
    assert_lungs(path, labels == 1, labels == 2)
    assert path.stat().st_size % 2 == 0


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("right", "left", "frames"),
    [(PHANTOM.right, NOTHING, 1), (NOTHING, PHANTOM.left, 1), (NOTHING, NOTHING, 2)],
    ids=["right", "left", "none"],
)
def test_empty_lungs_are_read_back_as_empty(tmp_path, right, left, frames, own):
    source = None if own else radiograph(tmp_path / "a.dcm", **PATIENT)
    made = write(tmp_path / "seg.dcm", source, right, left, spacing=Spacing(0.2, 0.1, "") if own else None)
    assert_lungs(tmp_path / "seg.dcm", right, left)
    assert made.NumberOfFrames == frames
    assert len(made.SegmentSequence) == 2


def test_the_segments_are_coded_as_lungs(tmp_path):
    made = write(tmp_path / "seg.dcm")
    for segment, label, side in zip(made.SegmentSequence, ("Right", "Left"), ("24028007", "7771000"), strict=True):
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        (modifier,) = kind.SegmentedPropertyTypeModifierCodeSequence
        assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("39607008", "SCT")
        assert (modifier.CodeValue, modifier.CodingSchemeDesignator) == (side, "SCT")
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
        assert segment.SegmentLabel == f"{label} lung"
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentAlgorithmName == "lungmask"
    assert made.SegmentationType == "BINARY"
    assert made.SegmentsOverlap == "NO"
    assert made.file_meta.MediaStorageSOPClassUID == made.SOPClassUID == SegmentationStorage


@pytest.mark.parametrize("own", [False, True])
def test_the_required_elements_are_present(tmp_path, own):
    """Elements of type 1, which have a value, and of type 2, which may be empty (PS3.3 A.51.3 and its modules)."""
    made = write(tmp_path / "seg.dcm", None if own else radiograph(tmp_path / "a.dcm"))
    for name in (
        "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Manufacturer", "ManufacturerModelName",
        "DeviceSerialNumber", "SoftwareVersions", "InstanceNumber", "ContentLabel", "ContentDate", "ContentTime",
        "ImageType", "LossyImageCompression", "DimensionOrganizationSequence", "DimensionIndexSequence",
    ):  # fmt: skip
        assert made[name].value, name
    for name in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "AccessionNumber", "ReferringPhysicianName", "ContentDescription", "ContentCreatorName",
    ):  # fmt: skip
        assert name in made, name


def test_it_belongs_to_the_patient_and_the_study_of_the_radiograph(tmp_path):
    source = radiograph(tmp_path / "a.dcm", **PATIENT, FrameOfReferenceUID=FRAME, PositionReferenceIndicator="")
    made = write(tmp_path / "seg.dcm", source)
    for name in PATIENT.keys() - {"SeriesInstanceUID"}:
        assert made[name].value == PATIENT[name], name
    assert made.FrameOfReferenceUID == FRAME
    assert made.Modality == "SEG"
    assert made.SeriesInstanceUID != SERIES
    assert (made.ContentDate, made.ContentTime) == ("20040826", "185059")


def test_it_refers_to_the_radiograph(tmp_path):
    source = radiograph(tmp_path / "a.dcm", **PATIENT, SOPClassUID=DigitalXRayImageStorageForPresentation)
    made = write(tmp_path / "seg.dcm", source)
    original = dcmread(source)
    (series,) = made.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES
    derivations = [group.DerivationImageSequence[0] for group in made.PerFrameFunctionalGroupsSequence]
    sources = [derivation.SourceImageSequence[0] for derivation in derivations]
    assert len(sources) == 2
    for image in (*made.SourceImageSequence, *series.ReferencedInstanceSequence, *sources):
        assert image.ReferencedSOPInstanceUID == original.SOPInstanceUID
        assert image.ReferencedSOPClassUID == DigitalXRayImageStorageForPresentation
    assert {image.SpatialLocationsPreserved for image in sources} == {"YES"}


def test_only_patient_and_study_are_copied_from_the_header(tmp_path):
    source = make_dicom(
        np.zeros(PHANTOM.right.shape, np.uint16), **{**PATIENT, "PatientName": "A^B"}, InstitutionName=SECRET,
        StationName=SECRET, ImageComments=SECRET, OperatorsName=SECRET, SeriesDescription=SECRET, ProtocolName=SECRET,
        DeviceSerialNumber=SECRET, Manufacturer=SECRET,
    )  # fmt: skip
    source.private_block(0x0011, SECRET, create=True).add_new(1, "LO", SECRET)
    source.save_as(tmp_path / "a.dcm")
    write(tmp_path / "seg.dcm", tmp_path / "a.dcm")
    assert SECRET.encode() not in (tmp_path / "seg.dcm").read_bytes()


def test_the_given_spacing_is_written(tmp_path):
    source = radiograph(tmp_path / "a.dcm", **PATIENT, PixelSpacing=[7, 7])
    write(tmp_path / "seg.dcm", source, spacing=Spacing(0.2, 1 / 7, ""))
    mask = read_segmentation(tmp_path / "seg.dcm")
    assert mask.spacing.mm == pytest.approx((0.2, 1 / 7))
    hd.seg.segread(tmp_path / "seg.dcm")
    write(tmp_path / "seg.dcm", source)
    assert read_segmentation(tmp_path / "seg.dcm").spacing is None


@pytest.mark.parametrize("own", [False, True])
def test_the_same_input_gives_the_same_bytes_without_the_current_date(tmp_path, own):
    source = None if own else radiograph(tmp_path / "a.dcm", **PATIENT)
    for name in ("1.dcm", "2.dcm"):
        write(tmp_path / name, source, spacing=Spacing(0.2, 0.1, ""))
    content = (tmp_path / "1.dcm").read_bytes()
    assert content == (tmp_path / "2.dcm").read_bytes()
    assert f"{datetime.datetime.now():%Y%m%d}".encode() not in content


@pytest.mark.parametrize(
    "other", [{"identity": "two"}, {"right": PHANTOM.left, "left": PHANTOM.right}, {"spacing": Spacing(1.0, 1.0, "")}]
)
def test_another_segmentation_of_the_radiograph_has_other_identifiers(tmp_path, other):
    source = radiograph(tmp_path / "a.dcm", **PATIENT)
    made, another = write(tmp_path / "1.dcm", source), write(tmp_path / "2.dcm", source, **other)
    assert made.SOPInstanceUID == made.file_meta.MediaStorageSOPInstanceUID != another.SOPInstanceUID
    assert made.SeriesInstanceUID != another.SeriesInstanceUID
    assert made.StudyInstanceUID == another.StudyInstanceUID


def test_without_a_source_it_refers_to_no_image(tmp_path):
    made, other = write(tmp_path / "1.dcm", spacing=Spacing(0.2, 0.1, "")), write(tmp_path / "2.dcm", identity="two")
    assert made.PatientName == other.PatientName == "Anonymous^"
    for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        assert made[name].value
        assert made[name].value != other[name].value
    for either in (made, other):
        elements = {element.keyword for element in either.iterall()}
        assert not elements & {"SourceImageSequence", "ReferencedSOPInstanceUID", "ReferencedSeriesSequence"}
        assert not either.StudyDate
    assert read_segmentation(tmp_path / "1.dcm").spacing.mm == (0.2, 0.1)
    assert read_segmentation(tmp_path / "2.dcm").spacing is None
    (plane,) = made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    assert plane.ImageOrientationPatient == [1, 0, 0, 0, 0, -1]


INCOMPLETE = {
    "nothing but the image": {},
    "no frame of reference": PATIENT,
    "no study id": {**PATIENT, "StudyID": None},
    "no name": {**PATIENT, "PatientName": None, "PatientID": None},
    "no dates": {**PATIENT, "StudyDate": None, "StudyTime": None, "PatientBirthDate": None},
    "empty elements": dict.fromkeys(PATIENT, ""),
    "no spacing": {**PATIENT, "PixelSpacing": [0, 0]},
    "secondary capture": {**PATIENT, "SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"},
    "no modality": {**PATIENT, "Modality": None},
    "bright air": {**PATIENT, "PhotometricInterpretation": "MONOCHROME1"},
    "lossy": {**PATIENT, "LossyImageCompression": "01", "LossyImageCompressionRatio": 9.5},
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_incomplete_headers_are_accepted(tmp_path, name):
    known = {keyword: value for keyword, value in INCOMPLETE[name].items() if value is not None}
    absent = {keyword: None for keyword, value in INCOMPLETE[name].items() if value is None and keyword == "Modality"}
    source = radiograph(tmp_path / "a.dcm", **known, **absent)
    made = write(tmp_path / "seg.dcm", source)
    assert_lungs(tmp_path / "seg.dcm", PHANTOM.right, PHANTOM.left)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        assert made[keyword].value == known.get(keyword, "") or not (made[keyword].value or known.get(keyword))
    assert made.StudyInstanceUID == known.get("StudyInstanceUID") or not known.get("StudyInstanceUID")
    assert made.StudyInstanceUID
    assert made.ContentDate
    assert made.ContentTime
    assert made.LossyImageCompression == known.get("LossyImageCompression", "00")
    assert "FrameOfReferenceUID" not in made


@pytest.mark.parametrize(
    ("wrong", "day", "time"),
    [
        ({"StudyTime": "25:00"}, "20040826", "000000"),
        ({"StudyTime": "1850"}, "20040826", "000000"),
        ({"StudyTime": "185059.25"}, "20040826", "185059.25"),
        ({"StudyDate": "2004.08.26"}, "19700101", "000000"),
    ],
)
def test_invalid_dates_are_copied_only_to_the_study(tmp_path, wrong, day, time, recwarn):
    source = radiograph(tmp_path / "a.dcm", **PATIENT)
    content = source.read_bytes()
    for keyword, value in wrong.items():
        old = PATIENT[keyword].encode()
        start = content.index(old)
        length = len(value) + len(value) % 2
        content = (
            content[: start - 2]
            + length.to_bytes(2, "little")
            + value.ljust(length).encode()
            + content[start + len(old) :]
        )
    source.write_bytes(content)
    write(tmp_path / "seg.dcm", source)
    made = dcmread(tmp_path / "seg.dcm")
    assert (made.ContentDate, made.ContentTime) == (day, time)
    for keyword, value in wrong.items():
        assert str(made[keyword].value) == value
    assert_lungs(tmp_path / "seg.dcm", PHANTOM.right, PHANTOM.left)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Äneas^Rüdiger"),
        ("ISO_IR 192", "山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_in_other_scripts_are_kept(tmp_path, charset, name):
    patient = {**PATIENT, "PatientName": name, "StudyDescription": name.split("=")[-1]}
    source = radiograph(tmp_path / "a.dcm", SpecificCharacterSet=charset, **patient)
    made, original = write(tmp_path / "seg.dcm", source), dcmread(source)
    assert made.PatientName == original.PatientName == name
    assert made.StudyDescription == original.StudyDescription == patient["StudyDescription"]
    assert made.SpecificCharacterSet == original.SpecificCharacterSet
    hd.seg.segread(tmp_path / "seg.dcm")


def test_bytes_invalid_in_their_character_set_are_accepted(tmp_path):
    source = radiograph(tmp_path / "a.dcm", **{**PATIENT, "PatientName": "ABCDEF^G"}, SpecificCharacterSet="ISO_IR 192")
    source.write_bytes(source.read_bytes().replace(b"ABCDEF^G", b"ABC\xff\xfe\xfa^G"))
    write(tmp_path / "seg.dcm", source)
    assert_lungs(tmp_path / "seg.dcm", PHANTOM.right, PHANTOM.left)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless],
)
def test_radiographs_of_any_encoding_are_referred_to(tmp_path, syntax):
    stored = np.zeros(PHANTOM.right.shape, np.uint16)
    source = make_dicom(stored, **({} if syntax in (RLELossless, JPEG2000Lossless) else {"syntax": syntax}), **PATIENT)
    if syntax == RLELossless:
        source.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax == JPEG2000Lossless:
        source.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    source.save_as(tmp_path / "a.dcm")
    made = write(tmp_path / "seg.dcm", tmp_path / "a.dcm")
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert made.PatientName == PATIENT["PatientName"]
    assert_lungs(tmp_path / "seg.dcm", PHANTOM.right, PHANTOM.left)


def test_identifiers_of_the_meta_information_are_used_if_the_header_has_none(tmp_path):
    source = make_dicom(np.zeros(PHANTOM.right.shape, np.uint16), **PATIENT)
    del source.SOPInstanceUID, source.SOPClassUID
    source.save_as(tmp_path / "a.dcm", enforce_file_format=False)
    (image,) = write(tmp_path / "seg.dcm", tmp_path / "a.dcm").SourceImageSequence
    assert image.ReferencedSOPInstanceUID == source.file_meta.MediaStorageSOPInstanceUID
    assert image.ReferencedSOPClassUID == ComputedRadiographyImageStorage


def assert_nothing_quoted(error, capfd, caplog, recwarn):
    messages = [error.hint, *traceback.format_exception(error)] if error else []
    messages += [*capfd.readouterr(), caplog.text, *(str(one.message) for one in recwarn)]
    assert SECRET not in "".join(messages)
    assert STUDY not in "".join(messages)


def test_the_header_is_not_quoted(tmp_path, capfd, caplog, recwarn):
    source = radiograph(tmp_path / "a.dcm", **{**PATIENT, "PatientName": SECRET, "StudyID": f"{SECRET}TOOLONGFORIT"})
    recwarn.clear()
    with caplog.at_level(logging.DEBUG):
        write_segmentation(tmp_path / "seg.dcm", PHANTOM.right, PHANTOM.left, source, "one", None)
    assert_nothing_quoted(None, capfd, caplog, recwarn)
    assert not [record for record in caplog.records if record.name.startswith(("highdicom", "pydicom"))]


def test_a_radiograph_of_another_size_is_an_error(tmp_path):
    source = write_dicom(tmp_path / "a.dcm", np.zeros((45, 40), np.uint16), **PATIENT)
    with pytest.raises(ImageError, match=r"a\.dcm: has 40 x 45 pixels, but its mask has 41 x 45"):
        write(tmp_path / "seg.dcm", source)
    assert {path.name for path in tmp_path.iterdir()} == {"a.dcm"}


def test_a_radiograph_without_identifier_is_an_error_that_quotes_nothing(tmp_path, capfd, caplog, recwarn):
    source = make_dicom(np.zeros(PHANTOM.right.shape, np.uint16), **PATIENT)
    del source.SOPInstanceUID, source.file_meta.MediaStorageSOPInstanceUID
    source.save_as(tmp_path / "a.dcm", enforce_file_format=False)
    with pytest.raises(ImageError, match=r"a\.dcm: has no SOP class or instance UID") as caught:
        write(tmp_path / "seg.dcm", tmp_path / "a.dcm")
    assert_nothing_quoted(caught.value, capfd, caplog, recwarn)


def test_damaged_radiographs_are_errors_that_leave_no_file(tmp_path, capfd, caplog, recwarn):
    source = radiograph(tmp_path / "a.dcm", **PATIENT)
    content = source.read_bytes()
    for end in range(0, content.index(b"\x28\0\x10\0US"), 41):  # before the height; the pixels are not needed
        source.write_bytes(content[:end])
        with pytest.raises(ImageError, match=r"a\.dcm: ") as caught:
            write(tmp_path / "seg.dcm", source)
        assert_nothing_quoted(caught.value, capfd, caplog, recwarn)
        assert {path.name for path in tmp_path.iterdir()} == {"a.dcm"}


def test_without_highdicom_the_extra_to_install_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(UsageError, match=r"seg\.dcm: DICOM segmentations need highdicom") as caught:
        write_segmentation(tmp_path / "seg.dcm", PHANTOM.right, PHANTOM.left, None, "one", None)
    assert 'pip install "lungmask-cli[dicom]"' in caught.value.hint


ODD = (("LO", b"ZQXSECRET "), ("UN", b"\x01\x02\xfe"), ("SQ", b"ABCDEFGH"), ("US", b"\x07\0\x08"), ("DS", b"1\\2\\3 "))


@pytest.mark.parametrize(
    "keyword",
    [
        "PatientAge",
        "PatientBirthDate",
        "StudyDate",
        "LossyImageCompressionRatio",
        "FrameOfReferenceUID",
        "PixelSpacing",
    ],
)
def test_an_odd_element_of_the_radiograph_costs_no_segmentation(tmp_path, keyword):
    for odd in ODD:
        dataset = make_dicom(np.zeros(PHANTOM.right.shape, np.uint16), **PATIENT)
        write(tmp_path / "seg.dcm", write_odd_dicom(tmp_path / "a.dcm", dataset, {keyword: odd}))
        assert_lungs(tmp_path / "seg.dcm", PHANTOM.right, PHANTOM.left)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_an_identifier_that_cannot_be_read_is_an_error_that_names_it(tmp_path, keyword):
    for odd in ODD:
        dataset = make_dicom(np.zeros(PHANTOM.right.shape, np.uint16), **PATIENT)
        with pytest.raises(ImageError, match=rf"a\.dcm: the element {keyword} cannot be read"):
            write(tmp_path / "seg.dcm", write_odd_dicom(tmp_path / "a.dcm", dataset, {keyword: odd}))

import os
import traceback
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.mask_values import MaskOptions
from lungmask_cli.formats.masks import read_lung_mask
from tests.dicoms import make_dicom, write_dicom, write_odd_dicom
from tests.phantoms import draw_phantom
from tests.segmentations import LABEL_MAP, SECRET, code, item, make_seg, segment, segment_reference

# 15 pixels, so that the second frame of one bit a pixel begins within a byte.
RIGHT = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
LEFT = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]])
HEART = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 0, 0]])


def write_seg(path, frames, segments, numbers=None, **changes):
    make_seg(frames, segments, numbers, **changes).save_as(path)
    return path


def read(folder, frames, segments, numbers=None, threshold=None, **changes):
    return read_lung_mask(
        write_seg(folder / "a.dcm", frames, segments, numbers, **changes), MaskOptions(threshold=threshold)
    )


def assert_sides(mask, right, left):
    assert mask.right is not None
    assert mask.left is not None
    assert np.array_equal(mask.right, right)
    assert np.array_equal(mask.left, left)
    assert np.array_equal(mask.lungs, mask.right | mask.left)


BOTH_SIDES = [segment(1, kind="3341006"), segment(2, kind="44029006")]


def test_a_binary_segmentation_of_both_lungs_is_read(tmp_path):
    mask = read(tmp_path, [RIGHT, LEFT], BOTH_SIDES)
    assert_sides(mask, RIGHT, LEFT)
    assert mask.lungs.dtype == bool
    assert not mask.labelled
    assert not mask.maybe_labelled


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_packed_bits_of_any_size_are_read(tmp_path_factory, height, width, seed):
    frames = np.random.default_rng(seed).integers(0, 2, (2, height, width))
    assert_sides(read(tmp_path_factory.mktemp("bits"), frames, BOTH_SIDES), *frames)


RIGHT_CODE, LEFT_CODE = "24028007", "7771000"


@pytest.mark.parametrize(
    ("right", "left"),
    [
        ({"kind": "3341006"}, {"kind": "44029006"}),
        ({"kind": "T-28100"}, {"kind": "T-28500"}),
        ({"label": "right lung"}, {"label": "left lung"}),
        ({"label": "Right_Lung"}, {"label": "LUNG-LEFT (2)"}),
        ({"label": "lung_upper_lobe_right"}, {"label": "lung_upper_lobe_left"}),
        ({"kind": "39607008", "label": "Right"}, {"kind": "39607008", "label": "left"}),
        ({"AnatomicRegionSequence": code("3341006")}, {"AnatomicRegionSequence": code("44029006")}),
    ],
)
def test_lungs_are_recognised_by_code_or_label(tmp_path, right, left):
    segments = [segment(1, **left), segment(2, **right)]
    assert_sides(read(tmp_path, [LEFT, RIGHT], segments), RIGHT, LEFT)


@pytest.mark.parametrize(
    ("organ", "right", "left"), [("39607008", RIGHT_CODE, LEFT_CODE), ("T-28000", "G-A100", "G-A101")]
)
@pytest.mark.parametrize("location", ["beside", "type", "region"])
def test_lungs_are_recognised_by_a_code_of_their_side(tmp_path, organ, right, left, location):
    def lung(number, side):
        modifier = code(side)
        if location == "region":
            region = code(organ, AnatomicRegionModifierSequence=modifier)
            return segment(number, AnatomicRegionSequence=region)
        dataset = segment(number, kind=organ)
        if location == "type":
            dataset.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifier
        else:
            region = code("51185008", AnatomicRegionModifierSequence=modifier)  # the chest
            dataset.AnatomicRegionSequence = region
        return dataset

    assert_sides(read(tmp_path, [RIGHT, LEFT], [lung(1, right), lung(2, left)]), RIGHT, LEFT)


@pytest.mark.parametrize("known", [{"kind": "39607008"}, {"kind": "T-28000"}, {"label": "Lungs"}, {"label": "lung"}])
def test_a_segment_of_both_lungs_does_not_separate_them(tmp_path, known):
    mask = read(tmp_path, [HEART, RIGHT | LEFT], [segment(1), segment(2, **known)])
    assert np.array_equal(mask.lungs, RIGHT | LEFT)
    assert mask.right is mask.left is None


def test_segments_of_one_side_are_merged_and_others_ignored(tmp_path):
    segments = [segment(1, "left lung"), segment(2, "heart"), segment(3, "lung, upper left"), segment(4, "right lung")]
    lower = np.roll(LEFT, 1, axis=0)
    mask = read(tmp_path, [LEFT, HEART, lower, RIGHT], segments)
    assert_sides(mask, RIGHT, LEFT | lower)
    assert np.array_equal(mask.heart, HEART)


@pytest.mark.parametrize("known", [{"kind": "80891009"}, {"kind": "T-32000"}, {"label": "Heart"}])
def test_the_heart_is_recognised_and_is_no_lung(tmp_path, known):
    mask = read(tmp_path, [HEART, RIGHT | LEFT], [segment(1, **known), segment(2, "lungs")])
    assert np.array_equal(mask.heart, HEART)
    assert np.array_equal(mask.lungs, RIGHT | LEFT)
    with pytest.raises(ImageError, match="none of its 1 segments is a lung"):
        read(tmp_path, [HEART], [segment(1, **known)])


def test_a_single_unknown_segment_is_taken_for_both_lungs(tmp_path):
    mask = read(tmp_path, [RIGHT | LEFT], [segment(1)])
    assert np.array_equal(mask.lungs, RIGHT | LEFT)
    assert mask.right is None


def test_several_segments_without_a_lung_are_an_error(tmp_path):
    segments = [segment(1, "heart"), segment(2, "right clavicle")]
    with pytest.raises(ImageError, match=r"a\.dcm: none of its 2 segments is a lung by code or label") as caught:
        read(tmp_path, [HEART, RIGHT], segments)
    assert "right lung" in caught.value.hint


@pytest.mark.parametrize("shared", [False, True])
def test_segments_without_pixels_may_have_no_frame(tmp_path, shared):
    left_alone = segment_reference(2)
    changes = {"PerFrameFunctionalGroupsSequence": Sequence([item() if shared else left_alone])}
    if shared:
        changes["SharedFunctionalGroupsSequence"] = Sequence([left_alone])
    assert_sides(read(tmp_path, [LEFT], BOTH_SIDES, **changes), np.zeros((3, 5)), LEFT)


def test_a_segmentation_of_something_else_is_an_empty_mask_where_the_lungs_have_no_frame(tmp_path):
    mask = read(tmp_path, [HEART], [segment(1, "heart"), segment(2, "lungs")], [1])
    assert mask.shape == (3, 5)
    assert not mask.lungs.any()


def test_segment_numbers_need_not_be_in_order_nor_start_at_1(tmp_path):
    segments = [segment(7, "right lung"), segment(3, "left lung")]
    assert_sides(read(tmp_path, [LEFT, RIGHT], segments, [3, 7]), RIGHT, LEFT)


def fractions(values, largest=100, **changes):
    return {"frames": [[values]], "SegmentationType": "FRACTIONAL", "MaximumFractionalValue": largest, **changes}


@pytest.mark.parametrize(
    ("threshold", "lungs"),
    [(None, [0, 0, 0, 1, 1]), (0.5, [0, 0, 0, 1, 1]), (0.2, [0, 0, 1, 1, 1]), (1, [0, 0, 0, 0, 1])],
)
def test_fractions_are_lung_from_the_threshold_on(tmp_path, threshold, lungs):
    mask = read(tmp_path, segments=[segment(1)], threshold=threshold, **fractions([0, 19, 49, 50, 100]))
    assert mask.lungs.astype(int).tolist() == [lungs]


def test_fractions_are_shares_of_the_largest_that_the_header_gives(tmp_path):
    mask = read(tmp_path, segments=[segment(1)], **fractions([0, 99, 100, 200, 0], largest=200))
    assert mask.lungs.astype(int).tolist() == [[0, 0, 1, 1, 0]]


def test_a_threshold_leaves_binary_segmentations_as_they_are(tmp_path):
    assert_sides(read(tmp_path, [RIGHT, LEFT], BOTH_SIDES, threshold=0.9), RIGHT, LEFT)


def test_a_label_map_is_read(tmp_path):
    segments = [segment(0, "Background"), segment(1, "heart"), segment(2, "right lung"), segment(5, "left lung")]
    mask = read(tmp_path, [HEART + 2 * RIGHT + 5 * LEFT], segments, **LABEL_MAP)
    assert_sides(mask, RIGHT, LEFT)


def test_a_label_map_without_pixels_is_an_empty_mask(tmp_path):
    assert_sides(read(tmp_path, [RIGHT * 0], BOTH_SIDES, **LABEL_MAP), RIGHT * 0, LEFT * 0)


@pytest.mark.parametrize("level", ["Shared", "PerFrame"])
def test_the_spacing_is_that_of_the_pixel_measures(tmp_path, level):
    dataset = make_seg([RIGHT, LEFT], BOTH_SIDES, SharedFunctionalGroupsSequence=Sequence([item()]))
    for group in dataset[f"{level}FunctionalGroupsSequence"].value:
        group.PixelMeasuresSequence = Sequence([item(PixelSpacing=[0.2, 0.1])])
    dataset.save_as(tmp_path / "a.dcm")
    mask = read_lung_mask(tmp_path / "a.dcm")
    assert mask.spacing.mm == (0.2, 0.1)  # rows first
    assert mask.spacing.source == "PixelSpacing"


def test_the_spacing_of_the_file_is_used_if_there_are_no_pixel_measures(tmp_path):
    mask = read(tmp_path, [RIGHT, LEFT], BOTH_SIDES, ImagerPixelSpacing=[0.2, 0.1])
    assert mask.spacing.mm == (0.2, 0.1)
    assert mask.spacing.source == "ImagerPixelSpacing"


def test_without_pixel_measures_there_is_no_spacing(tmp_path):
    mask = read(tmp_path, [RIGHT, LEFT], BOTH_SIDES)
    assert mask.spacing is None


@pytest.mark.parametrize("changes", [{}, {"SegmentationType": "FRACTIONAL", "MaximumFractionalValue": 1}])
def test_several_planes_are_rejected(tmp_path, changes):
    with pytest.raises(ImageError, match=r"a\.dcm: segments 3 planes") as caught:
        read(tmp_path, [RIGHT, LEFT, LEFT], BOTH_SIDES, [1, 2, 2], **changes)
    assert "one radiograph" in caught.value.hint


def test_a_radiograph_is_not_a_segmentation(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((3, 5), np.uint16))
    with pytest.raises(ImageError, match=r"a\.dcm: is DICOM, but not a segmentation"):
        read_lung_mask(path)


def test_a_segmentation_is_recognised_by_content(tmp_path):
    assert_sides(read_lung_mask(write_seg(tmp_path / "IM0001", [RIGHT, LEFT], BOTH_SIDES)), RIGHT, LEFT)


def test_max_pixels_is_the_last_size_that_is_read(tmp_path):
    path = write_seg(tmp_path / "a.dcm", [RIGHT, LEFT], BOTH_SIDES)
    assert read_lung_mask(path, MaskOptions(max_pixels=15)).shape == (3, 5)
    with pytest.raises(ImageError, match="5 x 3 pixels are more than --max-pixels"):
        read_lung_mask(path, MaskOptions(max_pixels=14))


def test_too_large_an_image_is_rejected_before_memory_is_allocated(tmp_path):
    with pytest.raises(ImageError, match=r"60000 x 60000 pixels are more than --max-pixels"):
        read(tmp_path, [RIGHT, LEFT], BOTH_SIDES, Rows=60000, Columns=60000)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGExtended12Bit, "1.2.840.10008.1.2.4.57"])
def test_compression_that_only_unsafe_decoders_read_is_rejected(tmp_path, syntax):
    dataset = make_seg([RIGHT, LEFT], BOTH_SIDES)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].is_undefined_length = True
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\4\0\0\0ABCD\xfe\xff\xdd\xe0\0\0\0\0"
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(ImageError, match=r"a\.dcm: is compressed with lossless or 12-bit JPEG") as caught:
        read_lung_mask(tmp_path / "a.dcm")
    assert "uncompressed" in caught.value.hint


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_encodings_of_packed_bits_are_read(tmp_path, syntax):
    dataset = make_seg([RIGHT, LEFT], BOTH_SIDES)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "a.dcm", implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    assert_sides(read_lung_mask(tmp_path / "a.dcm"), RIGHT, LEFT)


@pytest.mark.parametrize(
    ("syntax", "encoder"), [(RLELossless, "pydicom"), (JPEGLSLossless, "pyjpegls"), (JPEG2000Lossless, "pylibjpeg")]
)
def test_compressed_label_maps_are_read(tmp_path, syntax, encoder):
    phantom = draw_phantom(64, 50)
    dataset = make_seg([phantom.right + 2 * phantom.left], BOTH_SIDES, **LABEL_MAP)
    dataset.compress(syntax, encoding_plugin=encoder)
    dataset.save_as(tmp_path / "a.dcm")
    assert_sides(read_lung_mask(tmp_path / "a.dcm"), phantom.right, phantom.left)


DAMAGES = {
    "no segments": {"SegmentSequence": None},
    "no pixels": {"PixelData": None},
    "fewer pixels": {"PixelData": b"\0\0"},
    "no rows": {"Rows": 0},
    "segments of no frame": {"PerFrameFunctionalGroupsSequence": None},
    "fewer frames": {"PerFrameFunctionalGroupsSequence": Sequence([segment_reference(1)])},
    "frames of no segment": {"PerFrameFunctionalGroupsSequence": Sequence([item(), item()])},
    "no largest fraction": {"SegmentationType": "FRACTIONAL"},
    "another class": {"SOPClassUID": SECRET},
    "another syntax": {"TransferSyntaxUID": SECRET},
    "no lungs": {"SegmentSequence": Sequence([segment(1), segment(2)])},
    "two planes": {"SegmentSequence": Sequence([segment(1, f"{SECRET} lung")])},
}


def assert_nothing_quoted(error, capfd, recwarn):
    messages = [
        error.hint,
        *traceback.format_exception(error),
        *capfd.readouterr(),
        *(str(one.message) for one in recwarn),
    ]
    assert SECRET not in "".join(messages)
    assert "JANE" not in "".join(messages)


@pytest.mark.parametrize("name", DAMAGES)
def test_invalid_segmentations_are_errors_that_quote_nothing(tmp_path, name, capfd, recwarn):
    dataset = make_seg([RIGHT, LEFT], BOTH_SIDES)
    for keyword, value in DAMAGES[name].items():
        holder = dataset.file_meta if keyword == "TransferSyntaxUID" else dataset
        holder.pop(keyword, None)
        if value is not None:
            setattr(holder, keyword, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the secret where a number of a class should be
        dataset.save_as(tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
    recwarn.clear()
    with pytest.raises(ImageError, match=r"a\.dcm: ") as caught:
        read_lung_mask(tmp_path / "a.dcm")
    assert_nothing_quoted(caught.value, capfd, recwarn)


@pytest.mark.parametrize("element", [b"\x28\0\x10\0US", b"\x62\0\x04\0US"])
def test_texts_where_numbers_should_be_are_not_quoted(tmp_path, element, capfd, recwarn):
    content = write_seg(tmp_path / "a.dcm", [RIGHT, LEFT], BOTH_SIDES).read_bytes()
    start = content.index(element)
    (tmp_path / "a.dcm").write_bytes(content[: start + 4] + b"LO\2\0ZQ" + content[start + 10 :])
    with pytest.raises(ImageError, match=r"a\.dcm: ") as caught:
        read_lung_mask(tmp_path / "a.dcm")
    assert_nothing_quoted(caught.value, capfd, recwarn)
    assert "ZQ" not in caught.value.message


def test_a_truncated_segmentation_is_an_error_wherever_it_ends(tmp_path):
    content = write_seg(tmp_path / "a.dcm", [RIGHT, LEFT], BOTH_SIDES).read_bytes()
    for end in range(0, len(content) - 1, 29):
        (tmp_path / "a.dcm").write_bytes(content[:end])
        with pytest.raises(ImageError, match=r"a\.dcm: "):
            read_lung_mask(tmp_path / "a.dcm")


def written_by_highdicom(path, kind):
    """Right and left lung of a phantom, as highdicom segments a radiograph of 0.2 x 0.1 mm."""
    hd = pytest.importorskip("highdicom", reason="an independent writer")
    phantom = draw_phantom(45, 41)
    source = make_dicom(
        np.zeros((45, 41), np.uint16), StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(),
        PatientID=SECRET, PatientName=f"{SECRET}^JANE", PatientBirthDate="", PatientSex="", AccessionNumber="",
        StudyID="", StudyDate="", StudyTime="", ReferringPhysicianName="", InstanceNumber=1, SeriesNumber=1,
        PixelSpacing=[0.2, 0.1],
    )  # fmt: skip
    organ = hd.sr.CodedConcept("91723000", "SCT", "Anatomical structure")
    kinds = [
        hd.sr.CodedConcept("3341006", "SCT", "Right lung"),
        hd.sr.CodedConcept("44029006", "SCT", "Left lung"),
        hd.sr.CodedConcept("80891009", "SCT", "Heart"),
    ]
    segments = [
        hd.seg.SegmentDescription(number, SECRET, organ, kind, hd.seg.SegmentAlgorithmTypeValues.MANUAL)
        for number, kind in enumerate(kinds, 1)
    ]
    planes = [phantom.right, phantom.left, np.zeros_like(phantom.left)]  # the heart has no frame
    if kind == "LABELMAP":
        pixels = (phantom.right + 2 * phantom.left).astype(np.uint8)[None]
    else:
        pixels = np.stack(planes, axis=-1)[None].astype(np.uint8 if kind == "BINARY" else np.float32)
    made = hd.seg.Segmentation(
        [source], pixels, kind, segments, generate_uid(), 2, generate_uid(), 1, "maker", "model", "1", "1"
    )
    made.save_as(path)
    return phantom


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_segmentations_that_highdicom_wrote_are_read(tmp_path, kind):
    phantom = written_by_highdicom(tmp_path / "a.dcm", kind)
    mask = read_lung_mask(tmp_path / "a.dcm")
    assert_sides(mask, phantom.right, phantom.left)
    assert mask.spacing.mm == (0.2, 0.1)
    frames = dcmread(tmp_path / "a.dcm").NumberOfFrames
    assert frames == (1 if kind == "LABELMAP" else 2)


def test_a_header_that_does_not_fit_its_compressed_pixels_does_not_end_the_program(tmp_path):
    phantom = draw_phantom(64, 50)
    dataset = make_seg([phantom.right + 2 * phantom.left], BOTH_SIDES, **LABEL_MAP)
    dataset.compress(JPEGLSLossless, encoding_plugin="pyjpegls")
    dataset.Rows = 200
    dataset.save_as(tmp_path / "a.dcm")
    child = os.fork()  # GDCM aborts
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            read_lung_mask(tmp_path / "a.dcm")
        except ImageError:
            os._exit(7)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7


def test_several_planes_of_one_segment_are_rejected_if_others_have_none(tmp_path):
    with pytest.raises(ImageError, match="planes"):
        read(tmp_path, [RIGHT, LEFT], BOTH_SIDES, [1, 1])


def test_several_planes_of_a_label_map_are_rejected(tmp_path):
    with pytest.raises(ImageError, match="2 planes"):
        read(tmp_path, [RIGHT, 2 * LEFT], BOTH_SIDES, **LABEL_MAP)


@pytest.mark.parametrize("label", ["left and right lung", "Lungs (right + left)"])
def test_a_label_of_both_sides_is_both_lungs(tmp_path, label):
    mask = read(tmp_path, [RIGHT | LEFT], [segment(1, label)])
    assert mask.right is None


def test_a_fraction_below_the_threshold_is_not_lung(tmp_path):
    mask = read(tmp_path, segments=[segment(1)], **fractions([0, 1, 2, 3, 5], largest=5))
    assert mask.lungs.astype(int).tolist() == [[0, 0, 0, 1, 1]]  # 2 of 5 is less than half
    mask = read(tmp_path, segments=[segment(1)], threshold=0.3, **fractions([75, 76, 77], largest=255))
    assert mask.lungs.astype(int).tolist() == [[0, 0, 1]]  # 0.3 x 255 = 76.5


def test_the_background_of_a_label_map_is_not_a_segment(tmp_path):
    mask = read(tmp_path, [RIGHT], [segment(0, "Background"), segment(1)], **LABEL_MAP)
    assert np.array_equal(mask.lungs, RIGHT)


def test_a_finding_in_the_lung_is_not_a_lung(tmp_path):
    nodule = segment(3, "nodule", kind="27925004", AnatomicRegionSequence=code("3341006"))
    assert_sides(read(tmp_path, [RIGHT, LEFT, HEART], [*BOTH_SIDES, nodule]), RIGHT, LEFT)


def test_a_label_that_names_a_finding_is_not_a_lung(tmp_path):
    segments = [*BOTH_SIDES, segment(3, "left lung nodule")]
    assert_sides(read(tmp_path, [RIGHT, LEFT, HEART], segments), RIGHT, LEFT)


def test_a_segment_of_both_lungs_is_ignored_beside_one_of_each(tmp_path):
    segments = [*BOTH_SIDES, segment(3, "lungs")]
    assert_sides(read(tmp_path, [RIGHT, LEFT, RIGHT | LEFT], segments), RIGHT, LEFT)


def test_words_in_camel_case_are_separated(tmp_path):
    assert_sides(read(tmp_path, [RIGHT, LEFT], [segment(1, "RightLung"), segment(2, "LeftLung")]), RIGHT, LEFT)


ODD = (None, ("LO", b""), ("DS", b"abc "), ("UN", b"\x01\x02\x03"), ("DS", b"1\\2\\3\\4 "), ("SQ", b"ABCDEFGH"))
OPTIONAL = (
    "NumberOfFrames", "PixelSpacing", "ImagerPixelSpacing", "SharedFunctionalGroupsSequence", "SegmentationType",
    "SamplesPerPixel", "BitsStored", "HighBit", "PixelRepresentation", "Modality", "ContentLabel",
)  # fmt: skip


@pytest.mark.parametrize("keyword", OPTIONAL)
def test_an_odd_element_does_not_cost_a_segmentation(tmp_path, keyword):
    for odd in ODD:
        path = write_odd_dicom(tmp_path / "a.dcm", make_seg([RIGHT, LEFT], BOTH_SIDES), {keyword: odd})
        assert_sides(read_lung_mask(path), RIGHT, LEFT)


@pytest.mark.parametrize("keyword", ["SegmentSequence", "Rows", "BitsAllocated", "PixelData"])
def test_a_required_element_of_a_segmentation_is_named(tmp_path, keyword):
    for odd in ODD:
        path = write_odd_dicom(tmp_path / "a.dcm", make_seg([RIGHT, LEFT], BOTH_SIDES), {keyword: odd})
        with pytest.raises(ImageError, match=rf"a\.dcm: .*{keyword}|pixel data do not fit"):
            read_lung_mask(path)


@pytest.mark.parametrize("odd", ODD)
def test_fractions_are_not_read_as_a_binary_segmentation(tmp_path, odd):
    dataset = make_seg(segments=[segment(1)], **fractions([0, 19, 49, 50, 100]))
    with pytest.raises(ImageError, match="the element SegmentationType is missing or wrong"):
        read_lung_mask(write_odd_dicom(tmp_path / "a.dcm", dataset, {"SegmentationType": odd}))
    with pytest.raises(ImageError, match="the element MaximumFractionalValue "):
        read_lung_mask(write_odd_dicom(tmp_path / "a.dcm", dataset, {"MaximumFractionalValue": odd}))


@pytest.mark.parametrize("odd", ODD)
def test_a_single_frame_of_a_single_segment_needs_no_number(tmp_path, odd):
    dataset = make_seg([RIGHT], [segment(4)])
    path = write_odd_dicom(tmp_path / "a.dcm", dataset, {"PerFrameFunctionalGroupsSequence": odd})
    assert np.array_equal(read_lung_mask(path).lungs, RIGHT)


def test_a_spacing_with_decimal_commas_is_read(tmp_path):
    path = write_odd_dicom(
        tmp_path / "a.dcm", make_seg([RIGHT, LEFT], BOTH_SIDES), {"PixelSpacing": ("UT", b"0,2\\0,1 ")}
    )
    assert read_lung_mask(path).spacing.mm == (0.2, 0.1)

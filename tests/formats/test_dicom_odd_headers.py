"""Radiographs whose optional elements are empty, odd or wrong, and whose required elements are missing."""

from pathlib import Path
from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.radiographs import read_radiograph, read_spacing
from lungmask_cli.imaging.radiograph import Radiograph
from tests.dicoms import NEUTRAL, Odd, make_dicom, make_lut, write_dicom, write_odd_dicom
from tests.phantoms import draw_phantom

STORED = np.round(draw_phantom(24, 20).image * 4000).astype(np.uint16)
SECRET = b"ZQXSECRET"


SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
TEXTS = {
    "RescaleSlope": b"1.0", "RescaleIntercept": b"0.0", "WindowCenter": b"2048.0", "WindowWidth": b"4096.0",
    "NumberOfFrames": b"1", "PixelPaddingValue": b"4095", "PixelPaddingRangeLimit": b"4095",
    "VOILUTFunction": b"LINEAR", **dict.fromkeys(SPACINGS, b"0.2\\0.1"),
}  # fmt: skip
# Values that no element of NEUTRAL can have.
SENSELESS: tuple[Odd, ...] = (
    ("LO", SECRET + b" "), ("UT", SECRET + b" "), ("DS", b"1\\2\\3\\4\\5 "), ("DS", b"nan "), ("DS", b"1e999 "),
    ("DS", b"--1 "), ("DS", b"1,234"), ("UN", b"\x01\x02\xfe"), ("OB", b"\xff\xfe\x80\x00\x01\x02"),
    ("FD", pack("<d", float("nan"))), ("FD", pack("<d", float("inf"))), ("SQ", b"ABCDEFGHIJ"), ("PN", b"A^B=C "),
    ("AT", b"\x08\0\x60\0"), ("DS", b"1\\\\2\\" ), ("US", b"\x07"), ("FL", b"\x00\x00\x80\x7f"),
)  # fmt: skip
EMPTY: tuple[Odd | None, ...] = (None, ("DS", b""), ("UN", b""), ("SQ", b""), ("LO", b"  "), ("UT", b"\\ "))


def write(folder: Path, odd: dict[str, Odd | None], stored=STORED, **changes) -> Path:
    dataset = make_dicom(stored, **({"BitsStored": 12, "HighBit": 11} | changes))
    return write_odd_dicom(folder / "a.dcm", dataset, odd)


def relative(radiograph: Radiograph) -> np.ndarray:
    """The pixels from 0 to 1: a window that shows all values changes their unit only."""
    pixels = radiograph.pixels.astype(np.float64)
    return (pixels - pixels.min()) / np.ptp(pixels)


def assert_same_image(radiograph: Radiograph, stored=STORED) -> None:
    assert np.allclose(relative(radiograph), (stored - stored.min()) / np.ptp(stored), atol=1e-5)
    assert radiograph.valid is None or radiograph.valid.all()


@st.composite
def odd_elements(draw):
    """Some of the optional elements, each removed, emptied or garbled, or written in another way."""
    odd = {}
    for keyword in draw(st.sets(st.sampled_from(sorted(NEUTRAL)))):
        same = [(vr, TEXTS[keyword]) for vr in ("DS", "LO", "UT", "ST")] if keyword in TEXTS else []
        with_commas = [(vr, text.replace(b".", b",")) for vr, text in same]
        odd[keyword] = draw(st.sampled_from([*EMPTY, *SENSELESS, *same, *with_commas]))
    return odd


@given(odd_elements())
@settings(max_examples=120)
def test_odd_optional_elements_leave_the_image_of_the_clean_file_or_a_warning(tmp_path_factory, odd):
    radiograph = read_radiograph(write(tmp_path_factory.getbasetemp(), odd, **NEUTRAL))
    if not radiograph.warnings:
        assert_same_image(radiograph)
        assert radiograph.spacing is None or radiograph.spacing.mm == (0.2, 0.1)
        assert radiograph.spacing or set(SPACINGS) <= set(odd)
    assert "ZQX" not in "".join(radiograph.warnings)


VALUE_REPRESENTATIONS = [
    "AS", "CS", "DA", "DS", "FD", "FL", "IS", "LO", "OB", "OW", "SH", "SQ", "SS", "ST", "UI", "UL", "UN", "US", "UT"
]  # fmt: skip
# A number of frames that can be read, or another modality, is a reason to refuse the file.
HARMLESS = sorted(NEUTRAL.keys() - {"NumberOfFrames", "Modality"})


@given(
    st.dictionaries(
        st.sampled_from(HARMLESS), st.tuples(st.sampled_from(VALUE_REPRESENTATIONS), st.binary(max_size=12)), min_size=1
    )
)
@settings(max_examples=120)
def test_no_bytes_in_an_optional_element_cost_the_file(tmp_path_factory, odd):
    radiograph = read_radiograph(write(tmp_path_factory.getbasetemp(), odd, **NEUTRAL))
    assert radiograph.shape == STORED.shape
    assert np.ptp(radiograph.pixels) > 0


WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}
PADDING = {"PixelPaddingValue": 4095}
# Each element, what is needed for it to be used, and its name in warnings.
USED = [
    ("RescaleSlope", {}, "rescale slope"),
    ("RescaleIntercept", {}, "rescale intercept"),
    ("ModalityLUTSequence", {}, "modality LUT sequence"),
    ("VOILUTSequence", {}, "VOI LUT sequence"),
    ("WindowCenter", WINDOW, "window center"),
    ("WindowWidth", WINDOW, "window width"),
    ("VOILUTFunction", WINDOW, "VOI LUT function"),
    ("PixelPaddingValue", {}, "pixel padding value"),
    ("PixelPaddingRangeLimit", PADDING, "pixel padding range limit"),
    ("PixelSpacing", {}, "pixel spacing"),
    ("ImagerPixelSpacing", {}, "imager pixel spacing"),
    ("NominalScannedPixelSpacing", {}, "nominal scanned pixel spacing"),
    ("NumberOfFrames", {}, "number of frames"),
    ("PresentationLUTShape", {}, "presentation LUT shape"),
    ("PatientAge", {}, "patient age"),
    ("PatientBirthDate", {}, "patient birth date"),
    ("StudyDate", {}, "study date"),
]


@pytest.mark.parametrize(("keyword", "needed", "name"), USED, ids=lambda value: value if isinstance(value, str) else "")
def test_an_element_that_cannot_be_read_is_left_out_and_named(tmp_path, keyword, needed, name):
    for odd in SENSELESS:
        if keyword in WINDOW and odd == ("DS", b"1\\2\\3\\4\\5 "):
            continue  # the first of several windows is used
        radiograph = read_radiograph(write(tmp_path, {keyword: odd}, **needed))
        assert radiograph.warnings == (f"its {name} cannot be read and was not used",), odd
        assert_same_image(radiograph)
        assert radiograph.spacing is None


@pytest.mark.parametrize(("keyword", "needed", "name"), USED, ids=lambda value: value if isinstance(value, str) else "")
def test_an_empty_element_is_an_absent_one_and_not_worth_a_word(tmp_path, keyword, needed, name):
    for empty in EMPTY:
        radiograph = read_radiograph(write(tmp_path, {keyword: empty}, **needed))
        assert radiograph.warnings == ()
        assert_same_image(radiograph)


def test_numbers_are_read_from_any_value_representation(tmp_path):
    texts = [(vr, b"2.5 ") for vr in ("DS", "LO", "SH", "UT", "ST", "UN", "OB")]
    numbers = [("FD", pack("<d", 2.5)), ("FL", pack("<f", 2.5)), ("DS", b" +2.5E0"), ("DS", b"2,5"), ("UT", b".25e1 ")]
    for odd in (*texts, *numbers):
        radiograph = read_radiograph(write(tmp_path, {"RescaleSlope": odd}, RescaleIntercept=10))
        assert np.allclose(radiograph.pixels, STORED * 2.5 + 10), odd
        assert radiograph.warnings == ()


@pytest.mark.parametrize("content", [b"0,25\\0,5", b"0.25\\0,5 ", b" 0,250 \\ 5,0e-1", b"0,25\\.5 "])
@pytest.mark.parametrize("vr", ["DS", "UT", "UN"])
@pytest.mark.parametrize("keyword", SPACINGS)
def test_a_spacing_with_decimal_commas_is_read(tmp_path, keyword, vr, content):
    path = write(tmp_path, {keyword: (vr, content)})
    radiograph = read_radiograph(path)
    assert radiograph.spacing.mm == (0.25, 0.5)
    assert radiograph.warnings == ()
    assert read_spacing(path) == (STORED.shape, radiograph.spacing)


@pytest.mark.parametrize("content", [b"1,024", b"16,384", b"-1,000", b"1,000.5", b"1,0,0"])
def test_a_comma_that_may_separate_thousands_is_not_guessed_at(tmp_path, content):
    radiograph = read_radiograph(write(tmp_path, {"RescaleSlope": ("DS", content)}))
    assert radiograph.warnings == ("its rescale slope cannot be read and was not used",)
    assert_same_image(radiograph)


@pytest.mark.parametrize(
    "content", [b"0\\0 ", b"-0.2\\0.2", b"0.2 ", b"0.2\\0.2\\0.2", b"143\\143", b"0.2 mm\\0.2 mm", b"0,2,0,2", b"0.2\\"]
)
def test_a_spacing_that_is_not_used_is_said_and_the_next_one_is_used(tmp_path, content):
    path = write(tmp_path, {"PixelSpacing": ("DS", content)}, ImagerPixelSpacing=[0.2, 0.1])
    radiograph = read_radiograph(path)
    assert radiograph.spacing.source == read_spacing(path)[1].source == "ImagerPixelSpacing"
    (warning,) = radiograph.warnings
    assert warning.startswith("its pixel spacing ")
    assert warning.endswith(" and was not used")


@pytest.mark.parametrize(
    ("slope", "intercept"), [("0", "0"), ("0", "-1024"), ("1e-300", "5"), ("1", "1e25"), ("1e300", "0"), ("1e-9", "1")]
)
def test_a_rescale_that_leaves_no_image_is_left_out(tmp_path, slope, intercept):
    radiograph = read_radiograph(write(tmp_path, {}, RescaleSlope=slope, RescaleIntercept=intercept))
    assert radiograph.warnings == ("its rescale slope makes no sense and was not used",)
    assert_same_image(radiograph)


@pytest.mark.parametrize("voi", [WINDOW, {"VOILUTSequence": Sequence([make_lut(range(4096, 0, -1))])}])
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"])
def test_a_window_of_rescaled_values_is_not_applied_to_others(tmp_path, keyword, voi):
    radiograph = read_radiograph(write(tmp_path, {keyword: ("LO", b"none")}, **voi))
    assert len(radiograph.warnings) == 2
    assert "its window was not used" in radiograph.warnings[1]
    assert_same_image(radiograph)


@pytest.mark.parametrize(
    ("slope", "intercept", "factor", "constant"), [("", "5", 1, 5), ("2", "", 2, 0), ("2", None, 2, 0)]
)
def test_half_a_rescale_is_completed(tmp_path, slope, intercept, factor, constant):
    changes = {"RescaleSlope": slope} | ({} if intercept is None else {"RescaleIntercept": intercept})
    radiograph = read_radiograph(write(tmp_path, {}, **changes))
    assert np.array_equal(radiograph.pixels, STORED * factor + constant)
    assert radiograph.warnings == ()


@pytest.mark.parametrize(("center", "width"), [("2048\\1\\2", "4096\\1\\2"), ("2048,0", "4096,0")])
def test_the_first_window_is_used(tmp_path, center, width):
    odd = {"WindowCenter": ("DS", center.encode()), "WindowWidth": ("DS", width.encode())}
    radiograph = read_radiograph(write(tmp_path, odd))
    assert np.allclose(radiograph.pixels, (STORED - 2047.5) / 4095 + 0.5)
    assert radiograph.warnings == ()


@pytest.mark.parametrize(("center", "width"), [("2048\\40", "4096"), ("2048", "4096\\300\\7"), ("1\\2\\3", "4096\\1")])
def test_more_centers_than_widths_are_no_window(tmp_path, center, width):
    odd = {"WindowCenter": ("DS", center.encode()), "WindowWidth": ("DS", width.encode())}
    radiograph = read_radiograph(write(tmp_path, odd))
    assert np.array_equal(radiograph.pixels, STORED)
    assert radiograph.warnings == ("its window makes no sense and was left out",)


@pytest.mark.parametrize("width", ["0", "-5", "0.5", "1e-40", "1e12", "1e300"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_that_shows_nothing_is_left_out(tmp_path, width, function):
    changes = {"WindowCenter": "2000", "WindowWidth": width, "VOILUTFunction": function}
    radiograph = read_radiograph(write(tmp_path, {}, **changes))
    (warning,) = radiograph.warnings
    assert warning.startswith("its window ")
    assert np.array_equal(radiograph.pixels, STORED)


def changed_lut(**changes) -> Dataset:
    item = make_lut(range(4096))
    for keyword, (vr, value) in changes.items():
        del item[keyword]
        if vr:
            item.add_new(keyword, vr, value)
    return item


GARBLED_LUTS = {
    "no data": changed_lut(LUTData=("", None)),
    "empty data": changed_lut(LUTData=("OW", b"")),
    "too few data": changed_lut(LUTData=("OW", bytes(100))),
    "data of bytes that should be words": changed_lut(LUTData=("OB", bytes(4096))),
    "data of text": changed_lut(LUTData=("UT", "ZQXSECRET")),
    "no descriptor": changed_lut(LUTDescriptor=("", None)),
    "two descriptors": changed_lut(LUTDescriptor=("US", [4096, 0])),
    "four descriptors": changed_lut(LUTDescriptor=("US", [4096, 0, 16, 1])),
    "descriptors of text": changed_lut(LUTDescriptor=("LO", ["all", "of", "them"])),
    "descriptors beyond the image": changed_lut(LUTDescriptor=("US", [4096, 60000, 16])),
}


@pytest.mark.parametrize("name", GARBLED_LUTS)
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_garbled_lut_is_left_out(tmp_path, keyword, name):
    radiograph = read_radiograph(write(tmp_path, {}, **{keyword: Sequence([GARBLED_LUTS[name]])}))
    assert np.array_equal(radiograph.pixels, STORED)
    (warning,) = radiograph.warnings
    assert "LUT sequence" in warning
    assert warning.endswith("and was not used")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_luts_are_read_in_any_byte_order(tmp_path, syntax):
    item = make_lut([])
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    item.LUTDescriptor = [4096, 0, 16]
    item.LUTData = np.arange(8000, 8000 + 4096).astype(order).tobytes()
    changes = {"VOILUTSequence": Sequence([item]), "BitsStored": 12, "HighBit": 11}
    radiograph = read_radiograph(write_dicom(tmp_path / "a.dcm", STORED, syntax, **changes))
    assert np.array_equal(radiograph.pixels, 8000 + STORED)
    assert radiograph.warnings == ()


EXPLAINED = Dataset()
EXPLAINED.add_new("LUTDescriptor", "SS", None)
EXPLAINED.add_new("LUTData", "OW", None)
EXPLAINED.LUTExplanation = "Normal"


@pytest.mark.parametrize("items", [[], [Dataset()], [EXPLAINED], [Dataset(), EXPLAINED]])
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_an_empty_lut_is_an_absent_one_and_leaves_the_window(tmp_path, keyword, items):
    radiograph = read_radiograph(write(tmp_path, {}, **WINDOW, **{keyword: Sequence(items)}))
    assert radiograph.pixels.max() < 1
    assert_same_image(radiograph)
    assert radiograph.warnings == ()


def test_the_first_lut_that_is_not_empty_is_used(tmp_path):
    radiograph = read_radiograph(
        write(tmp_path, {}, VOILUTSequence=Sequence([Dataset(), make_lut(range(4096, 0, -1))]))
    )
    assert np.array_equal(radiograph.pixels, 4096 - STORED)


@pytest.mark.parametrize("shape", ["INVERSE", "inverse ", "Inverse"])
def test_a_presentation_lut_shape_in_small_letters_inverts(tmp_path, shape):
    radiograph = read_radiograph(write(tmp_path, {}, PresentationLUTShape=shape))
    assert np.array_equal(radiograph.pixels, STORED.max() - STORED)


def test_padding_is_found_in_any_value_representation(tmp_path):
    stored = STORED.copy()
    stored[:5] = 4095
    for odd in [("US", b"\xff\x0f"), ("SS", b"\xff\x0f"), ("DS", b"4095"), ("UN", b"\xff\x0f"), ("IS", b"4095")]:
        valid = read_radiograph(write(tmp_path, {"PixelPaddingValue": odd}, stored)).valid
        assert np.array_equal(valid, stored < 4095)


def test_padding_that_is_the_whole_image_is_said(tmp_path):
    radiograph = read_radiograph(write(tmp_path, {}, PixelPaddingValue=0, PixelPaddingRangeLimit=4095))
    assert radiograph.valid is None
    assert radiograph.warnings == ("its pixel padding value makes no sense and was not used",)


@pytest.mark.parametrize("age", [b"17", b"017", b"17Y ", b"017y"])
def test_an_age_without_unit_is_in_years(tmp_path, age):
    (warning,) = read_radiograph(write(tmp_path, {"PatientAge": ("LO", age)})).warnings
    assert "under 18" in warning


@pytest.mark.parametrize("date", [b"2010.03.02", b"20100302", b"20100302120000"])
def test_dates_are_read_where_the_age_is_odd(tmp_path, date):
    odd = {"PatientBirthDate": ("LO", date), "PatientAge": ("AS", b"ZQXY")}
    warnings = read_radiograph(write(tmp_path, odd, StudyDate="20280301")).warnings
    assert warnings[0].startswith("its patient age cannot be read")
    assert "under 18" in warnings[1]


REQUIRED = ("Rows", "Columns", "BitsAllocated", "PixelData")


@pytest.mark.parametrize("odd", [None, ("US", b""), ("LO", b"  "), ("UN", b"")])
@pytest.mark.parametrize("keyword", REQUIRED)
def test_a_missing_required_element_is_named(tmp_path, keyword, odd):
    with pytest.raises(ImageError, match=rf"a\.dcm: .*the element {keyword} "):
        read_radiograph(write(tmp_path, {keyword: odd}))


@pytest.mark.parametrize("odd", [("LO", b"ZQXSECRET "), ("US", b"\x10\0\x10\0"), ("DS", b"12,5"), ("SQ", b"ABCDEFGH")])
@pytest.mark.parametrize("keyword", REQUIRED)
def test_a_wrong_required_element_is_named_and_not_quoted(tmp_path, keyword, odd):
    with pytest.raises(ImageError, match=rf"a\.dcm: .*{keyword}") as caught:
        read_radiograph(write(tmp_path, {keyword: odd}))
    assert "ZQX" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("keyword", ["SamplesPerPixel", "BitsStored", "HighBit", "PixelRepresentation"])
@pytest.mark.parametrize("odd", [None, ("US", b""), ("LO", b"none"), ("US", b"\x63\0"), ("UN", b"\x01\0\x02\0")])
def test_a_required_element_that_follows_from_the_others_is_derived_and_named(tmp_path, keyword, odd):
    radiograph = read_radiograph(write(tmp_path, {keyword: odd}))
    assert np.array_equal(radiograph.pixels, STORED)
    (warning,) = radiograph.warnings
    assert keyword in warning


@pytest.mark.parametrize("vr", ["IS", "LO", "UT", "SH"])
def test_required_numbers_are_read_from_texts(tmp_path, vr):
    numbers = {"Rows": "24", "Columns": "20", "BitsAllocated": "16", "BitsStored": "12", "HighBit": "11"}
    odd = {keyword: (vr, text.encode()) for keyword, text in numbers.items()}
    radiograph = read_radiograph(write(tmp_path, odd))
    assert np.array_equal(radiograph.pixels, STORED)
    assert radiograph.warnings == ()


@pytest.mark.parametrize("text", ["monochrome2", "Monochrome2 ", " MONOCHROME2", "MONOCHROME 2", "MONOCHROME2\0"])
@pytest.mark.parametrize("vr", ["CS", "LO", "UN"])
def test_a_photometric_interpretation_is_read_in_any_letters(tmp_path, vr, text):
    dark = text.replace("2", "1")
    plain = read_radiograph(write(tmp_path, {"PhotometricInterpretation": (vr, text.encode())}))
    inverted = read_radiograph(write(tmp_path, {"PhotometricInterpretation": (vr, dark.encode())}))
    assert np.array_equal(plain.pixels, STORED)
    assert np.array_equal(inverted.pixels, STORED.max() - STORED)
    assert plain.warnings == inverted.warnings == ()


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("keyword", ["SamplesPerPixel", "BitsStored", "HighBit", "PhotometricInterpretation"])
def test_what_is_derived_serves_compressed_pixels_as_well(tmp_path, syntax, keyword):
    dataset = make_dicom(np.ascontiguousarray(STORED.repeat(2, 0).repeat(2, 1)), BitsStored=12, HighBit=11)
    dataset.compress(syntax)
    delattr(dataset, keyword)
    dataset.save_as(tmp_path / "a.dcm")
    radiograph = read_radiograph(tmp_path / "a.dcm")
    assert np.array_equal(radiograph.pixels, STORED.repeat(2, 0).repeat(2, 1))
    assert keyword in radiograph.warnings[0]


@pytest.mark.parametrize("odd", [None, ("CS", b""), ("UN", b"  ")])
def test_without_photometric_interpretation_one_sample_is_grey(tmp_path, odd):
    radiograph = read_radiograph(write(tmp_path, {"PhotometricInterpretation": odd}))
    assert np.array_equal(radiograph.pixels, STORED)
    assert radiograph.warnings == ("the element PhotometricInterpretation is missing; it was read as MONOCHROME2",)
    with pytest.raises(ImageError, match="the element PhotometricInterpretation is missing"):
        read_radiograph(write(tmp_path, {"PhotometricInterpretation": odd, "SamplesPerPixel": None}))


@pytest.mark.parametrize("text", ["MONOCHROME", "GREY", "CMYK", "ZQXSECRET"])
def test_an_unknown_photometric_interpretation_is_refused(tmp_path, text):
    with pytest.raises(ImageError, match="the element PhotometricInterpretation has an unknown value") as caught:
        read_radiograph(write(tmp_path, {"PhotometricInterpretation": ("CS", text.encode())}))
    assert "ZQX" not in caught.value.message


@pytest.mark.parametrize(
    "missing", [["PlanarConfiguration"], ["SamplesPerPixel"], ["PlanarConfiguration", "SamplesPerPixel"]]
)
def test_colours_without_planar_configuration_or_samples_are_read(tmp_path, missing):
    colours = np.stack([STORED // 16] * 3, axis=-1).astype(np.uint8)
    path = write(tmp_path, dict.fromkeys(missing), colours, BitsStored=8, HighBit=7)
    radiograph = read_radiograph(path)
    assert np.allclose(radiograph.pixels, STORED // 16, atol=1e-3)
    assert sorted(missing) == sorted(warning.split()[2] for warning in radiograph.warnings)


@pytest.mark.parametrize(
    ("keyword", "kind", "vr"), [("FloatPixelData", "<f4", "OF"), ("DoubleFloatPixelData", "<f8", "OD")]
)
def test_pixels_of_floating_point_numbers_are_read(tmp_path, keyword, kind, vr):
    odd = dict.fromkeys(("PixelData", "BitsStored", "HighBit", "PixelRepresentation"))
    values = STORED / 4096
    path = write(tmp_path, odd | {keyword: (vr, values.astype(kind).tobytes())}, BitsAllocated=int(kind[-1]) * 8)
    radiograph = read_radiograph(path)
    assert np.allclose(radiograph.pixels, values)
    assert radiograph.warnings == ()
    with pytest.raises(ImageError, match="do not fit its header: 100 bytes"):
        read_radiograph(write(tmp_path, odd | {keyword: (vr, bytes(100))}))


def test_pixels_that_are_not_finite_are_refused(tmp_path):
    values = np.full(STORED.shape, np.nan, "<f4").tobytes()
    with pytest.raises(ImageError, match="not finite numbers"):
        read_radiograph(write(tmp_path, {"PixelData": None, "FloatPixelData": ("OF", values)}))


@pytest.mark.parametrize("changes", [{"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, {"Rows": 12}, {"Columns": 9}])
def test_pixels_of_twice_the_length_that_the_header_says_are_refused(tmp_path, changes):
    with pytest.raises(ImageError, match="do not fit its header: 960 bytes instead of ") as caught:
        read_radiograph(write(tmp_path, {}, **changes))
    assert "BitsAllocated" in caught.value.hint


@pytest.mark.parametrize("rest", [bytes(2), bytes(40), bytes(500)])
def test_pixels_that_are_a_little_too_long_are_read_with_a_warning(tmp_path, rest):
    path = write(tmp_path, {"PixelData": ("OW", STORED.tobytes() + rest)})
    radiograph = read_radiograph(path)
    assert np.array_equal(radiograph.pixels, STORED)
    assert "longer than its header says" in radiograph.warnings[0]

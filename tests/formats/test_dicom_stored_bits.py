"""Which bits of stored words are pixel values: beside overlays, and where BitsStored or HighBit is wrong."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.radiographs import read_radiograph
from tests.dicoms import make_dicom, write_dicom

# 12 bits, as smooth as a radiograph.
ROWS, COLUMNS = np.mgrid[0:64, 0:80]
SMOOTH = np.round(2000 + 1900 * np.sin(COLUMNS / 12) * np.cos(ROWS / 15)).astype(np.uint16)
TEXT = ((COLUMNS // 3 + ROWS // 4) % 7 == 0).astype(np.uint16)  # what an overlay may show
BITS_12 = {"BitsStored": 12, "HighBit": 11}


def read(folder, words, **changes):
    return read_radiograph(write_dicom(folder / "a.dcm", words, **changes))


def declare_overlay(dataset, position, group=0x6000):
    dataset.add_new((group, 0x0010), "US", 64)
    dataset.add_new((group, 0x0011), "US", 80)
    dataset.add_new((group, 0x0100), "US", 16)
    dataset.add_new((group, 0x0102), "US", position)


@pytest.mark.parametrize("bits", [8, 9, 10, 11])
def test_values_of_more_bits_than_stored_are_used_whole(tmp_path, bits):
    radiograph = read(tmp_path, SMOOTH, BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(radiograph.pixels, SMOOTH)
    assert radiograph.warnings == (
        "its pixel values need more bits than the element BitsStored says; all bits were used",
    )


@pytest.mark.parametrize("bits", [10, 11])
def test_signed_values_of_more_bits_than_stored_are_used_whole(tmp_path, bits):
    signed = SMOOTH.astype(np.int16) - 2000
    radiograph = read(tmp_path, signed, BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(radiograph.pixels, signed)
    assert "more bits" in radiograph.warnings[0]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_values_of_more_bits_than_stored_are_used_whole(tmp_path, syntax):
    dataset = make_dicom(SMOOTH, **BITS_12)
    dataset.compress(syntax)
    dataset.BitsStored, dataset.HighBit = 10, 9
    dataset.save_as(tmp_path / "a.dcm")
    radiograph = read_radiograph(tmp_path / "a.dcm")
    assert np.array_equal(radiograph.pixels, SMOOTH)
    assert "more bits" in radiograph.warnings[0]


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_values_that_vary_smoothly_in_no_way_are_refused(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 2**16, SMOOTH.shape).astype(np.uint16).view(kind)
    with pytest.raises(ImageError, match=r"a\.dcm: its pixel values need more bits than the element BitsStored says"):
        read(tmp_path, noise, **BITS_12)


@given(st.integers(1, 16), st.integers(0, 2**32 - 1), st.booleans())
def test_values_that_fit_are_never_changed(tmp_path_factory, bits, seed, signed):
    rng = np.random.default_rng(seed)
    values = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (6, 5)) if signed else rng.integers(0, 2**bits, (6, 5))
    words = values.astype(np.int16 if signed else np.uint16)
    assume(np.ptp(values))
    radiograph = read(tmp_path_factory.getbasetemp(), words, BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(radiograph.pixels, values)
    assert radiograph.warnings == ()


@given(st.integers(2, 16), st.integers(0, 2**32 - 1))
def test_negative_values_need_not_repeat_their_sign_in_the_unused_bits(tmp_path_factory, bits, seed):
    values = np.random.default_rng(seed).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (6, 5))
    words = (values.astype(np.int32) & (2**bits - 1)).astype(np.uint16).view(np.int16)
    radiograph = read(tmp_path_factory.getbasetemp(), words, BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(radiograph.pixels, values)
    assert radiograph.warnings == ()


@pytest.mark.parametrize("positions", [[12], [15], [13, 14]])
@pytest.mark.parametrize("signed", [False, True])
def test_overlays_that_the_header_declares_are_cleared(tmp_path, positions, signed):
    values = SMOOTH.astype(np.int16) - 2000 if signed else SMOOTH
    words = values.view(np.uint16) & 0x0FFF
    for position in positions:
        words = words | (TEXT << position).astype(np.uint16)
    dataset = make_dicom(words.view(values.dtype), **BITS_12)
    for number, position in enumerate(positions):
        declare_overlay(dataset, position, 0x6000 + 2 * number)
    dataset.save_as(tmp_path / "a.dcm")
    radiograph = read_radiograph(tmp_path / "a.dcm")
    assert np.array_equal(radiograph.pixels, values)
    assert radiograph.warnings == ()


@pytest.mark.parametrize("position", [12, 14, 15])
def test_overlays_that_the_header_does_not_declare_are_recognised(tmp_path, position):
    radiograph = read(tmp_path, SMOOTH | (TEXT << position), **BITS_12)
    assert np.array_equal(radiograph.pixels, SMOOTH)
    assert radiograph.warnings == (
        "its pixels have bits beyond BitsStored that look like an overlay and were left out",
    )


def test_an_overlay_with_an_element_of_its_own_is_not_in_the_pixels(tmp_path):
    dataset = make_dicom(SMOOTH, BitsStored=10, HighBit=9)
    declare_overlay(dataset, 11)
    dataset.add_new((0x6000, 0x3000), "OW", bytes(640))
    dataset.save_as(tmp_path / "a.dcm")
    assert np.array_equal(read_radiograph(tmp_path / "a.dcm").pixels, SMOOTH)


@pytest.mark.parametrize("position", [0, 3, 11, 99])
def test_an_overlay_that_cannot_be_where_the_header_says_clears_nothing(tmp_path, position):
    dataset = make_dicom(SMOOTH, **BITS_12)
    declare_overlay(dataset, position)
    dataset.save_as(tmp_path / "a.dcm")
    assert np.array_equal(read_radiograph(tmp_path / "a.dcm").pixels, SMOOTH)


@pytest.mark.parametrize("signed", [False, True])
def test_values_in_the_highest_bits_are_shifted(tmp_path, signed):
    values = SMOOTH.astype(np.int16) - 2000 if signed else SMOOTH
    radiograph = read(tmp_path, values << 4, BitsStored=12, HighBit=15)
    assert np.array_equal(radiograph.pixels, values)
    assert radiograph.warnings == ()


def test_an_overlay_below_the_values_is_cleared(tmp_path):
    dataset = make_dicom((SMOOTH << 4) | TEXT, BitsStored=12, HighBit=15)
    declare_overlay(dataset, 0)
    dataset.save_as(tmp_path / "a.dcm")
    assert np.array_equal(read_radiograph(tmp_path / "a.dcm").pixels, SMOOTH)


@pytest.mark.parametrize("highest", [0, 7, 10, 12, 15, 16, 40])
@pytest.mark.parametrize("signed", [False, True])
def test_a_high_bit_that_does_not_fit_is_not_used(tmp_path, highest, signed):
    values = SMOOTH.astype(np.int16) - 2000 if signed else SMOOTH
    radiograph = read(tmp_path, values, BitsStored=12, HighBit=highest)
    assert np.array_equal(radiograph.pixels, values)
    assert radiograph.warnings == ("the element HighBit does not fit BitsStored and was not used",)


def test_with_wrong_high_bit_and_too_few_bits_stored_the_whole_values_are_used(tmp_path):
    radiograph = read(tmp_path, SMOOTH, BitsStored=10, HighBit=11)
    assert np.array_equal(radiograph.pixels, SMOOTH)
    assert len(radiograph.warnings) == 2


@pytest.mark.parametrize("shift", [0, 1500, 3000])
def test_without_pixel_representation_the_sign_is_that_of_a_smooth_image(tmp_path, shift):
    signed = SMOOTH.astype(np.int16) - shift
    radiograph = read(tmp_path, signed, PixelRepresentation=None)
    assert np.array_equal(radiograph.pixels, signed)
    kind = "signed" if shift else "unsigned"
    assert radiograph.warnings[0].endswith(f"the pixels were read as {kind} numbers")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_bits_are_those_of_the_byte_order_of_the_file(tmp_path, syntax):
    path = write_dicom(tmp_path / "a.dcm", SMOOTH | (TEXT << 15), syntax, **BITS_12)
    assert np.array_equal(read_radiograph(path).pixels, SMOOTH)


@pytest.mark.parametrize(("allocated", "kind"), [(8, np.uint8), (32, np.uint32)])
def test_words_of_other_lengths_are_read(tmp_path, allocated, kind):
    values = (SMOOTH // 16).astype(kind)
    radiograph = read(tmp_path, values, BitsStored=6, HighBit=5)
    assert np.array_equal(radiograph.pixels, values)
    assert "more bits" in radiograph.warnings[0]


@pytest.mark.parametrize(("kind", "padding"), [(np.uint16, 65535), (np.uint16, 0xF000), (np.int16, -30000)])
def test_padding_may_have_more_bits_than_the_values(tmp_path, kind, padding):
    values = SMOOTH.astype(np.int32) - (2000 if kind == np.int16 else 0)
    values[:9] = padding
    radiograph = read(tmp_path, values.astype(kind), PixelPaddingValue=padding, **BITS_12)
    assert np.array_equal(radiograph.pixels, values)
    assert np.array_equal(radiograph.valid, values != padding)
    assert radiograph.warnings == ()
    with pytest.raises(ImageError, match="more bits"):
        read(tmp_path, values.astype(kind), **BITS_12)

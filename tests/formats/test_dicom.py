import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.dicom.pixels import is_dicom, read_dicom
from tests.dicoms import make_dicom, write_dicom

STORED = np.array([[0, 100], [200, 300]], np.uint16)


def pixels_of(folder, stored=STORED, **changes):
    return read_dicom(write_dicom(folder / "a.dcm", stored, **changes)).pixels


def look_up_table(values, first=0, bits=16):
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "US" if first >= 0 else "SS"
    item.add_new("LUTData", "OW", np.asarray(values, "<u2").tobytes())
    return Sequence([item])


def test_monochrome2_keeps_its_values(tmp_path):
    assert np.array_equal(pixels_of(tmp_path), STORED)


@pytest.mark.parametrize(
    "changes",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
def test_inverted_images_are_inverted_once(tmp_path, changes):
    assert np.array_equal(pixels_of(tmp_path, **changes), 300 - STORED)


def test_inverting_signed_values_does_not_overflow(tmp_path):
    stored = np.array([[-32768, 0, 32767]], np.int16)
    assert pixels_of(tmp_path, stored, PhotometricInterpretation="MONOCHROME1").tolist() == [[65535, 32767, 0]]


def test_rescale_comes_before_the_window(tmp_path):
    stored = np.array([[0, 100, 150], [175, 200, 300]], np.uint16)
    changes = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 200, "WindowWidth": 200}
    pixels = pixels_of(tmp_path, stored, **changes)
    # Rescaled: -100, 100, 200, 250, 300, 500; the window reaches from 100 to 300.
    shown = (pixels - pixels.min()) / np.ptp(pixels)
    assert np.allclose(shown, [[0, 0, 0.5], [0.75, 1, 1]], atol=0.01)


def test_a_modality_lut_comes_before_the_voi_lut_which_comes_before_the_window(tmp_path):
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    changes = {
        "ModalityLUTSequence": look_up_table([10, 11, 12, 13]),
        "VOILUTSequence": look_up_table([100, 400, 300, 200], first=10),
        "WindowCenter": 11,
        "WindowWidth": 1,
    }
    assert pixels_of(tmp_path, stored, **changes).tolist() == [[100, 400, 300, 200]]


def test_values_beyond_a_lut_get_its_first_and_last_entry(tmp_path):
    stored = np.array([[0, 5, 6, 300]], np.uint16)
    # With entries of 8 bits, 300 - 5 would wrap around to 39.
    changes = {"VOILUTSequence": look_up_table([7, 8, 9], first=5, bits=8)}
    assert pixels_of(tmp_path, stored, **changes).tolist() == [[7, 7, 8, 9]]


def test_a_lut_may_begin_below_zero(tmp_path):
    stored = np.array([[-3, -2, -1, 0]], np.int16)
    changes = {"VOILUTSequence": look_up_table([1, 2, 3], first=-2)}
    assert pixels_of(tmp_path, stored, **changes).tolist() == [[1, 1, 2, 3]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"WindowCenter": 100, "WindowWidth": 0}, "makes no sense"),
        ({"WindowCenter": 9000, "WindowWidth": 10}, "hardly any grey values"),
    ],
)
def test_a_window_without_contrast_is_ignored_and_reported(tmp_path, changes, words):
    stored = np.arange(400, dtype=np.uint16).reshape(20, 20)
    radiograph = read_dicom(write_dicom(tmp_path / "a.dcm", stored, **changes))
    assert np.array_equal(radiograph.pixels, stored)
    assert words in radiograph.warnings[0]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom(tmp_path, function):
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    changes = {"WindowCenter": [2000, 7], "WindowWidth": [3000, 9], "VOILUTFunction": function}
    path = write_dicom(tmp_path / "a.dcm", stored, **changes)
    dataset = dcmread(path)
    theirs = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    assert np.allclose(read_dicom(path).pixels, theirs / 65535, rtol=1e-5)


def test_signed_pixels_keep_their_values(tmp_path):
    assert pixels_of(tmp_path, np.array([[-5, 7]], np.int16)).tolist() == [[-5, 7]]


@pytest.mark.parametrize(
    "padding", [{"PixelPaddingValue": 300}, {"PixelPaddingValue": 250, "PixelPaddingRangeLimit": 400}]
)
def test_padding_is_not_valid(tmp_path, padding):
    radiograph = read_dicom(write_dicom(tmp_path / "a.dcm", STORED, **padding))
    assert radiograph.valid is not None
    assert radiograph.valid.tolist() == [[True, True], [True, False]]


def test_negative_padding_that_was_written_as_unsigned_is_found(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.array([[-2000, 7]], np.int16))
    dataset = dcmread(path)
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    dataset.save_as(path)
    valid = read_dicom(path).valid
    assert valid is not None
    assert valid.tolist() == [[False, True]]


def test_spacing_is_row_first_and_zero_is_unknown(tmp_path):
    known = read_dicom(write_dicom(tmp_path / "a.dcm", STORED, ImagerPixelSpacing=[0.2, 0.1], PixelSpacing=[0, 0]))
    assert known.spacing.mm == (0.2, 0.1)
    assert known.spacing.source == "ImagerPixelSpacing"
    assert read_dicom(write_dicom(tmp_path / "b.dcm", STORED)).spacing is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Modality": "CT"}, r"is a CT; this tool is for radiographs, the tool for CT is the PyPI package lungmask"),
        ({"Modality": "", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "is a CT"),
        ({"Modality": "MR"}, "is an MR image"),
        ({"Modality": "SEG"}, "not that of a radiograph"),
        ({"NumberOfFrames": 2}, "holds 2 frames"),
        ({"Rows": 50}, "do not fit its header"),
        ({"Rows": 0}, "2 x 0 pixels"),
        ({"PixelData": None}, "holds no pixel data"),
        ({"Rows": None}, "holds no image"),
    ],
)
def test_files_that_are_not_radiographs_are_rejected(tmp_path, changes, words):
    with pytest.raises(ImageError, match=words):
        read_dicom(write_dicom(tmp_path / "a.dcm", STORED, **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ViewPosition": "LL"}, "lateral view"),
        ({"PatientOrientation": ["A", "F"]}, "lateral view"),
        ({"BodyPartExamined": "KNEE"}, "another part of the body"),
        ({"PatientAge": "017Y"}, "under 18"),
        ({"PatientAge": "030M"}, "under 18"),
        ({"PatientBirthDate": "20100302", "StudyDate": "20280301"}, "under 18"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
        ({"BurnedInAnnotation": "YES"}, "burnt into the picture"),
        ({"Modality": "XYZ"}, "not that of a radiograph"),
    ],
)
def test_headers_that_make_a_mask_doubtful_are_reported(tmp_path, changes, words):
    (sentence,) = read_dicom(write_dicom(tmp_path / "a.dcm", STORED, **changes)).warnings
    assert words in sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"ViewPosition": "PA", "PatientOrientation": ["L", "F"], "BodyPartExamined": "CHEST", "PatientAge": "018Y"},
        {"PatientBirthDate": "20100301", "StudyDate": "20280301"},
        {"Modality": "DX", "PatientAge": "", "PatientOrientation": ""},
    ],
)
def test_an_ordinary_header_gives_no_warning(tmp_path, changes):
    assert read_dicom(write_dicom(tmp_path / "a.dcm", STORED, **changes)).warnings == ()


def test_lateral_views_are_recognised_by_their_code(tmp_path):
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399173006", "SCT", "left lateral"
    radiograph = read_dicom(write_dicom(tmp_path / "a.dcm", STORED, ViewCodeSequence=Sequence([view])))
    assert "lateral" in radiograph.warnings[0]


def end_of_meta(content: bytes) -> int:
    syntax = content.index(b"\x02\x00\x10\x00UI")  # the last element of the meta information that is written here
    return syntax + 8 + int.from_bytes(content[syntax + 6 : syntax + 8], "little")


def without_meta(path: Path, stored, syntax) -> Path:
    dataset = make_dicom(stored, syntax)
    complete = path.with_suffix(".complete")
    dataset.save_as(complete)
    content = complete.read_bytes()
    complete.unlink()
    path.write_bytes(content[end_of_meta(content) :])
    return path


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_files_without_preamble_and_meta_information_are_read(tmp_path, syntax):
    path = without_meta(tmp_path / "IM0001", STORED, syntax)
    assert is_dicom(path)
    assert np.array_equal(read_dicom(path).pixels, STORED)


def test_images_and_texts_are_not_dicom(tmp_path):
    for name, content in {"a": b"plain text " * 30, "b": bytes(200), "c": b"\x89PNG\r\n\x1a\n" + bytes(200)}.items():
        (tmp_path / name).write_bytes(content)
        assert not is_dicom(tmp_path / name)


def test_too_large_an_image_is_rejected_before_memory_is_allocated(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", STORED, Rows=60000, Columns=60000)
    with pytest.raises(ImageError, match=r"60000 x 60000 pixels are more than --max-pixels allows \(100000000\)"):
        read_dicom(path)
    with pytest.raises(ImageError, match="--max-pixels"):
        read_dicom(write_dicom(tmp_path / "b.dcm", STORED), max_pixels=3)


def test_a_deflated_file_that_inflates_without_end_is_rejected(tmp_path):
    path = tmp_path / "bomb.dcm"
    make_dicom(STORED, DeflatedExplicitVRLittleEndian).save_as(path)
    content = path.read_bytes()
    start = end_of_meta(content)
    squeezer = zlib.compressobj(9, wbits=-15)
    inflated = [squeezer.compress(bytes(2**20)) for _ in range(200)]
    path.write_bytes(content[:start] + b"".join(inflated) + squeezer.flush())
    with pytest.raises(ImageError, match="inflates to more bytes"):
        read_dicom(path, max_pixels=1000)


def test_a_syntax_without_decoder_is_named_with_the_extra_to_install(tmp_path):
    path = get_testdata_file("JPGLosslessP14SV1_1s_1f_8b.dcm", download=False)
    if path is None:
        pytest.skip("pydicom-data is not installed")
    dataset = dcmread(path)
    dataset.Modality = "CR"
    radiograph = tmp_path / "a.dcm"
    dataset.save_as(radiograph)
    code = (
        "import sys; from pydicom.pixels import get_decoder\n"
        "decoder = get_decoder('1.2.840.10008.1.2.4.70')\n"
        "for plugin in decoder.available_plugins: decoder.remove_plugin(plugin)\n"
        "from pathlib import Path\n"
        "from lungmask_cli.formats.radiographs import read_radiograph\n"
        "from lungmask_cli.errors import ImageError\n"
        f"try: read_radiograph(Path({str(radiograph)!r}))\n"
        "except ImageError as error: sys.exit(f'{error.message} {error.hint}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "JPEG Lossless, Non-Hierarchical, First-Order Prediction" in done.stderr
    assert 'pip install "lungmask-cli[dicom]"' in done.stderr


def test_the_real_chest_of_nema_has_dark_lungs():
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    if path is None:
        pytest.skip("pydicom-data is not installed")
    pixels = read_dicom(Path(path)).pixels
    assert pixels.shape == (1955, 1841)
    right_lung, mediastinum = pixels[600:1000, 400:600].mean(), pixels[1000:1300, 880:960].mean()
    assert right_lung < mediastinum

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.dicom import read_dicom

STORED = np.array([[0, 100], [200, 300]], np.uint16)


def write_dicom(path, stored=STORED, **changes):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.3680043.8.498.1")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(path, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "CR"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = stored.tobytes()
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def test_monochrome2_keeps_its_values(tmp_path):
    assert np.array_equal(read_dicom(write_dicom(tmp_path / "a.dcm")).pixels, STORED)


@pytest.mark.parametrize(
    "changes",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
def test_inverted_images_are_inverted_once(tmp_path, changes):
    pixels = read_dicom(write_dicom(tmp_path / "a.dcm", **changes)).pixels
    assert np.array_equal(pixels, 300 - STORED.astype(float))


def test_rescale_comes_before_the_window(tmp_path):
    stored = np.array([[0, 100, 150], [175, 200, 300]], np.uint16)
    changes = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 200, "WindowWidth": 200}
    pixels = read_dicom(write_dicom(tmp_path / "a.dcm", stored, **changes)).pixels
    # Rescaled: -100, 100, 200, 250, 300, 500; the window reaches from 100 to 300.
    shown = (pixels - pixels.min()) / np.ptp(pixels)
    assert np.allclose(shown, [[0, 0, 0.5], [0.75, 1, 1]], atol=0.01)


def test_padding_is_not_valid(tmp_path):
    radiograph = read_dicom(write_dicom(tmp_path / "a.dcm", PixelPaddingValue=300))
    assert radiograph.valid is not None
    assert radiograph.valid.tolist() == [[True, True], [True, False]]


def test_spacing_is_row_first_and_zero_is_unknown(tmp_path):
    known = read_dicom(write_dicom(tmp_path / "a.dcm", ImagerPixelSpacing=[0.2, 0.1], PixelSpacing=[0, 0]))
    assert known.spacing_mm == (0.2, 0.1)
    assert known.spacing_source == "ImagerPixelSpacing"
    assert read_dicom(write_dicom(tmp_path / "b.dcm")).spacing_mm is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"Modality": "CT"}, "CT"), ({"NumberOfFrames": 2}, "2 frames"), ({"Rows": 50}, "do not fit its header")],
)
def test_what_is_no_radiograph_is_refused(tmp_path, changes, words):
    with pytest.raises(ImageError, match=words):
        read_dicom(write_dicom(tmp_path / "a.dcm", **changes))


def test_the_real_chest_of_nema_has_dark_lungs():
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    if path is None:
        pytest.skip("pydicom-data is not installed")
    pixels = read_dicom(path).pixels
    assert pixels.shape == (1955, 1841)
    right_lung, mediastinum = pixels[600:1000, 400:600].mean(), pixels[1000:1300, 880:960].mean()
    assert right_lung < mediastinum

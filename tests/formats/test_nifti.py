import gzip
import subprocess
import sys

import numpy as np
import pytest

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.formats.mask_values import MaskOptions
from lungmask_cli.formats.masks import read_lung_mask, read_lung_mask_files
from lungmask_cli.formats.nifti import read_nifti
from lungmask_cli.imaging.radiograph import LEFT, RIGHT

nibabel = pytest.importorskip("nibabel", reason="the extra [nifti] is not installed")

SECRET = "ZQXSECRET"
# Three rows of two columns: right lung above, left lung in the last row.
LABELS = np.array([[0, 1], [1, 1], [2, 0]])


def write_nifti(path, values, zooms=None, kind=np.uint8):
    """The values (H, W) as programs write them: the first axis runs along the columns."""
    image = nibabel.Nifti1Image(np.asarray(values, kind).T, np.eye(4))
    if zooms is not None:
        image.header.set_zooms(zooms)
    image.header["descrip"] = SECRET
    nibabel.save(image, path)
    return path


def as_slice(values):
    """(H, W) as a volume of one slice, in the order of `write_nifti`."""
    return np.asarray(values)[None]


def rows_of(mask):
    return None if mask is None else mask.astype(int).tolist()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
@pytest.mark.parametrize("values", [LABELS, as_slice(LABELS), as_slice(as_slice(LABELS))])
def test_the_first_axis_of_a_slice_is_the_column_axis(tmp_path, name, values):
    mask = read_lung_mask(write_nifti(tmp_path / name, values))
    assert rows_of(mask.lungs) == [[0, 1], [1, 1], [1, 0]]
    assert rows_of(mask.right) == [[0, 1], [1, 1], [0, 0]]
    assert rows_of(mask.left) == [[0, 0], [0, 0], [1, 0]]
    assert mask.labelled


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_labels_of_any_type_are_labels(tmp_path, kind):
    mask = read_lung_mask(write_nifti(tmp_path / "a.nii", LABELS, kind=kind))
    assert rows_of(mask.left) == [[0, 0], [0, 0], [1, 0]]
    assert mask.labelled


@pytest.mark.parametrize(("largest", "kind"), [(1, np.uint8), (255, np.int16), (1, np.float64), (255, np.float32)])
def test_binary_masks_of_any_type_are_read_alike(tmp_path, largest, kind):
    path = write_nifti(tmp_path / "a.nii", (LABELS > 0) * largest, kind=kind)
    assert rows_of(read_lung_mask(path).lungs) == [[0, 1], [1, 1], [1, 0]]


def test_given_labels_are_lungs(tmp_path):
    path = write_nifti(tmp_path / "a.nii", [[0, 3, 7, 9]], kind=np.float64)
    mask = read_lung_mask(path, MaskOptions(labels=(3, 7)))
    assert rows_of(mask.right) == [[0, 1, 0, 0]]
    assert rows_of(mask.left) == [[0, 0, 1, 0]]
    with pytest.raises(ImageError, match=r"a\.nii: holds several values up to 9"):
        read_lung_mask(path)


def test_probabilities_are_lung_from_the_threshold_on(tmp_path):
    path = write_nifti(tmp_path / "a.nii", [[0, 0.24, 0.25, 0.9]], kind=np.float32)
    assert rows_of(read_lung_mask(path, MaskOptions(threshold=0.25)).lungs) == [[0, 0, 1, 1]]


def test_values_are_scaled_by_the_header(tmp_path):
    path = write_nifti(tmp_path / "a.nii", [[0, 100, 150, 200]])
    content = bytearray(path.read_bytes())
    content[112:116] = np.float32(1 / 200).tobytes()  # scl_slope
    path.write_bytes(content)
    assert rows_of(read_lung_mask(path, MaskOptions(threshold=0.7)).lungs) == [[0, 0, 1, 1]]


def test_the_spacing_is_that_of_rows_and_then_of_columns(tmp_path):
    mask = read_lung_mask(write_nifti(tmp_path / "a.nii", LABELS, zooms=(0.25, 0.5)))
    assert mask.spacing.mm == (0.5, 0.25)  # columns are 0.25 mm apart
    assert mask.spacing.source == "NIfTI"


@pytest.mark.parametrize(("zooms", "known"), [((1, 1), None), ((1, 2), (2.0, 1.0)), ((0.5, 0.5), (0.5, 0.5))])
def test_a_spacing_of_1_x_1_is_unknown(tmp_path, zooms, known):
    mask = read_lung_mask(write_nifti(tmp_path / "a.nii", LABELS, zooms=zooms))
    assert (mask.spacing and mask.spacing.mm) == known


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [((4, 3, 2), "4 x 3 x 2"), ((4, 3, 1, 2), "4 x 3 x 1 x 2"), ((1, 4, 3), "1 x 4 x 3"), ((4,), "4")],
)
def test_volumes_of_several_slices_are_rejected(tmp_path, shape, sizes):
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ImageError, match=rf"a\.nii: is a volume of {sizes}$"):
        read_lung_mask(tmp_path / "a.nii")


def test_an_empty_mask_is_read(tmp_path):
    for kind in (np.uint8, np.float64):
        mask = read_lung_mask(write_nifti(tmp_path / "a.nii", np.zeros((3, 2)), kind=kind))
        assert mask.shape == (3, 2)
        assert not mask.lungs.any()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("damage", [lambda c: c[:-3], lambda c: c[:200], lambda _: b"broken", lambda c: b"\0" * len(c)])
def test_broken_files_are_errors_that_name_the_file_and_nothing_in_it(tmp_path, name, damage, capfd):
    content = write_nifti(tmp_path / "b.nii", LABELS).read_bytes()
    damaged = damage(content)
    (tmp_path / name).write_bytes(gzip.compress(damaged) if name.endswith("gz") else damaged)
    with pytest.raises(ImageError, match=rf"{name}: is not readable as NIfTI") as caught:
        read_lung_mask(tmp_path / name)
    assert SECRET not in caught.value.message + caught.value.hint + "".join(capfd.readouterr())


def test_a_damaged_compression_is_an_error(tmp_path):
    content = write_nifti(tmp_path / "a.nii.gz", LABELS).read_bytes()
    for damaged in (content[: len(content) // 2], content[:20] + b"\xff" * 9 + content[29:], b"broken"):
        (tmp_path / "a.nii.gz").write_bytes(damaged)
        with pytest.raises(ImageError, match=r"a\.nii\.gz: is not readable as NIfTI"):
            read_lung_mask(tmp_path / "a.nii.gz")


def test_too_large_an_image_is_rejected_before_memory_is_allocated(tmp_path):
    content = bytearray(write_nifti(tmp_path / "a.nii", LABELS).read_bytes())
    content[42:46] = np.array([30000, 20000], "<i2").tobytes()  # dim[1] and dim[2]
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(ImageError, match=r"30000 x 20000 pixels are more than --max-pixels allows \(100000000\)"):
        read_lung_mask(tmp_path / "a.nii")


def test_max_pixels_is_the_last_size_that_is_read(tmp_path):
    path = write_nifti(tmp_path / "a.nii", LABELS)
    values, _ = read_nifti(path, max_pixels=6)
    assert np.array_equal(values, LABELS)
    with pytest.raises(ImageError, match="2 x 3 pixels are more than --max-pixels"):
        read_nifti(path, max_pixels=5)


def test_without_nibabel_the_extra_to_install_is_named(tmp_path, monkeypatch):
    path = write_nifti(tmp_path / "a.nii", LABELS)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(UsageError, match=r"a\.nii: NIfTI needs nibabel") as caught:
        read_lung_mask(path)
    assert 'pip install "lungmask-cli[nifti]"' in caught.value.hint


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("volume", [False, True])
def test_masks_that_itk_wrote_are_read(tmp_path, name, volume):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray((LABELS[None] if volume else LABELS).astype(np.uint8))
    image.SetSpacing((0.25, 0.5, 3)[: image.GetDimension()])  # columns first
    sitk.WriteImage(image, str(tmp_path / name))
    mask = read_lung_mask(tmp_path / name)
    assert rows_of(mask.right) == [[0, 1], [1, 1], [0, 0]]
    assert rows_of(mask.left) == [[0, 0], [0, 0], [1, 0]]
    assert mask.spacing.mm == (0.5, 0.25)


def test_binary_floats_may_be_a_single_right_lung(tmp_path):
    assert read_lung_mask(write_nifti(tmp_path / "a.nii", LABELS > 0, kind=np.float64)).maybe_labelled


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_rejected(tmp_path, value):
    path = write_nifti(tmp_path / "a.nii", [[0, 1, value]], kind=np.float32)
    with pytest.raises(ImageError, match=r"a\.nii: "):
        read_lung_mask(path)


def test_large_whole_floats_do_not_overflow(tmp_path):
    mask = read_lung_mask(write_nifti(tmp_path / "a.nii", [[0, 1e10]], kind=np.float64))
    assert rows_of(mask.lungs) == [[0, 1]]


def test_whole_floats_above_1_are_not_probabilities(tmp_path):
    path = write_nifti(tmp_path / "a.nii", LABELS, kind=np.float64)
    with pytest.raises(ImageError, match="not probabilities"):
        read_lung_mask(path, MaskOptions(threshold=0.5))


@pytest.mark.parametrize("kind", [[("R", "u1"), ("G", "u1"), ("B", "u1")], np.complex64])
def test_colours_and_complex_numbers_are_rejected(tmp_path, kind):
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3), kind), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ImageError, match=r"a\.nii: "):
        read_lung_mask(tmp_path / "a.nii")


@pytest.mark.parametrize(("kind", "largest"), [(np.int8, 127), (np.int16, 32767)])
def test_probabilities_of_signed_types_are_shares_of_their_largest_value(tmp_path, kind, largest):
    path = write_nifti(tmp_path / "a.nii", [[0, largest // 4, largest // 2 + 1, largest]], kind=kind)
    assert rows_of(read_lung_mask(path, MaskOptions(threshold=0.5)).lungs) == [[0, 0, 1, 1]]


@pytest.mark.parametrize(("unit", "zoom"), [("micron", 200), ("meter", 0.0002)])
def test_the_spacing_is_in_mm_whatever_the_unit_of_the_file(tmp_path, unit, zoom):
    image = nibabel.Nifti1Image(LABELS.T.astype(np.uint8), np.eye(4))
    image.header.set_zooms((zoom, zoom))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    assert read_lung_mask(tmp_path / "a.nii").spacing.mm == pytest.approx((0.2, 0.2))


def test_an_infinite_spacing_is_unknown(tmp_path):
    assert read_lung_mask(write_nifti(tmp_path / "a.nii", LABELS, zooms=(np.inf, 2))).spacing is None


def test_nibabel_prints_nothing_about_odd_headers(tmp_path):
    content = bytearray(write_nifti(tmp_path / "a.nii", LABELS).read_bytes())
    content[254:256] = b"\x63\0"  # sform_code 99
    content[80:84] = np.float32(-0.5).tobytes()  # pixdim[1]
    (tmp_path / "a.nii").write_bytes(content)
    code = "import sys; from pathlib import Path; from lungmask_cli.formats.masks import read_lung_mask\n"
    command = [sys.executable, "-c", f"{code}read_lung_mask(Path(sys.argv[1]))", tmp_path / "a.nii"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_the_spacing_of_the_left_lung_is_used_if_the_right_has_none(tmp_path):
    write_nifti(tmp_path / "r.nii", LABELS > 0)
    write_nifti(tmp_path / "l.nii", LABELS > 0, zooms=(0.25, 0.5))
    assert read_lung_mask_files({RIGHT: tmp_path / "r.nii", LEFT: tmp_path / "l.nii"}).spacing.mm == (0.5, 0.25)

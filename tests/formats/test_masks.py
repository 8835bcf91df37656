import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.mask_values import MaskOptions
from lungmask_cli.formats.masks import read_lung_mask, read_lung_mask_files, read_masks
from lungmask_cli.imaging.radiograph import LEFT, LUNGS, RIGHT
from tests.phantoms import draw_phantom, save_mask

CROSS = np.array([[False, True], [True, False]])


def saved(folder, values, kind=np.uint8, name="mask.png"):
    Image.fromarray(np.asarray(values, kind)).save(folder / name)
    return folder / name


def read_row(folder, *values, kind=np.uint8, name="mask.png", **options):
    """A mask of one row of these values, read back."""
    return read_lung_mask(saved(folder, [values], kind, name), MaskOptions(**options))


@pytest.mark.parametrize(
    ("largest", "kind"), [(1, np.uint8), (255, np.uint8), (1, np.uint16), (255, np.uint16), (65535, np.uint16)]
)
def test_masks_of_any_scale_are_read_alike(tmp_path, largest, kind):
    mask = read_lung_mask(saved(tmp_path, CROSS * largest, kind))
    assert np.array_equal(mask.lungs, CROSS)
    assert mask.right is mask.left is mask.spacing is None
    assert not mask.labelled


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.bmp", "mask.gif"])
def test_masks_in_any_format_are_read_alike(tmp_path, name):
    assert np.array_equal(read_lung_mask(saved(tmp_path, CROSS * 255, name=name)).lungs, CROSS)


def test_a_mask_of_one_bit_is_read(tmp_path):
    Image.fromarray(CROSS).save(tmp_path / "bits.png")
    assert np.array_equal(read_lung_mask(tmp_path / "bits.png").lungs, CROSS)


def test_the_noise_of_jpeg_is_not_lung(tmp_path):
    lungs = draw_phantom(64, 64).lungs
    path = save_mask(tmp_path / "mask.jpg", lungs)
    assert len(np.unique(np.asarray(Image.open(path)))) > 10
    assert np.array_equal(read_lung_mask(path).lungs, lungs)


def test_lung_is_at_least_half_of_the_largest_number(tmp_path):
    assert read_row(tmp_path, 0, 99, 100, 200).lungs.tolist() == [[False, False, True, True]]
    assert read_row(tmp_path, 0, 127, 128, 255).lungs.tolist() == [[False, False, True, True]]


def test_an_all_black_mask_is_empty(tmp_path):
    Image.new("L", (4, 3)).save(tmp_path / "empty.png")
    mask = read_lung_mask(tmp_path / "empty.png")
    assert mask.shape == (3, 4)
    assert not mask.lungs.any()
    for options in (MaskOptions(threshold=0.1), MaskOptions(labels=(1, 2))):
        assert not read_lung_mask(tmp_path / "empty.png", options).lungs.any()


def test_the_labels_1_and_2_are_right_and_left_by_default(tmp_path):
    mask = read_row(tmp_path, 0, 1, 2)
    assert mask.lungs.tolist() == [[False, True, True]]
    assert mask.right is not None
    assert mask.right.tolist() == [[False, True, False]]
    assert mask.left is not None
    assert mask.left.tolist() == [[False, False, True]]
    assert mask.labelled
    assert not mask.maybe_labelled


def test_a_single_left_lung_is_recognised_by_its_label(tmp_path):
    mask = read_row(tmp_path, 0, 2, 2)
    assert mask.left is not None
    assert mask.left.tolist() == [[False, True, True]]
    assert mask.right is not None
    assert not mask.right.any()


@pytest.mark.parametrize(("values", "maybe"), [((0, 1), True), ((0, 0), True), ((0, 255), False)])
def test_a_file_of_only_0_and_1_may_be_a_single_right_lung(tmp_path, values, maybe):
    mask = read_row(tmp_path, *values)
    assert mask.maybe_labelled is maybe
    assert not mask.labelled
    assert mask.right is None


def test_only_the_given_labels_are_lungs(tmp_path):
    mask = read_row(tmp_path, 0, 1, 3, 7, 255, labels=(3, 7))
    assert mask.right is not None
    assert mask.right.tolist() == [[False, False, True, False, False]]
    assert mask.left is not None
    assert mask.left.tolist() == [[False, False, False, True, False]]
    assert mask.lungs.tolist() == [[False, False, True, True, False]]
    assert mask.labelled


def test_exchanged_labels_exchange_the_lungs(tmp_path):
    mask = read_row(tmp_path, 0, 1, 2, labels=(2, 1))
    assert mask.right is not None
    assert mask.right.tolist() == [[False, False, True]]


@pytest.mark.parametrize(
    ("values", "kind"), [((0, 1, 2, 3), np.uint8), ((0, 50, 100), np.uint8), ((0, 300, 9000), np.uint16)]
)
def test_several_small_values_are_ambiguous(tmp_path, values, kind):
    with pytest.raises(ImageError, match=rf"mask\.png: holds several values up to {values[-1]},") as caught:
        read_row(tmp_path, *values, kind=kind)
    assert "--labels" in caught.value.hint
    assert "--threshold" in caught.value.hint


@pytest.mark.parametrize("value", [21, 38, 128, 200])
def test_of_two_values_the_larger_is_lung(tmp_path, value):
    assert read_row(tmp_path, 0, value).lungs.tolist() == [[False, True]]


@pytest.mark.parametrize("value", [3, 10, 20])
def test_a_single_small_value_may_be_the_label_of_another_organ(tmp_path, value):
    with pytest.raises(ImageError, match=f"holds only 0 and {value},") as caught:
        read_row(tmp_path, 0, value)
    assert "--labels" in caught.value.hint
    assert read_row(tmp_path, 0, value, labels=(value, value)).lungs.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("values", "kind", "name"),
    [
        ((0, 50, 51, 255), np.uint8, "mask.png"),  # 0.2 x 255 = 51
        ((0, 13106, 13107, 65535), np.uint16, "mask.png"),  # 0.2 x 65535 = 13107
        ((0, 13106, 13107, 60000), np.uint16, "mask.tif"),
        ((0, 0.19, 0.2, 1), np.float32, "mask.tif"),
        ((0, 0.19, 0.21, 0.4), np.float32, "mask.tif"),
    ],
)
def test_a_probability_equal_to_the_threshold_is_lung(tmp_path, values, kind, name):
    mask = read_row(tmp_path, *values, kind=kind, name=name, threshold=0.2)
    assert mask.lungs.tolist() == [[False, False, True, True]]
    assert not mask.labelled


@given(st.integers(1, 255))
@settings(deadline=None)
def test_each_of_256_probabilities_can_be_the_threshold(tmp_path_factory, number):
    folder = tmp_path_factory.mktemp("each")
    mask = read_row(folder, number - 1, number, 255, threshold=number / 255)
    assert mask.lungs.tolist() == [[False, True, True]]


def test_probabilities_are_shares_of_the_largest_value_of_the_type_not_of_the_file(tmp_path):
    assert read_row(tmp_path, 0, 1, 60, 100, threshold=0.5).lungs.tolist() == [[False] * 4]
    assert read_row(tmp_path, 0, 0.1, 0.4, kind=np.float32, name="mask.tif", threshold=0.5).lungs.tolist() == [
        [False] * 3
    ]


@pytest.mark.parametrize("threshold", [0.01, 0.5, 1])
def test_files_of_zero_and_one_stay_binary_with_a_threshold(tmp_path, threshold):
    assert read_row(tmp_path, 0, 1, threshold=threshold).lungs.tolist() == [[False, True]]


def test_values_are_probabilities_if_there_is_a_threshold(tmp_path):
    mask = read_row(tmp_path, 0, 1, 2, threshold=2 / 255)
    assert mask.lungs.tolist() == [[False, False, True]]
    assert mask.right is None


def test_floating_point_numbers_above_1_are_not_probabilities(tmp_path):
    with pytest.raises(ImageError, match=r"mask\.tif: holds values up to 1\.5, which are not probabilities") as caught:
        read_row(tmp_path, 0, 1.5, kind=np.float32, name="mask.tif", threshold=0.5)
    assert "[0, 1]" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.png", b""),
        ("empty.dcm", b""),
        ("empty.nii.gz", b""),
        ("text.png", b"broken"),
        ("text.tif", b"broken"),
        ("text.dcm", b"broken"),
        ("text.nii", b"broken"),
        ("noname", b"broken"),
        ("head.png", b"\x89PNG\r\n\x1a\n" + bytes(40)),
    ],
)
def test_an_unreadable_file_is_an_error_that_names_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=name):
        read_lung_mask(tmp_path / name)


@pytest.mark.parametrize("name", ["none.png", "none.dcm", "none.nii", "none"])
def test_a_missing_file_is_an_error_that_names_it(tmp_path, name):
    with pytest.raises(ImageError, match=rf"{name}: cannot be read: No such file"):
        read_lung_mask(tmp_path / name)


def test_a_folder_named_like_a_mask_is_an_error(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match=r"folder\.png: cannot be read: Is a directory"):
        read_lung_mask(tmp_path / "folder.png")


def test_a_truncated_picture_is_an_error(tmp_path):
    path = saved(tmp_path, np.random.default_rng(0).integers(0, 255, (40, 40)))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ImageError, match=r"mask\.png: is truncated or damaged"):
        read_lung_mask(path)


def test_masks_larger_than_max_pixels_are_rejected(tmp_path):
    path = saved(tmp_path, np.zeros((3, 4)))
    assert read_lung_mask(path, MaskOptions(max_pixels=12)).shape == (3, 4)
    with pytest.raises(ImageError, match="--max-pixels"):
        read_lung_mask(path, MaskOptions(max_pixels=11))


def test_masks_of_two_sizes_are_an_error_that_names_both(tmp_path):
    Image.new("L", (3, 3)).save(tmp_path / "left.png")
    Image.new("L", (4, 3)).save(tmp_path / "right.png")
    with pytest.raises(ImageError, match=r"left\.png and .*right\.png differ in size: 3 x 3 and 4 x 3"):
        read_masks([tmp_path / "left.png", tmp_path / "right.png"])
    with pytest.raises(ImageError, match=r"right\.png and .*left\.png differ in size: 4 x 3 and 3 x 3"):
        read_lung_mask_files({RIGHT: tmp_path / "right.png", LEFT: tmp_path / "left.png"})


def test_masks_of_one_size_come_in_the_order_of_their_files(tmp_path):
    paths = [save_mask(tmp_path / "a.png", CROSS), save_mask(tmp_path / "b.png", ~CROSS)]
    one, two = read_masks(paths[::-1])
    assert np.array_equal(one, ~CROSS)
    assert np.array_equal(two, CROSS)


def test_a_file_of_both_lungs_is_read_as_it_is(tmp_path):
    mask = read_lung_mask_files({LUNGS: saved(tmp_path, [[0, 1, 2]])})
    assert mask.left is not None
    assert mask.left.tolist() == [[False, False, True]]
    assert mask.labelled


def test_a_file_per_lung_separates_the_lungs(tmp_path):
    right, left = np.array([[True, True, False, False]]), np.array([[False, True, True, False]])
    save_mask(tmp_path / "r.png", right)
    saved(tmp_path, left, name="l.png")  # 0 and 1
    mask = read_lung_mask_files({LEFT: tmp_path / "l.png", RIGHT: tmp_path / "r.png"})
    assert mask.lungs.tolist() == [[True, True, True, False]]
    assert mask.right is not None
    assert np.array_equal(mask.right, right)
    assert mask.left is not None
    assert np.array_equal(mask.left, left)
    assert not mask.labelled


def test_both_files_of_a_pair_are_read_with_the_threshold(tmp_path):
    for name in ("r.png", "l.png"):
        saved(tmp_path, [[0, 50, 51, 255]], name=name)
    mask = read_lung_mask_files({RIGHT: tmp_path / "r.png", LEFT: tmp_path / "l.png"}, MaskOptions(threshold=0.2))
    assert mask.lungs.tolist() == [[False, False, True, True]]


def test_probabilities_of_sixteen_bits_are_shares_of_sixteen_bits_however_small_they_are(tmp_path):
    assert not read_row(tmp_path, 0, 100, 200, kind=np.uint16, threshold=0.5).lungs.any()


def test_values_that_are_not_finite_are_rejected(tmp_path):
    with pytest.raises(ImageError, match=r"mask\.tif: "):
        read_row(tmp_path, 0, np.nan, 1, kind=np.float32, name="mask.tif")


def test_labels_in_a_floating_point_picture_are_labels(tmp_path):
    assert read_row(tmp_path, 0, 1, 2, kind=np.float32, name="mask.tif").labelled


def test_labels_of_a_palette_image_are_its_indices_not_its_colours(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "a.png")
    assert read_lung_mask(tmp_path / "a.png").labelled


def test_a_file_in_which_a_lung_would_be_lost_is_rejected(tmp_path):
    with pytest.raises(ImageError, match="on both sides of half of 255") as caught:
        read_row(tmp_path, 0, 127, 127, 255, 255)
    assert "--labels" in caught.value.hint
    assert read_row(tmp_path, 0, 127, 255, 255, 255).lungs.sum() == 3  # a smoothed edge


def test_binary_masks_stay_binary_with_labels(tmp_path):
    mask = read_row(tmp_path, 0, 255, 255, labels=(3, 7))
    assert mask.lungs.sum() == 2
    assert mask.right is None


def test_files_without_the_given_labels_are_rejected(tmp_path):
    with pytest.raises(ImageError, match="neither the label 3 nor 7"):
        read_row(tmp_path, 0, 1, 2, labels=(3, 7))
    assert not read_row(tmp_path, 0, 0, labels=(3, 7)).lungs.any()

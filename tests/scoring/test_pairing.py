from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.formats.mask_values import MaskOptions
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT
from lungmask_cli.scoring.pairing import OTHER, PREDICTED, TRUTH, find_masks, pair_masks, read_mask_files
from tests.phantoms import save_mask

FULL, EMPTY = np.ones((2, 2), bool), np.zeros((2, 2), bool)
UPPER = np.array([[True, True], [False, False]])


def touch(folder, *names):
    """Creates empty files of these names; pairing does not read them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def mask_paths(folder, *names):
    """The relative paths of the masks in a folder of these files, by key and structure."""
    files = find_masks(touch(folder, *names)).files
    return {
        key: {side: path.relative_to(folder).as_posix() for side, path in sides.items()} for key, sides in files.items()
    }


def pair_folders(*paths):
    """The pairs of a folder of predicted masks, one of reference masks, and perhaps one of a second method."""
    return pair_masks(dict(zip((PREDICTED, TRUTH, OTHER), map(find_masks, paths), strict=False))).pairs


def paired(root, *folders):
    """The key and the relative path in each of two or three folders of these files; None for no file."""
    paths = [touch(root / str(number), *names) for number, names in enumerate(folders)]
    pairs = pair_folders(*paths)
    return [
        (
            pair.key,
            *(
                files[LUNGS].relative_to(path).as_posix() if files else None
                for files, path in zip(pair.files.values(), paths, strict=True)
            ),
        )
        for pair in pairs
    ]


def test_masks_are_found_in_every_format_and_sorted(tmp_path):
    names = ["i.TIFF", "h.nii.gz", "g.nii", "f.dicom", "e.dcm", "d.gif", "c.bmp", "b.JPEG", "a.png", "x/j.NII.GZ"]
    files = mask_paths(tmp_path, *names, "notes.txt", "a.csv", "nosuffix", "a.gz", "k.img")
    assert list(files) == ["a", "b", "c", "d", "e", "f", "g", "h", "i", "x/j"]
    assert files["h"] == {LUNGS: "h.nii.gz"}


def test_masks_of_other_formats_and_folders_are_paired_by_stem(tmp_path):
    pairs = paired(tmp_path, ["sub/a.png", "b.nii.gz"], ["a.gif", "x/y/b.dcm"])
    assert pairs == [("a", "sub/a.png", "a.gif"), ("b", "b.nii.gz", "x/y/b.dcm")]


def test_stems_may_contain_dots(tmp_path):
    assert paired(tmp_path, ["1.2.840.png"], ["1.2.840.nii.gz"]) == [("1.2.840", "1.2.840.png", "1.2.840.nii.gz")]


def test_stems_that_repeat_in_subfolders_are_paired_by_path(tmp_path):
    pairs = paired(tmp_path, ["x/a.png", "y/a.png"], ["x/a.tif", "y/a.tif", "b.png"])
    assert pairs == [("b", None, "b.png"), ("x/a", "x/a.png", "x/a.tif"), ("y/a", "y/a.png", "y/a.tif")]


def test_ambiguous_stems_are_not_paired(tmp_path):
    pairs = paired(tmp_path, ["a.png", "b.png"], ["b.png", "x/a.png", "y/a.png"])
    assert pairs == [
        ("a", "a.png", None),
        ("b", "b.png", "b.png"),
        ("x/a", None, "x/a.png"),
        ("y/a", None, "y/a.png"),
    ]


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [
        (["a.png"], ["x/a.png", "y/a.png"]),
        (["a.png", "b.png"], ["c.png", "d.png"]),
        (["a.png", "b.png"], ["a-1.png", "a-2.png"]),  # two endings are possible
        (["1.png", "2.png"], ["10.png", "20.png"]),  # a digit is no ending
    ],
)
def test_folders_without_a_pair_are_an_error_that_shows_their_names(tmp_path, predicted, truth):
    with pytest.raises(UsageError, match="has the name of one in") as caught:
        paired(tmp_path, predicted, truth)
    assert "The first names are" in caught.value.hint
    assert "zero" not in caught.value.hint


@pytest.mark.parametrize(
    ("predicted", "truth", "note"),
    [
        (["a.png", "b.png"], ["a-lungs2.png", "b-lungs2.png"], "'-lungs2' at the end of the names in {truth}"),
        (["a_0000.png", "b_0000.png"], ["a.png", "b.png"], "'_0000' at the end of the names in {predicted}"),
        (["a.png", "b.png"], ["reader1_a.png", "reader1_b.png"], "'reader1_' at the beginning of the names in {truth}"),
        (["x/a.png"], ["aLungs.png"], "'lungs' at the end of the names in {truth}"),
    ],
)
def test_names_with_one_more_ending_or_beginning_are_paired_and_that_is_said(tmp_path, predicted, truth, note):
    folders = [touch(tmp_path / name, *names) for name, names in (("p", predicted), ("t", truth))]
    result = pair_masks(dict(zip((PREDICTED, TRUTH), map(find_masks, folders), strict=True)))
    assert [len(pair.files[TRUTH]) for pair in result.pairs] == [1] * len(predicted)
    assert result.notes == [f"paired without {note}".format(predicted=tmp_path / "p", truth=tmp_path / "t")]


def test_masks_without_a_partner_are_pairs_without_files_in_one_role(tmp_path):
    assert paired(tmp_path, ["a.png", "b.png"], ["b.png", "c.png"]) == [
        ("a", "a.png", None),
        ("b", "b.png", "b.png"),
        ("c", None, "c.png"),
    ]
    (first, *_) = pair_folders(tmp_path / "0", tmp_path / "1")
    assert first.files[TRUTH] == {}
    assert OTHER not in first.files


def test_a_third_folder_is_paired_too(tmp_path):
    pairs = paired(tmp_path, ["a.png", "b.png"], ["a.png"], ["x/a.gif", "c.png"])
    assert pairs == [("a", "a.png", "a.png", "x/a.gif"), ("b", "b.png", None, None), ("c", None, None, "c.png")]


def test_stems_that_repeat_in_the_third_folder_are_paired_by_path(tmp_path):
    pairs = paired(tmp_path, ["x/a.png"], ["x/a.png"], ["x/a.png", "y/a.png"])
    assert pairs == [("x/a", "x/a.png", "x/a.png", "x/a.png"), ("y/a", None, None, "y/a.png")]


def test_a_mask_is_found_by_its_stem_only_if_that_is_unambiguous(tmp_path):
    masks = find_masks(touch(tmp_path, "x/a.png", "y/a.png", "x/b.png"))
    assert masks.match([Path("y/a.png"), Path("other/b.png"), Path("a.png")]).files == {
        "y/a": {LUNGS: tmp_path / "y" / "a.png"},
        "other/b": {LUNGS: tmp_path / "x" / "b.png"},
    }


def test_masks_are_found_for_radiographs_in_a_folder_of_images(tmp_path):
    masks = find_masks(touch(tmp_path, "train/masks/0_mask.png", "val/masks/0_mask.png"))
    assert masks.match([Path("val/images/0.png")]).files == {
        "val/images/0": {LUNGS: tmp_path / "val" / "masks" / "0_mask.png"}
    }


@pytest.mark.parametrize(
    "ending", ["_mask", "_seg", "_pred", "_label", "_gt", "_MASK", "_Seg", "-mask", ".lung_mask", " Mask"]
)
def test_endings_are_ignored(tmp_path, ending):
    assert paired(tmp_path, ["a.png"], [f"a{ending}.png"]) == [("a", "a.png", f"a{ending}.png")]
    assert find_masks(tmp_path / "1").match([Path("a.png")]).files == {"a": {LUNGS: tmp_path / "1" / f"a{ending}.png"}}


def test_endings_of_compressed_files_are_ignored_too(tmp_path):
    assert mask_paths(tmp_path, "a_seg.nii.gz", "_mask.png", "mask.png", "segment.png") == {
        "a": {LUNGS: "a_seg.nii.gz"},
        "_mask": {LUNGS: "_mask.png"},
        "mask": {LUNGS: "mask.png"},
        "segment": {LUNGS: "segment.png"},
    }


def test_a_radiograph_beside_its_mask_is_skipped(tmp_path):
    files = mask_paths(tmp_path, "a.png", "a_mask.png", "b.dcm", "b_seg.nii.gz", "c.png", "x/a_mask.png")
    assert files == {
        "a": {LUNGS: "a_mask.png"},
        "b": {LUNGS: "b_seg.nii.gz"},
        "c": {LUNGS: "c.png"},
        "x/a": {LUNGS: "x/a_mask.png"},
    }


@pytest.mark.parametrize(
    ("right", "left"),
    [
        ("right_lung", "left_lung"),
        ("right lung", "left lung"),
        ("Right-Lung", "LEFT LUNG"),
        ("rightlung", "leftlung"),
        ("ManualMask/rightMask", "ManualMask/leftMask"),
        ("right_mask", "left_mask"),
        ("right lung mask", "left_lung_mask"),
        ("right", "left"),
    ],
)
def test_folders_of_each_lung_form_one_mask(tmp_path, right, left):
    files = mask_paths(tmp_path, f"{right}/a.png", f"{left}/a.gif", f"{right}/b_mask.png", f"{left}/b.png")
    (a, b) = files.values()
    assert {key.rsplit("/", 1)[-1] for key in files} == {"a", "b"}
    assert a == {RIGHT: f"{right}/a.png", LEFT: f"{left}/a.gif"}
    assert b == {RIGHT: f"{right}/b_mask.png", LEFT: f"{left}/b.png"}


def test_the_table_that_segment_writes_beside_masks_is_not_skipped_with_a_word(tmp_path):
    touch(tmp_path, "a.png", "segment.csv", "segment.json", "notes.csv")
    assert [path.name for path in find_masks(tmp_path).skipped] == ["notes.csv"]


def test_the_folds_of_scr_are_read_with_hearts_and_without_clavicles(tmp_path):
    kinds = ("left lung", "right lung", "heart", "left clavicle", "right clavicle")
    names = [f"fold{fold}/masks/{kind}/JPCLN00{number}.gif" for fold, number in ((1, 1), (2, 2)) for kind in kinds]
    files = mask_paths(tmp_path, *names, "fold1/points/JPCLN001.png")
    assert list(files) == ["fold1/JPCLN001", "fold2/JPCLN002"]
    assert files["fold1/JPCLN001"] == {
        RIGHT: "fold1/masks/right lung/JPCLN001.gif",
        LEFT: "fold1/masks/left lung/JPCLN001.gif",
        HEART: "fold1/masks/heart/JPCLN001.gif",
    }
    predicted = touch(tmp_path / "other", "JPCLN001.png", "JPCLN002.png")
    pairs = pair_folders(predicted, tmp_path / "fold1")
    assert [(pair.key, sorted(pair.files[TRUTH])) for pair in pairs] == [
        ("JPCLN001", [HEART, LEFT, RIGHT]),
        ("JPCLN002", []),
    ]


def test_a_folder_of_one_lung_given_directly_is_read_as_both_lungs(tmp_path):
    assert mask_paths(tmp_path / "left_lung", "a.png") == {"a": {LUNGS: "a.png"}}


def test_both_files_of_a_pair_of_lungs_are_read(tmp_path):
    save_mask(tmp_path / "left_lung" / "a.png", UPPER)
    save_mask(tmp_path / "right_lung" / "a.png", ~UPPER)
    mask = read_mask_files(find_masks(tmp_path).files["a"])
    assert mask.lungs.all()
    assert mask.left is not None
    assert np.array_equal(mask.left, UPPER)
    assert mask.right is not None
    assert np.array_equal(mask.right, ~UPPER)


def test_one_file_is_read_with_the_given_labels(tmp_path):
    Image.fromarray(np.array([[0, 3, 7]], np.uint8)).save(tmp_path / "a.png")
    mask = read_mask_files(find_masks(tmp_path).files["a"], MaskOptions(labels=(3, 7)))
    assert mask.left is not None
    assert mask.left.tolist() == [[False, False, True]]


@pytest.mark.parametrize(("side", "missing"), [("left_lung", "right lung"), ("right_lung", "left lung")])
def test_one_lung_alone_is_not_read_as_both(tmp_path, side, missing):
    for name in ("left_lung/a", "right_lung/a", f"{side}/b"):
        save_mask(tmp_path / f"{name}.png", FULL)
    masks = find_masks(tmp_path)
    assert read_mask_files(masks.files["a"]).lungs.all()
    with pytest.raises(ImageError, match=rf"b\.png: has no partner among the masks of the {missing}"):
        read_mask_files(masks.files["b"])


def test_overlays_and_hidden_files_are_not_masks(tmp_path):
    names = ["overlays/a.png", "overlays/x/b.png", ".hidden.png", ".cache/a.png", "x/.cache/b.png", ".png"]
    assert list(mask_paths(tmp_path, "a.png", *names)) == ["a"]


def test_folders_named_like_masks_are_searched(tmp_path):
    assert mask_paths(tmp_path, "a.png/b.png") == {"a.png/b": {LUNGS: "a.png/b.png"}}


def test_a_folder_without_masks_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        find_masks(tmp_path / "nowhere")
    touch(tmp_path, "notes.txt", "overlays/a.png")
    with pytest.raises(UsageError, match="contains no masks") as caught:
        find_masks(tmp_path)
    assert ".nii.gz" in caught.value.hint
    with pytest.raises(UsageError, match=r"notes\.txt: no such folder"):
        find_masks(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("a.png", "a.bmp"),
        ("a.nii", "a.nii.gz"),
        ("a_mask.png", "a_seg.png"),
        ("left lung/a.png", "left_lung/a.png"),
        ("x/a_mask.png", "x/a_mask.tif"),
    ],
)
def test_two_masks_of_the_same_name_are_an_error_that_names_both(tmp_path, one, two):
    with pytest.raises(UsageError, match="have the same name") as caught:
        find_masks(touch(tmp_path, one, two))
    assert str(tmp_path / one) in caught.value.message
    assert str(tmp_path / two) in caught.value.message


STEMS = st.sets(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=6)


@given(STEMS, STEMS)
@settings(max_examples=50, deadline=None)
def test_each_mask_is_in_one_pair_and_pairs_have_one_stem(tmp_path_factory, predicted, truth):
    root = tmp_path_factory.mktemp("pairs")
    predicted, truth = predicted | {"common"}, truth | {"common"}  # without any pair, there is an error
    pairs = paired(root, [f"{stem}.png" for stem in predicted], [f"x/{stem}_mask.tif" for stem in truth])
    assert [pair[0] for pair in pairs] == sorted(predicted | truth)
    assert {pair[1] for pair in pairs} - {None} == {f"{stem}.png" for stem in predicted}
    assert {pair[2] for pair in pairs} - {None} == {f"x/{stem}_mask.tif" for stem in truth}
    assert all(None not in pair for pair in pairs if pair[0] in predicted & truth)


def test_hearts_belong_to_the_masks_of_their_lungs(tmp_path):
    save_mask(tmp_path / "ward" / "a.png", UPPER)
    save_mask(tmp_path / "heart" / "ward" / "a.png", ~UPPER)
    files = find_masks(tmp_path).files["ward/a"]
    assert set(files) == {LUNGS, HEART}
    mask = read_mask_files(files)
    assert np.array_equal(mask.lungs, UPPER)
    assert np.array_equal(mask.heart, ~UPPER)


def test_hearts_alone_say_how_they_can_be_scored(tmp_path):
    save_mask(tmp_path / "heart" / "a.png", UPPER)
    with pytest.raises(ImageError, match="no partner among the masks of the lungs") as caught:
        read_mask_files(find_masks(tmp_path).files["a"])
    assert "give the folders of hearts" in caught.value.hint
    assert set(find_masks(tmp_path / "heart").files["a"]) == {LUNGS}

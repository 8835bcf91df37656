from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.formats.names import Affix, match_keys, parse_name
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT


@pytest.mark.parametrize(
    ("path", "key", "kind", "side"),
    [
        ("images/a.png", "a", "image", LUNGS),
        ("Images/a", "a", "image", LUNGS),
        ("CXR_png/a.png", "a", "image", LUNGS),
        ("All247images/a.IMG", "a", "image", LUNGS),
        ("x-rays/a.dcm", "a", "image", LUNGS),
        ("MASKS/a_mask.png", "a", "mask", LUNGS),
        ("Ground Truth/a_gt.png", "a", "mask", LUNGS),
        ("lung masks/a.png", "a", "mask", LUNGS),
        ("labelsTr/a.nii.gz", "tr/a", "mask", LUNGS),
        ("ManualMask/leftMask/a.png", "a", "mask", LEFT),
        ("fold1/masks/right lung/a.gif", "fold1/a", "mask", RIGHT),
        ("fold1/masks/heart/a.gif", "fold1/a", "mask", HEART),
        ("hearts/a.png", "a", "mask", HEART),
        ("heart masks/a.png", "a", "mask", HEART),
        ("a_heart.png", "a", "unknown", HEART),
        ("a_heart_mask.png", "a", "unknown", HEART),
        ("masks/left heart/a.png", "a", "other", LUNGS),
        ("Train/COVID-19/infection masks/a.png", "Train/COVID-19/a", "other", LUNGS),
        ("p1/mask.png", "p1", "mask", LUNGS),
        ("p1/Left_Lung.png", "p1", "mask", LEFT),
        ("p1/cxr.dcm", "p1", "image", LUNGS),
        ("p1/1.2.840.10008", "p1/1.2.840.10008", "unknown", LUNGS),
        ("a_left_lung_mask.png", "a", "unknown", LEFT),
        ("mask_a.png", "a", "unknown", LUNGS),
        ("a-mask.png", "a", "unknown", LUNGS),
        ("a_lungs.png", "a", "unknown", LUNGS),
        ("Mask Images/a.png", "a", "mask", LUNGS),
        ("lung_segmentation_masks/a.png", "a", "mask", LUNGS),
        ("masks_right/a.png", "a", "mask", RIGHT),
        ("chest x-ray images/a.png", "a", "image", LUNGS),
        ("a_left.png", "a_left", "unknown", LUNGS),  # perhaps a view
        ("mask.png", "mask", "unknown", LUNGS),
        ("segment.png", "segment", "unknown", LUNGS),
    ],
)
def test_what_a_path_says(path, key, kind, side):
    file = parse_name(Path("data", path), Path("data"))
    assert (file.key, file.kind, file.side) == (key, kind, side)


@pytest.mark.parametrize(
    ("folder", "split"),
    [("train", "train"), ("Training", "train"), ("Val", "val"), ("valid", "val"), ("TEST", "test"), ("ward", "")],
)
def test_folders_that_name_a_split(folder, split):
    assert parse_name(Path(folder, "images", "a.png"), Path()).split == split
    assert parse_name(Path(folder, "clinic", "a.png"), Path()).groups == (("clinic",) if split else (folder, "clinic"))


def test_the_folders_of_nnunet_name_a_split():
    assert parse_name(Path("imagesTr", "a_0000.png"), Path()).split == "train"
    assert parse_name(Path("labelsTs", "a.png"), Path()).split == "test"


@pytest.mark.parametrize(
    ("keys", "others", "partners"),
    [
        (["a", "b"], ["b", "c"], {"b": "b"}),
        (["A.1", "b"], ["a.1"], {"a.1": "A.1"}),
        (["a", "A"], ["a", "A"], {"a": "a", "A": "A"}),
        (["x/a", "y/a"], ["y/a"], {"y/a": "y/a"}),
        (["a"], ["x/a"], {"x/a": "a"}),
        (["a"], ["x/a", "y/a"], {}),
        # A mask of another split or hospital is never taken.
        (["train/5", "val/6"], ["val/5", "train/7"], {}),
        (["h1/1", "h2/2"], ["h1/2_x", "h2/3_x"], {}),
    ],
)
def test_keys_are_matched_only_where_that_is_unambiguous(keys, others, partners):
    matches = match_keys(keys, others)
    assert matches.partners == partners
    assert matches.affix is None


@pytest.mark.parametrize(
    ("keys", "others", "affix"),
    [
        (["a", "b"], ["a_0000", "b_0000"], Affix("_0000", True, True)),
        (["a_0000", "b_0000"], ["a", "b"], Affix("_0000", True, False)),
        (["a", "b", "c"], ["lung-a", "lung-b"], Affix("lung-", False, True)),
        (["alungs", "blungs"], ["x/a", "x/b"], Affix("lungs", True, False)),
    ],
)
def test_one_ending_or_beginning_of_all_names_is_left_out(keys, others, affix):
    matches = match_keys(keys, others)
    assert len(matches.partners) == 2
    assert matches.affix == affix


KEYS = st.lists(st.text("ab1_/", min_size=1, max_size=4), unique=True, max_size=6)


@given(KEYS, KEYS)
def test_no_key_has_two_partners_and_equal_keys_match(keys, others):
    partners = match_keys(keys, others).partners
    assert set(partners) <= set(others)
    assert set(partners.values()) <= set(keys)
    assert len(set(partners.values())) == len(partners)
    assert all(partners[key] == key for key in set(keys) & set(others))

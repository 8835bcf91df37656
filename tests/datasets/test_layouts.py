import shutil

import pytest

from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.errors import UsageError
from tests.phantoms import draw_phantom, save_grey, save_mask, write_jsrt_set, write_plain_set


def test_jsrt_is_paired_with_both_lungs_and_not_the_heart(tmp_path):
    pairing = find_pairs(write_jsrt_set(tmp_path, 3))
    assert [pair.id for pair in pairing.pairs] == ["JPCLN001", "JPCLN002", "JPCLN003"]
    for pair in pairing.pairs:
        assert sorted(path.parent.name for path in pair.masks) == ["left lung", "right lung"]
    assert pairing.unpaired == []


def test_plain_folders_with_sides_are_paired(tmp_path):
    phantom = draw_phantom(32, 32)
    save_grey(tmp_path / "images" / "a.png", phantom.image)
    save_mask(tmp_path / "left_lung" / "a.png", phantom.left)
    save_mask(tmp_path / "right_lung" / "a.png", phantom.right)
    (pair,) = find_pairs(tmp_path).pairs
    assert len(pair.masks) == 2


def write_published_sets(folder):
    """One radiograph of each published layout, as their publishers name the folders."""
    phantom = draw_phantom(32, 32)
    montgomery, shenzhen, merged = folder / "MontgomerySet", folder / "ChinaSet_AllFiles", folder / "Lung Segmentation"
    for name in ("MCUCXR_0001_0", "MCUCXR_0002_1"):
        save_grey(montgomery / "CXR_png" / f"{name}.png", phantom.image)
        save_mask(montgomery / "ManualMask" / "leftMask" / f"{name}.png", phantom.left)
        save_mask(montgomery / "ManualMask" / "rightMask" / f"{name}.png", phantom.right)
    save_grey(shenzhen / "CXR_png" / "CHNCXR_0001_0.png", phantom.image)
    save_mask(shenzhen / "mask" / "CHNCXR_0001_0_mask.png", phantom.lungs)
    for name, mask in (("MCUCXR_0003_0", "MCUCXR_0003_0"), ("CHNCXR_0002_0", "CHNCXR_0002_0_mask")):
        save_grey(merged / "CXR_png" / f"{name}.png", phantom.image)
        save_mask(merged / "masks" / f"{mask}.png", phantom.lungs)
    return folder


@pytest.mark.parametrize(
    ("name", "ids", "masks_each"),
    [
        ("MontgomerySet", ["MCUCXR_0001_0", "MCUCXR_0002_1"], 2),
        ("ChinaSet_AllFiles", ["CHNCXR_0001_0"], 1),
        ("Lung Segmentation", ["CHNCXR_0002_0", "MCUCXR_0003_0"], 1),
    ],
)
def test_published_layouts_are_known(tmp_path, name, ids, masks_each):
    pairing = find_pairs(write_published_sets(tmp_path) / name)
    assert [pair.id for pair in pairing.pairs] == ids
    assert {len(pair.masks) for pair in pairing.pairs} == {masks_each}
    assert pairing.unpaired == []


def test_all_layouts_below_one_folder_become_one_set_with_their_origins(tmp_path):
    write_jsrt_set(write_published_sets(tmp_path), 2)
    pairs = find_pairs(tmp_path).pairs
    origins = {pair.id: pair.origin for pair in pairs}
    assert len(pairs) == 7
    assert origins["JPCLN001"] == "JSRT"
    assert origins["MCUCXR_0003_0"] == "Montgomery"
    assert origins["CHNCXR_0002_0"] == "Shenzhen"


def test_several_folders_become_one_set_with_unique_names(tmp_path):
    pairing = find_pairs(write_plain_set(tmp_path / "ward", 2), write_plain_set(tmp_path / "clinic", 1))
    assert [(pair.id, pair.origin) for pair in pairing.pairs] == [
        ("clinic-p000", "clinic"),
        ("p000", "ward"),
        ("p001", "ward"),
    ]


def test_a_duplicate_radiograph_is_used_once_and_reported(tmp_path):
    write_published_sets(tmp_path)
    shutil.copytree(tmp_path / "MontgomerySet", tmp_path / "copy")
    pairing = find_pairs(tmp_path)
    assert len(pairing.pairs) == 5
    assert len([line for line in pairing.unpaired if "has the same name as" in line]) == 2


def test_circular_links_and_prepared_sets_are_not_searched(lungmask, tmp_path):
    write_plain_set(tmp_path / "set", 2)
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    for _ in range(2):
        done = lungmask("preprocess", tmp_path / "set", "-o", tmp_path / "set" / "prepared", "--size", 32)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        assert "2 pairs from images/ + masks/ " in done.stderr


def test_files_without_a_partner_are_reported(tmp_path):
    write_plain_set(tmp_path, 3)
    (tmp_path / "masks" / "p000.png").unlink()
    (tmp_path / "images" / "p001.png").unlink()
    shutil.copy(tmp_path / "images" / "p002.png", tmp_path / "images" / "p002.bmp")
    pairing = find_pairs(tmp_path)
    assert [pair.id for pair in pairing.pairs] == ["p002"]
    report = "\n".join(pairing.unpaired)
    assert "p000.png: has 0 mask files" in report
    assert "masks/p001.png: has no radiograph" in report
    assert "p002.png: has the same name as" in report


def test_one_lung_is_not_used_as_both(tmp_path):
    write_jsrt_set(tmp_path, 2)
    (tmp_path / "scratch" / "fold1" / "masks" / "left lung" / "JPCLN001.gif").unlink()
    pairing = find_pairs(tmp_path)
    assert [pair.id for pair in pairing.pairs] == ["JPCLN002"]
    assert "has 1 mask file of the same name, not 2" in pairing.unpaired[0]


@pytest.mark.parametrize("prepare", [lambda p: None, lambda p: (p / "images").mkdir()])
def test_an_unknown_layout_is_an_error_that_names_the_known_ones(tmp_path, prepare):
    prepare(tmp_path)
    with pytest.raises(UsageError) as caught:
        find_pairs(tmp_path)
    assert "left_lung/" in caught.value.hint


def test_a_layout_without_a_pair_is_an_error(tmp_path):
    write_plain_set(tmp_path, 1)
    (tmp_path / "masks" / "p000.png").rename(tmp_path / "masks" / "q.png")
    with pytest.raises(UsageError, match="no radiograph has a mask"):
        find_pairs(tmp_path)

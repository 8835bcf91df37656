import shutil

import numpy as np
import pytest

from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.splits import split_by_folders
from lungmask_cli.errors import UsageError
from tests.dicoms import write_dicom
from tests.phantoms import draw_phantom, save_grey, save_mask, write_heart_set, write_jsrt_set, write_plain_set


def test_jsrt_is_paired_with_both_lungs_and_the_heart(tmp_path):
    pairing = find_pairs(write_jsrt_set(tmp_path, 3))
    assert [pair.id for pair in pairing.pairs] == ["JPCLN001", "JPCLN002", "JPCLN003"]
    for pair in pairing.pairs:
        assert sorted(path.parent.name for path in pair.masks) == ["left lung", "right lung"]
        assert pair.heart is not None
        assert (pair.heart.parent.name, pair.heart.stem) == ("heart", pair.id)
    assert pairing.unpaired == []


def test_plain_folders_with_sides_are_paired(tmp_path):
    phantom = draw_phantom(32, 32)
    save_grey(tmp_path / "images" / "a.png", phantom.image)
    save_mask(tmp_path / "left_lung" / "a.png", phantom.left)
    save_mask(tmp_path / "right_lung" / "a.png", phantom.right)
    (pair,) = find_pairs(tmp_path).pairs
    assert len(pair.masks) == 2


def test_hearts_beside_masks_belong_to_their_radiographs(tmp_path):
    write_heart_set(tmp_path / "folders", 3, drawn=2)
    pairs = find_pairs(tmp_path / "folders").pairs
    assert [pair.heart and pair.heart.name for pair in pairs] == ["p000.png", "p001.png", None]
    phantom = draw_phantom(32, 32)
    for name, image in (("a", phantom.image), ("a_mask", phantom.lungs), ("a_heart", phantom.heart)):
        save_grey(tmp_path / "beside" / f"{name}.png", image.astype(np.float32))
    (pair,) = find_pairs(tmp_path / "beside").pairs
    assert [path.name for path in pair.files] == ["a.png", "a_mask.png", "a_heart.png"]


def test_several_hearts_of_one_radiograph_are_reported_and_not_used(tmp_path):
    write_heart_set(tmp_path, 2)
    save_mask(tmp_path / "heart" / "p000.png", draw_phantom(64, 64).heart)
    pairing = find_pairs(tmp_path)
    assert [pair.heart is None for pair in pairing.pairs] == [True, False]
    (sentence,) = pairing.unpaired
    assert "p000.png: has 2 masks of the heart, of which none is used" in sentence


def test_a_heart_alone_is_no_mask_of_the_lungs(tmp_path):
    phantom = draw_phantom(32, 32)
    save_grey(tmp_path / "images" / "a.png", phantom.image)
    save_mask(tmp_path / "hearts" / "a.png", phantom.heart)
    with pytest.raises(UsageError, match="no radiograph has a mask") as caught:
        find_pairs(tmp_path)
    assert "has 0 mask files" in caught.value.hint


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
    pairing = find_pairs(tmp_path)
    assert sorted(pairing.layout.split(" and ")) == [
        "ChinaSet_AllFiles",
        "JSRT + SCR",
        "Lung Segmentation",
        "MontgomerySet",
    ]
    pairs = pairing.pairs
    origins = {pair.id: pair.origin for pair in pairs}
    assert len(pairs) == 7
    assert origins["JPCLN001"] == "JSRT"
    assert origins["MCUCXR_0003_0"] == "Montgomery"
    assert origins["CHNCXR_0002_0"] == "Shenzhen"


def test_several_folders_become_one_set_with_unique_names(tmp_path):
    folders = [write_plain_set(tmp_path / "ward", 2), write_plain_set(tmp_path / "clinic", 1)]
    save_grey(tmp_path / "clinic" / "images" / "p000.png", draw_phantom(64, 64, seed=9).image)
    pairing = find_pairs(*folders)
    assert [(pair.id, pair.origin) for pair in pairing.pairs] == [
        ("clinic-p000", "clinic"),
        ("p001", "ward"),
        ("ward-p000", "ward"),
    ]


def test_a_duplicate_radiograph_is_used_once_and_reported(tmp_path):
    write_published_sets(tmp_path)
    shutil.copytree(tmp_path / "MontgomerySet", tmp_path / "copy")
    pairing = find_pairs(tmp_path)
    assert len(pairing.pairs) == 5
    assert len([line for line in pairing.unpaired if "has the same name and content as" in line]) == 2


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


def write_pair(image, mask, seed=0):
    """A phantom and its mask at these paths."""
    phantom = draw_phantom(32, 32, seed)
    save_grey(image, phantom.image)
    save_mask(mask, phantom.lungs)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("Images/{}.PNG", "MASKS/{}.png"),
        ("img/{}.png", "Ground_Truth/{}_gt.png"),
        ("imgs/{}.jpg", "labels/{}-label.tif"),
        ("cxr/{}.bmp", "segmentations/seg_{}.gif"),
        ("images/{}.png", "lung masks/{}.png"),
        ("imagesTr/{}_0000.png", "labelsTr/{}.png"),
        ("{}.png", "{}_mask.png"),
        ("{}.png", "{}-lungmask.png"),
        ("deep/down/in/folders/{}.png", "deep/down/in/folders/{}_seg.png"),
        ("{}/image.png", "{}/mask.png"),
        ("{}/xray.jpg", "{}/lung_mask.png"),
        ("{}/images/a.png", "{}/masks/a.png"),
        ("radiographs/{}.webp", "masks/{}.png"),
        ("images/{}.jfif.png", "masks/{}.jfif.png"),
        ("data/{}/a.png", "annotations/{}/a.png"),
    ],
)
def test_folders_as_people_have_them_are_paired(tmp_path, image, mask):
    for seed, name in enumerate(["one", "two", "three"]):
        write_pair(tmp_path / image.format(name), tmp_path / mask.format(name), seed)
    pairing = find_pairs(tmp_path)
    assert pairing.unpaired == []
    found = {(pair.image, pair.masks) for pair in pairing.pairs}
    assert found == {
        (tmp_path / image.format(name), (tmp_path / mask.format(name),)) for name in ("one", "two", "three")
    }


def test_dicom_without_a_suffix_is_paired(tmp_path):
    for name in ("1.2.840.1", "1.2.840.2"):
        write_dicom(tmp_path / "images" / name, np.zeros((8, 8), np.uint16))
        save_mask(tmp_path / "masks" / f"{name}.png", np.zeros((8, 8), bool))
    assert [pair.id for pair in find_pairs(tmp_path).pairs] == ["1.2.840.1", "1.2.840.2"]


def test_covid_qu_ex_is_paired_with_lungs_and_not_with_infections(tmp_path):
    for seed, (part, group) in enumerate([("Train", "COVID-19"), ("Train", "Normal"), ("Val", "Normal")]):
        folder = tmp_path / "Lung Segmentation Data" / part / group
        write_pair(folder / "images" / f"x{seed}.png", folder / "lung masks" / f"x{seed}.png", seed)
        save_mask(folder / "infection masks" / f"x{seed}.png", np.zeros((32, 32), bool))
    pairing = find_pairs(tmp_path)
    assert [(pair.id, pair.split, pair.masks[0].parent.name) for pair in pairing.pairs] == [
        ("x0", "train", "lung masks"),
        ("x1", "train", "lung masks"),
        ("x2", "val", "lung masks"),
    ]
    assert pairing.unpaired == []


@pytest.mark.parametrize(
    ("parts", "split"),
    [
        (("train", "val", "test"), {"train": "train", "val": "val", "test": "test"}),
        (("Training", "Validation", "Testing"), {"Training": "train", "Validation": "val", "Testing": "test"}),
    ],
)
def test_folders_of_splits_are_the_split_and_keep_files_of_one_name_apart(tmp_path, parts, split):
    for seed, part in enumerate(parts):
        write_pair(tmp_path / part / "images" / "0.png", tmp_path / part / "masks" / "0.png", seed)
    pairing = find_pairs(tmp_path)
    assert {pair.id: pair.masks[0] for pair in pairing.pairs} == {
        f"{part}-0": tmp_path / part / "masks" / "0.png" for part in parts
    }
    found, method = split_by_folders(list(pairing.folder_split()), pairing.folder_split(), None, seed=0)
    assert found == {f"{part}-0": name for part, name in split.items()}
    assert method == "by folders"


def test_two_hospitals_with_the_same_file_names_are_both_used(tmp_path):
    for seed, hospital in enumerate(["a", "b"]):
        folder = tmp_path / hospital / "train"
        write_pair(folder / "images" / "0001.png", folder / "masks" / "0001.png", seed)
        write_pair(folder / "images" / f"only_{hospital}.png", folder / "masks" / f"only_{hospital}.png", seed + 2)
    pairing = find_pairs(tmp_path)
    assert [(pair.id, pair.origin) for pair in pairing.pairs] == [
        ("a-train-0001", "a"),
        ("b-train-0001", "b"),
        ("only_a", "a"),
        ("only_b", "b"),
    ]
    for pair in pairing.pairs:
        assert pair.image.parent.parent == pair.masks[0].parent.parent


def test_a_mask_of_another_folder_is_not_taken(tmp_path):
    write_pair(tmp_path / "train" / "images" / "0.png", tmp_path / "train" / "masks" / "0.png")
    write_pair(tmp_path / "val" / "images" / "1.png", tmp_path / "val" / "masks" / "1.png", 1)
    save_grey(tmp_path / "train" / "images" / "9.png", draw_phantom(32, 32).image)
    save_mask(tmp_path / "val" / "masks" / "9.png", draw_phantom(32, 32).lungs)
    pairing = find_pairs(tmp_path)
    assert [pair.id for pair in pairing.pairs] == ["0", "1"]
    assert len(pairing.unpaired) == 2


def test_radiographs_and_masks_in_two_folders_are_paired(tmp_path):
    write_jsrt_set(tmp_path, 2)
    pairing = find_pairs(tmp_path / "All247images", tmp_path / "scratch")
    assert [len(pair.masks) for pair in pairing.pairs] == [2, 2]


def test_an_unknown_ending_of_the_masks_is_left_out_and_said(tmp_path):
    for seed, name in enumerate(["a", "b"]):
        write_pair(tmp_path / "images" / f"{name}.png", tmp_path / "masks" / f"{name}_final2.png", seed)
    pairing = find_pairs(tmp_path)
    assert len(pairing.pairs) == 2
    assert pairing.layout == "images/ + masks/, paired without '_final2' at the end of the names in masks"


def test_files_of_other_kinds_are_counted(tmp_path):
    write_plain_set(tmp_path, 1)
    (tmp_path / "images" / "notes.txt").write_text("x")
    (tmp_path / "masks" / "a.npy").write_bytes(b"x")
    assert sorted(path.name for path in find_pairs(tmp_path).skipped) == ["a.npy", "notes.txt"]

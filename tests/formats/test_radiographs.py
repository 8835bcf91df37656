import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.formats.find import find_images
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.formats.radiographs import read_radiograph, read_spacing
from tests.dicoms import write_dicom
from tests.phantoms import draw_phantom, save_grey, save_mask

ROOT = Path(__file__).parents[2]
STORED = np.array([[0, 100], [200, 300]], np.uint16)


def test_dicom_is_recognised_by_content(tmp_path):
    assert read_radiograph(write_dicom(tmp_path / "noname", STORED)).shape == (2, 2)
    assert read_radiograph(write_dicom(tmp_path / "wrong.png", STORED)).shape == (2, 2)


def test_each_broken_file_is_one_error_that_names_it(tmp_path):
    good = save_grey(tmp_path / "good.png", draw_phantom().image)
    (tmp_path / "truncated.png").write_bytes(good.read_bytes()[:2000])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "short.IMG").write_bytes(bytes(17))
    (tmp_path / "junk.dcm").write_text("junk")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    broken = [path for path in tmp_path.iterdir() if path != good]
    assert len(broken) == 6
    for path in broken:
        with pytest.raises(ImageError, match=path.name):
            read_radiograph(path)


def test_a_short_fuzz_run_finds_nothing():
    # A separate process, because the memory of this one is used by other tests, too.
    command = [sys.executable, "-m", "tests.fuzz", "--count", "600", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    counts = [int(number) for number in re.findall(r"': (\d+)", done.stdout)]
    assert sum(counts) == 600
    assert min(counts) > 50


def test_folders_are_searched_and_relative_paths_kept(tmp_path):
    image = draw_phantom().image
    for name in ("b.png", "sub/a.JPG", ".hidden.png", ".git/c.png", "out/mask.png"):
        save_grey(tmp_path / name, image)
    (tmp_path / "notes.txt").write_text("x")
    write_dicom(tmp_path / "sub" / "IM0001", STORED)
    images = find_images([tmp_path], exclude=tmp_path / "out")
    assert [str(relative) for _, relative in images] == ["b.png", "sub/IM0001", "sub/a.JPG"]


def test_names_with_dots_and_a_dicomdir_are_recognised(tmp_path):
    write_dicom(tmp_path / "DICOM" / "1.2.840.113619.2.134.252", STORED)
    write_dicom(tmp_path / "DICOM" / "IM0002", STORED)
    write_dicom(tmp_path / "DICOMDIR", STORED)
    (tmp_path / "AUTORUN.INF").write_text("open=viewer.exe" * 20)
    for start in (tmp_path, tmp_path / "DICOMDIR"):
        assert [str(relative) for _, relative in find_images([start])] == [
            "DICOM/1.2.840.113619.2.134.252",
            "DICOM/IM0002",
        ]


def test_links_to_folders_are_followed_but_not_in_cycles(tmp_path):
    save_grey(tmp_path / "elsewhere" / "b.png", draw_phantom().image)
    save_grey(tmp_path / "in" / "a.png", draw_phantom().image)
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "self.png").symlink_to("self.png")
    images = find_images([tmp_path / "in"], exclude=tmp_path / "out")
    assert [str(relative) for _, relative in images] == ["a.png", "linked/b.png", "self.png"]
    with pytest.raises(ImageError, match=r"self\.png: cannot be read: Too many levels of symbolic links"):
        read_radiograph(tmp_path / "in" / "self.png")


def test_files_named_twice_are_taken_once(tmp_path):
    path = save_grey(tmp_path / "a.png", draw_phantom().image)
    assert len(find_images([tmp_path, path])) == 1


def test_an_input_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        find_images([tmp_path / "nowhere"])


def test_values_that_are_not_finite_are_rejected(tmp_path):
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "nan.tif")
    with pytest.raises(ImageError, match=r"nan\.tif: holds values that are not finite numbers"):
        read_radiograph(tmp_path / "nan.tif")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_reported(tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    ((path, _),) = find_images([tmp_path])
    with pytest.raises(ImageError, match="locked: cannot be read: Permission denied"):
        read_radiograph(path)


@pytest.mark.parametrize("name", ["a.dcm", "a.IMG", "a.dicom", "a.tif"])
def test_a_picture_with_a_misleading_suffix_is_read(tmp_path, name):
    save_grey(tmp_path / "a.png", draw_phantom(40, 30).image).rename(tmp_path / name)
    assert read_radiograph(tmp_path / name).shape == (40, 30)
    save_mask(tmp_path / "b.png", draw_phantom(40, 30).lungs).rename(tmp_path / name)
    assert np.array_equal(read_lung_mask(tmp_path / name).lungs, draw_phantom(40, 30).lungs)


@pytest.mark.parametrize("name", ["a.png", "a.img", "a.jpg"])
def test_dicom_with_a_misleading_suffix_is_read(tmp_path, name):
    write_dicom(tmp_path / name, STORED, PixelSpacing=[0.2, 0.3])
    assert np.array_equal(read_radiograph(tmp_path / name).pixels, STORED)
    assert read_spacing(tmp_path / name)[1].mm == (0.2, 0.3)

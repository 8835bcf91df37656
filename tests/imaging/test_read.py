import contextlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.imaging.read import find_images, read_radiograph
from tests.dicoms import write_dicom
from tests.phantoms import draw_phantom, save_grey


def test_dicom_is_known_by_its_content(tmp_path):
    assert read_radiograph(write_dicom(tmp_path / "noname")).shape == (2, 2)
    assert read_radiograph(write_dicom(tmp_path / "wrong.png")).shape == (2, 2)


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


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_damaged_bytes_never_raise_anything_else(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    make = data.draw(st.sampled_from([lambda p: save_grey(p, draw_phantom(32, 32).image), write_dicom]))
    path = make(folder / "x.png")
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(132, len(content) - 1), min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with contextlib.suppress(ImageError):
        assert read_radiograph(path).pixels.ndim == 2


def test_folders_are_searched_through_and_trees_kept(tmp_path):
    image = draw_phantom().image
    for name in ("b.png", "sub/a.JPG", ".hidden.png", ".git/c.png", "out/mask.png"):
        save_grey(tmp_path / name, image)
    (tmp_path / "notes.txt").write_text("x")
    write_dicom(tmp_path / "sub" / "IM0001")
    found = find_images([tmp_path], outside=tmp_path / "out")
    assert [str(relative) for _, relative in found] == ["b.png", "sub/IM0001", "sub/a.JPG"]


def test_files_named_twice_are_taken_once(tmp_path):
    path = save_grey(tmp_path / "a.png", draw_phantom().image)
    assert len(find_images([tmp_path, path])) == 1


def test_an_input_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        find_images([tmp_path / "nowhere"])


def test_values_that_are_no_numbers_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "nan.tif")
    with pytest.raises(ImageError, match=r"nan\.tif: holds values that are no numbers"):
        read_radiograph(tmp_path / "nan.tif")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_reported(tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    ((path, _),) = find_images([tmp_path])
    with pytest.raises(ImageError, match="locked: cannot be read: Permission denied"):
        read_radiograph(path)

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lungmask_cli.files import atomic_write, csv_text, json_text, write_text
from lungmask_cli.formats.mask_values import MaskOptions
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.formats.png import write_grey16, write_labels, write_mask
from lungmask_cli.imaging.overlay import draw_overlay
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS
from tests.phantoms import draw_phantom


def test_a_failed_write_leaves_the_old_file_and_no_temporary_file(tmp_path):
    write_text(tmp_path / "a.txt", "old")

    def fail() -> None:
        with atomic_write(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


@given(st.recursive(st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_every_document_becomes_valid_json(document):
    json.loads(json_text(document), parse_constant=pytest.fail)


def test_undefined_numbers_are_null_and_empty_cells():
    numbers = {"a": math.nan, "b": [math.inf, (-math.inf, np.float64("nan"))], "c": 0.5}
    assert json.loads(json_text(numbers)) == {"a": None, "b": ["inf", ["-inf", None]], "c": 0.5}
    assert csv_text(("a", "b", "c"), [(math.nan, math.inf, 0.5)]) == "a,b,c\n,inf,0.5\n"


def test_masks_are_written_as_0_and_255(tmp_path):
    mask = np.array([[True, False]])
    write_mask(tmp_path / "new" / "m.png", mask)
    with Image.open(tmp_path / "new" / "m.png") as picture:
        assert picture.mode == "L"
        assert np.asarray(picture).tolist() == [[255, 0]]


def test_labels_are_1_for_the_right_and_2_for_the_left_lung(tmp_path):
    right, left = np.array([[True, False, False]]), np.array([[False, False, True]])
    write_labels(tmp_path / "new" / "m.png", right, left)
    with Image.open(tmp_path / "new" / "m.png") as picture:
        assert picture.mode == "L"
        assert np.asarray(picture).tolist() == [[1, 0, 2]]


def test_labels_are_read_back_as_two_lungs(tmp_path):
    phantom = draw_phantom(40, 50)
    write_labels(tmp_path / "m.png", phantom.right, phantom.left)
    mask = read_lung_mask(tmp_path / "m.png")
    assert mask.labelled
    assert np.array_equal(mask.right, phantom.right)
    assert np.array_equal(mask.left, phantom.left)


@pytest.mark.parametrize("side", ["right", "left", "none"])
def test_a_single_lung_is_read_back_with_given_labels(tmp_path, side):
    phantom = draw_phantom(40, 50)
    right, left = phantom.right & (side == "right"), phantom.left & (side == "left")
    write_labels(tmp_path / "m.png", right, left)
    mask = read_lung_mask(tmp_path / "m.png", MaskOptions(labels=DEFAULT_LABELS))
    assert np.array_equal(mask.right, right)
    assert np.array_equal(mask.left, left)


def test_the_overlay_outlines_the_mask_and_leaves_the_rest_grey():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    overlay = np.asarray(draw_overlay(np.full((20, 20), 0.5, np.float32), mask))
    assert tuple(overlay[5, 5]) == (64, 200, 255)
    assert tuple(overlay[0, 0]) == (127, 127, 127)
    assert overlay[10, 10, 2] > overlay[10, 10, 0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (257, 3), (64, 65)])
def test_grey_files_are_read_back_as_they_were_written(tmp_path, shape):
    random = np.random.default_rng(0)
    mask, image = random.random(shape) > 0.5, random.random(shape).astype(np.float32)
    write_mask(tmp_path / "mask.png", mask)
    write_grey16(tmp_path / "image.png", image)
    with Image.open(tmp_path / "mask.png") as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.asarray(picture), mask * np.uint8(255))
    with Image.open(tmp_path / "image.png") as picture:
        assert np.array_equal(np.asarray(picture), np.round(image * 65535))

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lungmask_cli.scoring.overlap import overlap

masks = arrays(bool, (5, 7))


def test_two_pixels_by_hand():
    result = overlap(np.array([[True, True, False]]), np.array([[False, True, True]]))
    assert result.dice == 0.5  # 2 x 1 / (2 + 2)
    assert result.iou == pytest.approx(1 / 3)


def test_one_empty_mask_is_0_and_two_are_undefined():
    full, empty = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    assert overlap(full, empty).dice == overlap(empty, full).iou == 0
    assert math.isnan(overlap(empty, empty).dice)
    assert math.isnan(overlap(empty, empty).iou)


@given(masks, masks)
def test_dice_and_iou_are_symmetric_and_belong_together(one, two):
    there, back = overlap(one, two), overlap(two, one)
    if one.any() or two.any():
        assert there == back
        assert there.dice == pytest.approx(2 * there.iou / (1 + there.iou))


@given(masks.filter(np.any))
def test_a_mask_agrees_with_itself(mask):
    assert overlap(mask, mask).dice == 1


@given(masks, st.integers(0, 6))
def test_other_shapes_are_refused(mask, width):
    with pytest.raises(ValueError, match="cannot be compared"):
        overlap(mask, np.zeros((5, width), bool))

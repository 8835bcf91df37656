import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lungmask_cli.scoring.overlap import overlap

masks = arrays(bool, (5, 7))


def test_four_pixels_computed_by_hand():
    result = overlap(np.array([[True, True, True, False]]), np.array([[False, True, True, True]]))
    assert (result.predicted, result.truth, result.intersection) == (3, 3, 2)
    assert result.dice == 2 / 3  # 2 x 2 / (3 + 3)
    assert result.iou == 0.5
    assert (result.over_segmented, result.under_segmented) == (1, 1)


def test_sensitivity_refers_to_the_reference_and_precision_to_the_prediction():
    result = overlap(np.array([[True, False, False, False]]), np.array([[True, True, True, True]]))
    assert result.sensitivity == 0.25
    assert result.precision == 1


def test_dice_is_0_for_one_empty_mask_and_undefined_for_two():
    full, empty = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    assert overlap(full, empty).dice == overlap(empty, full).iou == 0
    assert math.isnan(overlap(empty, empty).dice)
    assert math.isnan(overlap(empty, empty).iou)


def test_sensitivity_and_precision_are_undefined_without_a_denominator():
    full, empty = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    assert math.isnan(overlap(full, empty).sensitivity)
    assert overlap(full, empty).precision == 0
    assert math.isnan(overlap(empty, full).precision)
    assert overlap(empty, full).sensitivity == 0


@given(masks, masks)
def test_dice_and_iou_are_symmetric_and_follow_from_each_other(one, two):
    there, back = overlap(one, two), overlap(two, one)
    if one.any() or two.any():
        assert (there.dice, there.iou) == (back.dice, back.iou)
        assert there.dice == pytest.approx(2 * there.iou / (1 + there.iou))


@given(masks.filter(np.any), masks.filter(np.any))
def test_dice_is_the_harmonic_mean_of_sensitivity_and_precision(predicted, truth):
    result = overlap(predicted, truth)
    if result.intersection:
        assert result.dice == pytest.approx(2 / (1 / result.sensitivity + 1 / result.precision))


@given(masks.filter(np.any))
def test_a_mask_has_dice_1_with_itself(mask):
    assert overlap(mask, mask).dice == 1


@given(masks, st.integers(0, 6))
def test_different_shapes_are_refused(mask, width):
    with pytest.raises(ValueError, match="cannot be compared"):
        overlap(mask, np.zeros((5, width), bool))

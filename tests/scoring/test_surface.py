import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from lungmask_cli.scoring.surface import _boundary_length, boundary, raggedness, surface_distances

masks = arrays(bool, (9, 12))
EMPTY = np.zeros((4, 4), bool)


def pixel(row, column, shape=(5, 5)):
    mask = np.zeros(shape, bool)
    mask[row, column] = True
    return mask


def test_two_pixels_computed_by_hand():
    distances = surface_distances(pixel(0, 0), pixel(3, 4))
    assert distances.hd == distances.hd95 == distances.assd == 5


def test_spacing_is_of_rows_first():
    distances = surface_distances(pixel(0, 0), pixel(3, 4), spacing=(2.0, 0.5))
    assert distances.hd == pytest.approx(math.hypot(3 * 2.0, 4 * 0.5))


def test_the_boundary_has_a_neighbour_outside_the_mask_or_the_image():
    square = np.zeros((5, 6), bool)
    square[1:4, 1:4] = True
    assert [2, 2] not in boundary(square).tolist()
    assert len(boundary(square)) == 8
    assert len(boundary(np.ones((3, 3), bool))) == 8  # all but the middle: the image ends there


def test_a_diagonal_neighbour_outside_does_not_make_a_boundary():
    mask = np.ones((5, 5), bool)
    mask[0, 0] = False
    assert [1, 1] not in boundary(mask).tolist()


def test_hd95_is_the_larger_percentile_of_the_two_directions():
    # A row of 20 pixels and its first pixel: the distances are 0 to 19 in one direction and 0 in the other.
    row, first = np.ones((1, 20), bool), np.eye(1, 20, dtype=bool)
    distances = surface_distances(row, first)
    assert sorted(distances.from_predicted) == list(range(20))
    assert distances.from_truth.tolist() == [0]
    assert distances.hd95 == pytest.approx(0.95 * 19)
    assert surface_distances(first, row).hd95 == pytest.approx(0.95 * 19)
    assert distances.hd == 19
    assert distances.assd == pytest.approx(sum(range(20)) / 21)


def test_nsd_counts_distances_equal_to_the_tolerance():
    row, first = np.ones((1, 20), bool), np.eye(1, 20, dtype=bool)
    distances = surface_distances(row, first)
    assert distances.nsd(2) == pytest.approx((3 + 1) / 21)
    assert distances.nsd(1.999) == pytest.approx((2 + 1) / 21)
    assert distances.nsd(19) == 1


@pytest.mark.parametrize(("spacing", "pixels"), [(0.1, 20), (0.2, 10), (0.4, 5)])
def test_two_mm_are_within_two_mm_everywhere_in_the_image(spacing, pixels):
    for row in range(60):
        one, other = np.zeros((100, 3), bool), np.zeros((100, 3), bool)
        one[row], other[row + pixels] = True, True
        assert surface_distances(one, other, (spacing, spacing)).nsd(2.0) == 1


def test_distances_are_infinite_for_one_empty_mask_and_undefined_for_two():
    for distances in (surface_distances(EMPTY, ~EMPTY), surface_distances(~EMPTY, EMPTY)):
        assert distances.hd == distances.hd95 == distances.assd == math.inf
        assert distances.nsd(100) == 0
    nothing = surface_distances(EMPTY, EMPTY)
    assert all(math.isnan(value) for value in (nothing.hd, nothing.hd95, nothing.assd, nothing.nsd(2)))


@given(masks)
def test_the_boundary_is_what_an_erosion_removes(mask):
    expected = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    assert sorted(boundary(mask).tolist()) == expected.tolist()


@given(masks.filter(np.any), masks.filter(np.any), st.floats(0.1, 5), st.floats(0.1, 5))
def test_distances_equal_those_of_a_distance_map(predicted, truth, rows, columns):
    edge = np.zeros_like(truth)
    edge[tuple(boundary(truth).T)] = True
    expected = ndimage.distance_transform_edt(~edge, sampling=(rows, columns))[tuple(boundary(predicted).T)]
    assert surface_distances(predicted, truth, (rows, columns)).from_predicted == pytest.approx(expected, rel=1e-12)


@given(masks.filter(np.any), masks.filter(np.any))
def test_the_metrics_are_symmetric_and_in_order(one, two):
    there, back = surface_distances(one, two), surface_distances(two, one)
    assert (there.hd, there.hd95, there.nsd(1)) == (back.hd, back.hd95, back.nsd(1))
    assert there.assd == pytest.approx(back.assd)
    assert there.hd95 <= there.hd
    assert there.assd <= there.hd


@given(masks.filter(np.any))
def test_a_mask_has_distance_0_to_itself(mask):
    distances = surface_distances(mask, mask)
    assert distances.hd == distances.assd == 0
    assert distances.nsd(0) == 1


def disc(size):
    rows, columns = np.ogrid[:size, :size]
    middle = (size - 1) / 2
    return (rows - middle) ** 2 + (columns - middle) ** 2 < (0.4 * size) ** 2


def test_a_disc_is_not_ragged_and_teeth_are():
    assert raggedness(disc(200)) == pytest.approx(0, abs=0.005)
    toothed = disc(200)
    toothed[:100][:, ::4] = False  # the upper half consists of lines of three pixels
    toothed[60:100] = disc(200)[60:100]
    assert raggedness(toothed) > 0.5


def test_the_boundary_of_a_single_pixel_computed_by_hand():
    assert _boundary_length(pixel(2, 2)) == pytest.approx(math.pi / 8 * (4 + 4 / math.sqrt(2)))
    assert raggedness(pixel(2, 2)) == 0  # a Gaussian of 0.03 pixels changes nothing


@given(masks, st.integers(0, 3), st.booleans())
def test_raggedness_does_not_depend_on_position_or_orientation(mask, turns, mirrored):
    moved = np.rot90(np.pad(mask, ((0, 3), (2, 0))), turns)
    moved = moved[:, ::-1] if mirrored else moved
    assert raggedness(moved) == pytest.approx(raggedness(mask), nan_ok=True)


@pytest.mark.parametrize("size", [100, 200, 400])
def test_raggedness_does_not_depend_on_the_resolution(size):
    crescent = disc(size) & ~np.roll(disc(size), size // 2, 1)
    assert raggedness(crescent) == pytest.approx(0.025, abs=0.01)


def test_the_raggedness_of_an_empty_mask_is_undefined():
    assert math.isnan(raggedness(EMPTY))

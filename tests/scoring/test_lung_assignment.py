import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lungmask_cli.scoring.surface import assign_to_lungs

FULL, EMPTY = np.ones((1, 7), bool), np.zeros((1, 7), bool)


def at(*columns):
    """A row of seven pixels in which these are set."""
    mask = EMPTY.copy()
    mask[0, list(columns)] = True
    return mask


def columns_of(masks):
    return [np.flatnonzero(mask).tolist() for mask in masks]


def test_each_pixel_belongs_to_the_nearest_lung():
    assert columns_of(assign_to_lungs(FULL, at(0, 1), at(6))) == [[0, 1, 2, 3], [4, 5, 6]]


def test_a_pixel_at_equal_distance_belongs_to_the_right_lung():
    assert columns_of(assign_to_lungs(FULL, at(0), at(6))) == [[0, 1, 2, 3], [4, 5, 6]]
    assert columns_of(assign_to_lungs(FULL, at(6), at(0))) == [[3, 4, 5, 6], [0, 1, 2]]


def test_pixels_outside_the_mask_are_in_neither_result():
    assert columns_of(assign_to_lungs(at(1, 5), at(0, 1, 2), at(4, 5, 6))) == [[1], [5]]


def test_pixels_inside_both_lungs_are_in_both_results():
    assert columns_of(assign_to_lungs(FULL, at(0, 1, 2, 3), at(3, 4))) == [[0, 1, 2, 3], [3, 4, 5, 6]]


def test_the_inside_of_a_lung_belongs_to_it_even_if_the_other_boundary_is_nearer():
    right = np.zeros((5, 5), bool)
    right[:, :4] = True
    left = np.zeros((5, 5), bool)
    left[2, 4] = True
    one, other = assign_to_lungs(np.ones((5, 5), bool), right, left)
    assert one[2, 3]
    assert not other[2, 3]
    assert other[1:4, 4].tolist() == [False, True, False]  # at equal distance


def test_if_one_lung_is_empty_all_pixels_belong_to_the_other():
    assert columns_of(assign_to_lungs(at(2, 5), at(0), EMPTY)) == [[2, 5], []]
    assert columns_of(assign_to_lungs(at(2, 5), EMPTY, at(0))) == [[], [2, 5]]


def test_if_both_lungs_are_empty_no_pixel_is_lost():
    one, other = assign_to_lungs(at(2, 5), EMPTY, EMPTY)
    assert np.array_equal(one | other, at(2, 5))


def test_an_empty_mask_gives_two_empty_masks():
    assert columns_of(assign_to_lungs(EMPTY, at(0), at(6))) == [[], []]


def test_distances_use_the_spacing():
    right, left, mask = (np.zeros((4, 4), bool) for _ in range(3))
    right[0, 0], left[3, 2], mask[0, 2] = True, True, True  # two columns from right, three rows from left
    assert assign_to_lungs(mask, right, left)[0].any()
    assert assign_to_lungs(mask, right, left, (1, 2))[1].any()  # 4 mm and 3 mm
    assert assign_to_lungs(mask, right, left, (1.5, 2))[0].any()  # 4 mm and 4.5 mm


def test_the_input_masks_are_not_changed():
    mask, right, left = at(1, 2, 4), at(0, 1), at(5)
    assign_to_lungs(mask, right, left)
    assert columns_of([mask, right, left]) == [[1, 2, 4], [0, 1], [5]]


@st.composite
def three_masks(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=8))
    return [draw(arrays(bool, shape)) for _ in range(3)]


@given(three_masks(), st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)))
@settings(deadline=None)
def test_the_results_cover_the_mask_and_overlap_only_where_the_lungs_do(masks, spacing):
    mask, right, left = masks
    one, other = assign_to_lungs(mask, right, left, spacing)
    assert np.array_equal(one | other, mask)
    if right.any() and left.any():
        assert np.array_equal(one & other, mask & right & left)
        assert not (one & left & ~right).any()
        assert not (other & right & ~left).any()


@given(three_masks(), st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)))
@settings(deadline=None)
def test_no_pixel_is_nearer_to_the_other_lung(masks, spacing):
    mask, right, left = masks
    assume(right.any() and left.any())

    def distance(pixel, lung):
        return np.hypot(*((np.argwhere(lung) - pixel) * spacing).T).min()

    one, other = assign_to_lungs(mask, right, left, spacing)
    assert all(distance(pixel, right) <= distance(pixel, left) + 1e-9 for pixel in np.argwhere(one))
    assert all(distance(pixel, left) <= distance(pixel, right) + 1e-9 for pixel in np.argwhere(other))

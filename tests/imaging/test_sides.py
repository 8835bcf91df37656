import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from lungmask_cli.imaging.sides import split_sides
from tests.phantoms import draw_phantom

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


def blank(height=60, width=80):
    return np.zeros((height, width), bool)


def disc(row, column, radius, height=60, width=80):
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - row, x - column) <= radius


def assert_split(right, left):
    sides = split_sides(right | left)
    assert np.array_equal(sides[0], right)
    assert np.array_equal(sides[1], left)


@given(mask=MASKS)
def test_the_sides_are_disjoint_and_their_union_is_the_mask(mask):
    right, left = split_sides(mask)
    assert right.shape == left.shape == mask.shape
    assert right.dtype == left.dtype == bool
    assert not (right & left).any()
    assert np.array_equal(right | left, mask)


def assert_mirrored(mask):
    assume(
        np.nonzero(mask)[1].sum() * 2 != np.count_nonzero(mask) * (mask.shape[1] - 1)
    )  # perfectly centred masks have no side
    right, left = split_sides(mask)
    mirrored = split_sides(mask[:, ::-1])
    assert np.array_equal(mirrored[0][:, ::-1], left)
    assert np.array_equal(mirrored[1][:, ::-1], right)


@given(mask=MASKS)
def test_mirroring_any_mask_exchanges_its_sides(mask):
    assert_mirrored(mask)


@given(
    discs=st.lists(st.tuples(st.integers(5, 54), st.integers(5, 74), st.integers(2, 20)), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_mirroring_lungs_exchanges_their_sides(discs, seed):
    mask = np.logical_or.reduce([disc(*each) for each in discs])
    assert_mirrored(mask & (np.random.default_rng(seed).random(mask.shape) < 0.8))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [64, 700])
def test_separate_lungs_are_separated_to_the_pixel(seed, size):
    phantom = draw_phantom(size, size + 50, seed)
    assert_split(phantom.right, phantom.left)


def test_lungs_that_overlap_in_columns_without_touching_stay_whole():
    right, left = blank(), blank()
    right[5:50, 10:30] = True
    right[45:50, 10:45] = True  # below the left lung, which begins at column 36
    left[5:43, 36:70] = True
    assert_split(right, left)


def test_both_lungs_in_one_half_of_the_image_are_separated():
    assert_split(disc(30, 10, 8), disc(30, 30, 8))


def test_small_components_belong_to_the_nearer_lung():
    right, left = disc(30, 18, 12), disc(30, 60, 14)
    right |= disc(30, 34, 1) | disc(5, 20, 2) | disc(50, 2, 1)
    left |= disc(30, 43, 1) | disc(56, 70, 1)
    assert_split(right, left)


def test_small_components_belong_to_the_nearer_lung_in_large_images_too():
    right, left = disc(600, 300, 200, 1200, 1500), disc(600, 1100, 250, 1200, 1500)
    right |= disc(600, 600, 20, 1200, 1500)  # nearer to the left lung's centroid than to its edge
    left |= disc(1000, 800, 20, 1200, 1500)
    assert_split(right, left)


def test_a_lung_of_two_large_components_is_one_lung():
    upper, lower = disc(14, 20, 10), disc(42, 18, 12)
    assert_split(upper | lower, disc(30, 60, 15))


def test_a_narrow_bridge_is_cut():
    right, left, bridge = disc(28, 20, 15), disc(32, 60, 13), blank()
    bridge[30:32, 20:60] = True
    mask = right | left | bridge
    found_right, found_left = split_sides(mask)
    assert not (found_right & left).any()
    assert not (found_left & right).any()
    edge = ndimage.binary_dilation(found_right) & found_left
    assert np.count_nonzero(edge) == 2  # straight through the bridge


def test_a_long_bridge_is_cut_in_the_middle_between_the_lungs():
    right, left, bridge = disc(28, 16, 14), disc(32, 64, 14), blank()
    bridge[30:32, 20:60] = True
    found_right, found_left = split_sides(right | left | bridge)
    assert abs(np.flatnonzero(found_right[30]).max() - 39.5) <= 3
    assert abs(np.flatnonzero(found_left[30]).min() - 40.5) <= 3


def test_a_bridge_is_cut_in_spite_of_specks():
    right, left, bridge = disc(28, 20, 15), disc(32, 60, 13), blank()
    bridge[30:32, 20:60] = True
    specks = disc(55, 2, 1) | disc(55, 78, 1)
    found_right, found_left = split_sides(right | left | bridge | specks)
    assert not (found_right & left).any()
    assert not (found_left & right).any()
    assert found_right[55, 2]
    assert found_left[55, 78]


def test_a_part_below_the_other_lung_returns_to_its_own_when_the_bridge_is_cut():
    right, left, bridge = blank(), blank(), blank()
    right[5:50, 5:33] = True
    right[47:50, 5:60] = True
    left[5:45, 40:75] = True
    bridge[20, 33:40] = True
    found_right, found_left = split_sides(right | left | bridge)
    assert np.array_equal(found_right & ~bridge, right)
    assert np.array_equal(found_left & ~bridge, left)


def test_a_lung_whose_centroid_lies_outside_it_is_assigned_to_itself():
    right, left = blank(), blank()
    right[5:56, 10:15] = True
    right[5:10, 10:41] = right[51:56, 10:41] = True  # open towards the other lung
    left[15:46, 45:75] = True
    left[30, 22:45] = True  # which reaches in
    assert_split(right, left | disc(5, 75, 1))


def test_a_bridge_in_a_large_image_is_cut():
    right, left = disc(500, 300, 220, 1000, 1400), disc(480, 1000, 260, 1000, 1400)
    bridge = np.zeros_like(right)
    bridge[490:493, 400:900] = True
    found_right, found_left = split_sides(right | left | bridge)
    assert not (found_right & left).any()
    assert not (found_left & right).any()
    assert ndimage.label(found_right)[1] == ndimage.label(found_left)[1] == 1


def test_two_bridges_are_cut():
    right, left, bridges = disc(30, 20, 16), disc(30, 60, 16), blank()
    bridges[[20, 42], 20:60] = True
    found_right, found_left = split_sides(right | left | bridges)
    assert np.array_equal(found_right & ~bridges, right & ~bridges)
    assert np.array_equal(found_left & ~bridges, left & ~bridges)


def test_lungs_that_touch_at_the_middle_are_cut_there():
    right, left = disc(30, 25, 16), disc(30, 55, 16)
    found_right, found_left = split_sides(right | left)
    assert abs(np.flatnonzero(found_right.any(0)).max() - 39.5) <= 1.5
    assert abs(np.flatnonzero(found_left.any(0)).min() - 40.5) <= 1.5


@pytest.mark.parametrize("gap", range(597, 604))
def test_lungs_along_a_narrow_gap_are_cut_only_at_their_bridge(gap):
    right, left, bridge = blank(1700, 1200), blank(1700, 1200), blank(1700, 1200)
    right[50:1650, 50:gap] = True
    left[50:1650, gap + 1 : 1150] = True
    bridge[800:802, gap] = True
    found_right, found_left = split_sides(right | left | bridge)
    assert np.count_nonzero(found_right & left) + np.count_nonzero(found_left & right) <= 10  # at the bridge


@pytest.mark.parametrize(("column", "is_right"), [(20, True), (35, True), (45, False), (62, False)])
def test_a_single_lung_is_that_of_its_half_of_the_image(column, is_right):
    lung = blank()
    lung[5:55, column - 8 : column + 8] = True
    right, left = split_sides(lung)
    assert right.any() == is_right
    assert left.any() == (not is_right)


def test_components_of_one_lung_are_one_lung():
    lung = disc(15, 55, 10) | disc(45, 60, 12)
    right, left = split_sides(lung)
    assert not right.any()
    assert np.array_equal(left, lung)


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 6)])
def test_an_empty_mask_has_two_empty_sides(shape):
    right, left = split_sides(np.zeros(shape, bool))
    assert right.shape == left.shape == shape
    assert not right.any()
    assert not left.any()
    assert right is not left


def test_the_mask_is_not_changed():
    mask = disc(30, 25, 16) | disc(30, 55, 16)
    before = mask.copy()
    mask.flags.writeable = False
    right, left = split_sides(mask)
    right[:] = left[:] = True
    assert np.array_equal(mask, before)

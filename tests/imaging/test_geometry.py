import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from lungmask_cli.imaging.geometry import Letterbox, Window, resize
from lungmask_cli.imaging.radiograph import Spacing

sides = st.integers(8, 200)


@given(sides, sides, st.sampled_from([32, 64, 96]))
@settings(max_examples=60, deadline=None)
def test_the_inverse_restores_smooth_images(height, width, size):
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    image = (0.2 + 0.5 * y + 0.3 * x).astype(np.float32)
    box = Letterbox(height, width, size)
    square = box.apply(image)
    assert square.shape == (size, size)
    back = box.invert(square)
    assert back.shape == image.shape
    shortest = min(box.content)
    assert np.abs(back - image).max() <= 2.5 / shortest  # half a pixel of the smaller grid, on either side


@given(sides, sides, st.integers(32, 96))
@settings(max_examples=60, deadline=None)
def test_the_content_keeps_its_aspect_ratio_and_fills_the_longer_side(height, width, size):
    rows, columns = Letterbox(height, width, size).content
    assert max(rows, columns) == size
    assert abs(rows * width - columns * height) <= max(height, width)  # rounding by half a pixel


masks = st.tuples(st.integers(1, 90), st.integers(1, 90)).flatmap(lambda shape: arrays(np.bool_, shape))


def apply_and_invert(mask, size):
    box = Letterbox(*mask.shape, size)
    return box.invert(box.apply_mask(mask).astype(np.float32)) >= 0.5


@given(masks, st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_any_mask_is_restored_exactly_from_a_square_that_is_not_smaller(mask, more):
    assert np.array_equal(apply_and_invert(mask, max(mask.shape) + more), mask)


@given(st.integers(1, 150), st.integers(1, 150), st.integers(4, 100), st.data())
@settings(max_examples=150, deadline=None)
def test_a_lung_is_restored_from_a_smaller_square_within_one_of_its_pixels(height, width, size, data):
    centre = [data.draw(st.floats(0, 1)) * side for side in (height, width)]
    radii = [data.draw(st.floats(0.1, 0.6)) * side for side in (height, width)]
    y, x = np.mgrid[:height, :width]
    mask = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1
    wrong = apply_and_invert(mask, size) != mask
    reach = int(np.ceil(max(height, width) / size))  # one pixel of the square, in those of the image
    around = 2 * reach + 1
    near_boundary = ndimage.maximum_filter(mask, around) != ndimage.minimum_filter(mask, around)
    assert not (wrong & ~near_boundary).any()


def test_the_square_is_black_beside_the_image():
    square = Letterbox(10, 20, 40).apply(np.ones((10, 20), np.float32))
    assert square[:10].max() == 0
    assert square[30:].max() == 0
    assert square[10:30].min() == 1


def test_the_spacing_grows_as_the_image_is_reduced():
    assert Letterbox(2048, 2048, 512).scale_spacing(Spacing(0.175, 0.175, "JSRT")) == Spacing(0.7, 0.7, "JSRT")


def test_reducing_averages_all_covered_pixels():
    stripes = np.tile(np.array([0, 1], np.float32), (64, 32))
    assert np.allclose(resize(stripes, 8, 8)[2:-2, 2:-2], 0.5, atol=0.02)


@given(
    st.integers(40, 400), st.integers(40, 400), st.integers(3, 20), st.sampled_from([np.uint8, np.uint16, np.float32])
)
@settings(max_examples=60, deadline=None)
def test_averaging_blocks_first_does_not_shift_the_image(height, width, size, kind):
    y, x = np.mgrid[:height, :width]
    slope = ((y + 0.5) / height * 100 + (x + 0.5) / width * 50).astype(kind)
    reduced = resize(slope, size, size)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    inner = np.s_[1:-1, 1:-1]  # at the edges a pixel's means are of one side
    assert np.abs(reduced - (y * 100 + x * 50))[inner].max() < 2  # integers are up to 1 less


def test_a_window_is_a_square_around_the_mask_with_a_margin():
    mask = np.zeros((100, 100), bool)
    mask[20:40, 60:70] = True
    window = Window.around(mask, 0.25)
    assert (window.top, window.left, window.side) == pytest.approx((0.15, 0.50, 0.30))
    with pytest.raises(ValueError, match="empty mask"):
        Window.around(mask & False, 0.25)


def test_a_window_within_another_is_given_in_fractions_of_the_image():
    assert Window(0.5, 0.25, 0.5).within(Window(0.2, 0.1, 0.4)) == Window(0.4, 0.2, 0.2)


def test_a_crop_is_its_part_of_the_image_and_zero_beyond():
    square = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert np.array_equal(Window(0.25, 0.5, 0.5).crop(square, 2), [[6, 7], [10, 11]])
    assert np.array_equal(Window(-0.25, -0.25, 0.5).crop(square, 2), [[0, 0], [0, 0]])
    assert np.array_equal(Window(0.75, 0.75, 0.5).crop(square, 2), [[15, 0], [0, 0]])
    assert np.array_equal(Window(2, 2, 0.5).crop(square, 2), np.zeros((2, 2)))


@given(st.floats(-0.5, 1), st.floats(-0.5, 1), st.floats(0.01, 1.5), st.integers(4, 80), st.integers(4, 80))
@settings(max_examples=150, deadline=None)
def test_a_crop_is_pasted_at_its_position(top, left, side, crop, size):
    y, x = (np.mgrid[:200, :200] + 0.5) / 200
    window = Window(top, left, side)
    back = window.paste(window.crop((1 + y + 2 * x).astype(np.float32), crop), size)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    reach = side / crop + 1 / size + 0.01  # what a pixel of either covers, and of the image
    inside = np.ones((size, size), bool)
    for centre, edge in ((y, top), (x, left)):
        inside &= (centre > edge + reach) & (centre < edge + side - reach) & (centre > reach) & (centre < 1 - reach)
    assert np.abs(back - (1 + y + 2 * x))[inside].max(initial=0) < 4 * reach
    outside = (y < top) | (y > top + side) | (x < left) | (x > left + side)
    assert not back[outside].any()


@given(st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.floats(0.02, 0.15))
@settings(max_examples=100, deadline=None)
def test_cropped_lungs_are_pasted_where_they_were(row, column, radius):
    y, x = (np.mgrid[:128, :128] + 0.5) / 128
    lungs = (np.abs(x - column) < radius) & (np.abs(y - row) < radius)
    window = Window.around(lungs)
    back = window.paste(window.crop(lungs.astype(np.float32), 64), 128) > 0.5
    assert np.array_equal(back, lungs)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), size=st.integers(4, 40), seed=st.integers(0, 2**16))
def test_thresholding_while_inverting_is_thresholding_the_inverse(height, width, size, seed):
    square = np.random.default_rng(seed).random((size, size), np.float32) ** 4
    square[: size // 3] = 0
    box = Letterbox(height, width, size)
    inverse = box.invert(square)
    different = box.invert_and_threshold(square, 0.5).paint() != (inverse > 0.5)
    assert np.abs(inverse[different] - 0.5).max(initial=0) < 1e-5  # equal except for rounding

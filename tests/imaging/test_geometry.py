import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lungmask_cli.imaging.geometry import Letterbox, resize

sides = st.integers(8, 200)


@given(sides, sides, st.sampled_from([32, 64, 96]))
@settings(max_examples=60, deadline=None)
def test_the_inverse_brings_smooth_images_back(height, width, size):
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
def test_the_content_keeps_its_shape_and_fills_the_longer_side(height, width, size):
    rows, columns = Letterbox(height, width, size).content
    assert max(rows, columns) == size
    assert abs(rows * width - columns * height) <= max(height, width)  # rounding by half a pixel


def test_what_the_image_does_not_cover_is_black():
    square = Letterbox(10, 20, 40).apply(np.ones((10, 20), np.float32))
    assert square[:10].max() == 0
    assert square[30:].max() == 0
    assert square[10:30].min() == 1


def test_the_spacing_grows_as_the_image_shrinks():
    assert Letterbox(2048, 2048, 512).spacing_mm((0.175, 0.175)) == (0.7, 0.7)
    assert Letterbox(2048, 2048, 512).spacing_mm(None) is None


def test_shrinking_averages_all_covered_pixels():
    stripes = np.tile(np.array([0, 1], np.float32), (64, 32))
    assert np.allclose(resize(stripes, 8, 8)[2:-2, 2:-2], 0.5, atol=0.02)

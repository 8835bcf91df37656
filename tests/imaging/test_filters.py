"""The filters, compared with those of SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from lungmask_cli.imaging.filters import average, blur, dilate

SIDES, SEEDS, WIDTHS = st.integers(1, 40), st.integers(0, 2**16), st.sampled_from([1, 3, 7, 17])


@given(SIDES, SIDES, SEEDS, WIDTHS)
def test_average_and_dilate_equal_those_of_scipy(height, width, seed, side):
    image = np.random.default_rng(seed).random((height, width), np.float32)
    assert average(image, side) == pytest.approx(ndimage.uniform_filter(image, side), abs=1e-5)
    mask = image > 0.95
    assert np.array_equal(dilate(mask, side), ndimage.maximum_filter(mask, side))


@given(SIDES, SIDES, SEEDS, st.floats(0.5, 5))
def test_blur_equals_that_of_scipy(height, width, seed, deviation):
    image = np.random.default_rng(seed).random((height, width), np.float32)
    assert blur(image, deviation) == pytest.approx(ndimage.gaussian_filter(image, deviation, truncate=3), abs=1e-5)


def test_the_image_is_not_changed():
    image = np.eye(5, dtype=np.float32)
    blur(image, 1)
    assert np.array_equal(image, np.eye(5))

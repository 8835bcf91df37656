import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from lungmask_cli.imaging.morphology import bounding_box, erode, outline

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


@given(mask=MASKS)
def test_the_bounding_box_is_that_of_scipy(mask):
    if mask.any():
        assert bounding_box(mask) == ndimage.find_objects(mask.astype(int))[0]
    else:
        with pytest.raises(ValueError, match="empty mask"):
            bounding_box(mask)


@given(mask=MASKS)
def test_erosion_is_that_of_scipy(mask):
    before = mask.copy()
    assert np.array_equal(erode(mask), ndimage.binary_erosion(mask))
    assert np.array_equal(mask, before)


@given(mask=MASKS, width=st.integers(1, 4))
def test_the_outline_is_what_erosions_remove(mask, width):
    assert np.array_equal(outline(mask, width), mask & ~ndimage.binary_erosion(mask, iterations=width))

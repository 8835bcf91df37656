import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from lungmask_cli.imaging.components import encode_runs, fill_holes
from lungmask_cli.imaging.geometry import resize_nearest, resize_runs

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


@given(mask=MASKS)
def test_runs_paint_the_mask_that_they_encode(mask):
    runs = encode_runs(mask)
    assert np.array_equal(runs.paint(), mask)
    assert (runs.starts < runs.ends).all()
    assert runs.area == np.count_nonzero(mask)


@given(mask=MASKS, rows=st.integers(1, 20), columns=st.integers(1, 20))
def test_runs_are_sampled_like_pixels(mask, rows, columns):
    assert np.array_equal(resize_runs(encode_runs(mask), rows, columns).paint(), resize_nearest(mask, rows, columns))


@given(mask=MASKS)
def test_the_complement_is_the_rest_and_together_they_are_all(mask):
    runs = encode_runs(mask)
    rest = runs.complement()
    assert np.array_equal(rest.paint(), ~mask)
    assert runs.join(rest).paint().all()


@given(mask=MASKS)
def test_holes_are_those_of_scipy(mask):
    assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


@given(mask=MASKS, diagonally=st.booleans())
def test_components_are_those_of_scipy(mask, diagonally):
    runs = encode_runs(mask)
    count, labels = runs.label(diagonally)
    theirs, expected = ndimage.label(mask, np.ones((3, 3)) if diagonally else None)
    assert count == expected
    numbers = theirs[runs.rows, runs.starts] - 1
    pairs = set(zip(labels.tolist(), numbers.tolist(), strict=True))
    assert len(pairs) == count  # one number of theirs for each of ours
    areas = dict(zip(range(count), runs.areas(labels).tolist(), strict=True))
    assert all(areas[ours] == np.count_nonzero(theirs == number + 1) for ours, number in pairs)

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from lungmask_cli.imaging.components import encode_runs

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


@given(mask=MASKS)
def test_runs_paint_the_mask_that_they_encode(mask):
    runs = encode_runs(mask)
    assert np.array_equal(runs.paint(np.zeros_like(mask), value=True), mask)
    assert not runs.paint(mask, value=False).any()
    assert (runs.starts < runs.ends).all()


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

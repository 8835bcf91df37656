import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from lungmask_cli.imaging.morphology import outline
from lungmask_cli.imaging.plausibility import EMPTY, find_implausible
from lungmask_cli.imaging.radiograph import LungMask
from tests.phantoms import draw_phantom

LUNGS = draw_phantom(128, 128).lungs
NEARLY_ALL = np.ones((128, 128), bool)
NEARLY_ALL[:3, :3] = False
CROSS = np.zeros((128, 128), bool)
CROSS[60:68] = CROSS[:, 60:68] = True
SCATTERED = LUNGS.copy()
SCATTERED[::20, ::20] = True


@pytest.mark.parametrize("seed", range(5))
def test_lungs_are_plausible(seed):
    phantom = draw_phantom(128, 96, seed)
    assert find_implausible(LungMask(phantom.lungs)) == ()
    assert find_implausible(LungMask(phantom.right)) == ()
    assert find_implausible(LungMask(phantom.lungs, phantom.right, phantom.left, labelled=True)) == ()


@pytest.mark.parametrize(
    ("mask", "word"),
    [
        (~LUNGS, "inverted"),
        (NEARLY_ALL, "more than 80 %"),
        (CROSS, "all four edges"),
        (outline(LUNGS), "outline"),
        (outline(LUNGS, 2), "outline"),
        (SCATTERED, "more than 5 components"),
        (np.zeros((128, 128), bool), EMPTY),
    ],
)
def test_each_implausible_mask_has_its_reason(mask, word):
    assert any(word in reason for reason in find_implausible(LungMask(mask)))


def test_a_label_of_both_lungs_beside_the_heart_is_recognised():
    heart = np.zeros((128, 128), bool)
    heart[70:90, 58:72] = True
    heart &= ~LUNGS
    (reason,) = find_implausible(LungMask(LUNGS | heart, LUNGS, heart, labelled=True))
    assert "--labels" in reason


def test_small_masks_are_not_judged():
    assert find_implausible(LungMask(np.ones((8, 8), bool))) == ()


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.bool_, st.tuples(st.integers(32, 60), st.integers(32, 60)), fill=st.booleans()),
    st.integers(0, 30),
    st.integers(1, 8),
)
def test_a_mask_without_a_square_is_an_outline(mask, row, side):
    mask[row : row + side, row : row + side] = True
    has_square = ndimage.minimum_filter(mask, 3, mode="constant", cval=True).any()
    reasons = find_implausible(LungMask(mask))
    assert any("outline" in reason for reason in reasons) == (mask.any() and not has_square)

import numpy as np
import pytest

from lungmask_cli.scoring.checks import check_orientation, is_one_lung_of
from tests.phantoms import draw_phantom

PHANTOM = draw_phantom(256, 256)
LUNGS = PHANTOM.lungs
LUNGS_LOW = np.roll(LUNGS, 60, 0)  # not symmetrical


@pytest.mark.parametrize(
    ("turned", "word"),
    [
        (LUNGS.T, "exchanged"),
        (np.rot90(LUNGS_LOW), "270 degrees"),
        (LUNGS_LOW[::-1], "upside down"),
    ],
)
def test_a_mask_that_only_agrees_when_turned_is_recognised(turned, word):
    other = LUNGS if word == "exchanged" else LUNGS_LOW
    (sentence,) = check_orientation(turned, other)
    assert word in sentence


@pytest.mark.parametrize("other", [LUNGS, np.roll(LUNGS, 20, 1), PHANTOM.left, np.zeros_like(LUNGS), ~LUNGS])
def test_other_masks_are_not_said_to_be_turned(other):
    assert check_orientation(LUNGS, other) == ()
    assert check_orientation(np.zeros_like(LUNGS), other) == ()


def test_one_lung_beside_both_is_recognised():
    assert is_one_lung_of(PHANTOM.left, LUNGS)
    assert is_one_lung_of(np.roll(PHANTOM.right, 3, 0), LUNGS)
    assert not is_one_lung_of(LUNGS, LUNGS)
    assert not is_one_lung_of(LUNGS, PHANTOM.left)
    assert not is_one_lung_of(np.zeros_like(LUNGS), LUNGS)
    assert not is_one_lung_of(LUNGS, np.zeros_like(LUNGS))

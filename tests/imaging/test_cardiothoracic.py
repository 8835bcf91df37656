import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.imaging.cardiothoracic import Extent, measure_ratio
from lungmask_cli.imaging.components import PixelRuns, encode_runs


def runs_of(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> PixelRuns:
    """The runs of rectangles, each given by its first row, row after the last, first column, column after the last."""
    mask = np.zeros(shape, bool)
    for top, bottom, first, end in boxes:
        mask[top:bottom, first:end] = True
    return encode_runs(mask)


SHAPE = (40, 100)
RIGHT, LEFT, HEART = (5, 30, 10, 40), (5, 35, 60, 90), (20, 35, 35, 75)


def ratio_of(shape, heart, right, left):
    return measure_ratio(*(runs_of(shape, box) for box in (heart, right, left)))


def test_the_ratio_is_the_width_of_the_heart_by_that_of_both_lungs_together():
    ratio = ratio_of(SHAPE, HEART, RIGHT, LEFT)
    assert (ratio.heart.width, ratio.thorax.width) == (40, 80)
    assert ratio.value == 0.5
    assert (ratio.heart.first, ratio.heart.end, ratio.heart.row) == (35, 75, 27)


def test_the_widest_rows_of_an_ellipse_count():
    y, x = np.mgrid[:101, :201]
    heart = ((y - 60) / 20) ** 2 + ((x - 110) / 30) ** 2 <= 1
    lungs = [((y - 50) / 40) ** 2 + ((x - centre) / 25) ** 2 <= 1 for centre in (50, 150)]
    ratio = measure_ratio(*map(encode_runs, (heart, *lungs)))
    assert ratio.heart == Extent(80, 141, 60)
    assert ratio.thorax == Extent(25, 176, 50)
    assert ratio.value == pytest.approx(61 / 151)


def test_the_outermost_points_may_lie_in_different_rows():
    """A rotated patient is measured as the image shows him."""
    right, left = (20, 21, 10, 40), (4, 5, 60, 90)
    assert ratio_of(SHAPE, HEART, right, left).thorax == Extent(10, 90, 12)


@pytest.mark.parametrize("missing", range(3))
def test_without_heart_or_lung_there_is_no_ratio(missing):
    boxes = [HEART, RIGHT, LEFT]
    boxes[missing] = (0, 0, 0, 0)
    assert ratio_of(SHAPE, *boxes) is None


@given(down=st.integers(0, 20), across=st.integers(0, 60), scale=st.integers(1, 4))
def test_the_ratio_does_not_depend_on_position_and_scale(down, across, scale):
    shape = (scale * 60, scale * 160)
    moved = [
        (scale * (top + down), scale * (bottom + down), scale * (first + across), scale * (end + across))
        for top, bottom, first, end in (HEART, RIGHT, LEFT)
    ]
    assert ratio_of(shape, *moved).value == ratio_of(SHAPE, HEART, RIGHT, LEFT).value
    mirrored = [(top, bottom, shape[1] - end, shape[1] - first) for top, bottom, first, end in moved]
    assert ratio_of(shape, *mirrored).value == 0.5

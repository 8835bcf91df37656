import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungmask_cli.gallery.picture import OVER, UNDER, draw_errors


def colours(overlay: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(overlay)) as picture:
        assert picture.format == "PNG"
        assert picture.mode == "P"
        return np.asarray(picture.convert("RGBA"))


def four_corners() -> tuple[np.ndarray, np.ndarray]:
    """Drawn and truth of 2 x 2 pixels: agreement, over; under, nothing."""
    return np.array([[True, True], [False, False]]), np.array([[True, False], [True, False]])


def test_without_a_radiograph_agreement_is_grey_and_errors_have_their_colours():
    shown = draw_errors(*four_corners(), None, 512)
    assert shown.backdrop is None
    pixels = colours(shown.overlay)
    assert tuple(pixels[0, 0]) == (128, 128, 128, 255)
    assert tuple(pixels[0, 1]) == (*OVER, 255)
    assert tuple(pixels[1, 0]) == (*UNDER, 255)
    assert pixels[1, 1, 3] == 0


def test_on_a_radiograph_agreement_is_an_outline_and_errors_let_it_shine_through():
    truth = np.zeros((20, 20), bool)
    truth[5:15, 5:15] = True
    drawn = truth.copy()
    drawn[5:15, 15:18] = True
    drawn[12:15, 5:15] = False
    pixels = colours(draw_errors(drawn, truth, np.full((20, 20), 0.5, np.float32), 512).overlay)
    assert pixels[5, 8, 3] > 0
    assert pixels[5, 8, :3].min() > 200
    assert pixels[8, 8, 3] == 0
    assert tuple(pixels[8, 16, :3]) == OVER
    assert tuple(pixels[13, 8, :3]) == UNDER
    assert 0 < pixels[8, 16, 3] < 255
    assert 0 < pixels[13, 8, 3] < 255


def test_the_radiograph_lies_beneath_in_grey():
    image = np.zeros((40, 60), np.float32)
    image[:, 30:] = 1
    shown = draw_errors(np.zeros((40, 60), bool), np.zeros((40, 60), bool), image, 30)
    assert (shown.width, shown.height) == (30, 20)
    with Image.open(io.BytesIO(shown.backdrop)) as picture:
        assert picture.format == "JPEG"
        assert picture.mode == "L"
        assert picture.size == (30, 20)
        grey = np.asarray(picture)
    assert grey[10, 3] < 20
    assert grey[10, 26] > 235


@pytest.mark.parametrize(
    ("shape", "side", "size"),
    [((2048, 1024), 512, (256, 512)), ((300, 200), 512, (200, 300)), ((1, 999), 10, (10, 1)), ((7, 5), 5, (4, 5))],
)
def test_pictures_are_reduced_to_the_side_but_never_enlarged(shape, side, size):
    mask = np.ones(shape, bool)
    shown = draw_errors(mask, mask, None, side)
    assert (shown.width, shown.height) == size
    assert colours(shown.overlay).shape[:2] == size[::-1]


def test_errors_of_one_pixel_survive_the_reduction():
    truth = np.zeros((2048, 2048), bool)
    truth[500:1500, 500:1500] = True
    drawn = truth.copy()
    drawn[700:1300, 499] = True
    drawn[1000, 1000] = False
    pixels = colours(draw_errors(drawn, truth, None, 512).overlay)
    assert (pixels[175:325, 124, :3] == OVER).all()
    assert tuple(pixels[250, 250, :3]) == UNDER


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 70), width=st.integers(1, 70), side=st.integers(1, 40), seed=st.integers(0, 999))
def test_every_kind_of_error_is_seen_at_any_size(height, width, side, seed):
    rng = np.random.default_rng(seed)
    truth = rng.random((height, width)) < 0.5
    drawn = truth.copy()
    at = rng.integers(height), rng.integers(width)
    drawn[at] = not truth[at]
    pixels = colours(draw_errors(drawn, truth, None, side).overlay)
    assert (pixels[..., :3] == (UNDER if truth[at] else OVER)).all(-1).sum() == 1


def test_masks_that_are_views_of_larger_arrays_are_drawn_alike():
    rng = np.random.default_rng(0)
    truth, drawn = rng.random((2, 60, 40)) < 0.5
    turned = draw_errors(drawn.T.copy().T, truth[::-1].copy()[::-1], None, 32)
    assert turned == draw_errors(drawn, truth, None, 32)


def test_pictures_of_lungs_are_small():
    y, x = np.mgrid[:2048, :2048]
    truth = ((np.abs(x - 1024) - 430) / 300.0) ** 2 + ((y - 1000) / 600.0) ** 2 < 1
    shown = draw_errors(np.roll(truth, 9, 1), truth, np.full(truth.shape, 0.5, np.float32), 512)
    assert len(shown.overlay) < 6000
    assert len(shown.backdrop) < 60000

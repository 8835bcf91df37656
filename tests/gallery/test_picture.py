import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab

from lungmask_cli.gallery.picture import LEFT_LUNG, OVER, RIGHT_LUNG, UNDER, draw_errors, draw_lungs

# Linear RGB as seen without the cones for long, medium and short wavelengths:
# Machado et al. 2009, doi:10.1109/TVCG.2009.113, severity 1.
COLOUR_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def colours(overlay: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(overlay)) as picture:
        assert picture.format == "PNG"
        assert picture.mode == "P"
        return np.asarray(picture.convert("RGBA"))


def four_corners() -> tuple[np.ndarray, np.ndarray]:
    """Predicted and reference mask of 2 x 2 pixels: agreement, over; under, background."""
    return np.array([[True, True], [False, False]]), np.array([[True, False], [True, False]])


def test_without_a_radiograph_agreement_is_grey_and_errors_are_coloured():
    shown = draw_errors(*four_corners(), None, 512)
    assert shown.backdrop is None
    pixels = colours(shown.overlay)
    assert tuple(pixels[0, 0]) == (128, 128, 128, 255)
    assert tuple(pixels[0, 1]) == (*OVER, 255)
    assert tuple(pixels[1, 0]) == (*UNDER, 255)
    assert pixels[1, 1, 3] == 0


def test_on_a_radiograph_agreement_is_outlined_and_errors_are_translucent():
    truth = np.zeros((20, 20), bool)
    truth[5:15, 5:15] = True
    predicted = truth.copy()
    predicted[5:15, 15:18] = True
    predicted[12:15, 5:15] = False
    pixels = colours(draw_errors(predicted, truth, np.full((20, 20), 0.5, np.float32), 512).overlay)
    assert pixels[5, 8, 3] > 0
    assert pixels[5, 8, :3].min() > 200
    assert pixels[8, 8, 3] == 0
    assert tuple(pixels[8, 16, :3]) == OVER
    assert tuple(pixels[13, 8, :3]) == UNDER
    assert 0 < pixels[8, 16, 3] < 255
    assert 0 < pixels[13, 8, 3] < 255


def test_the_backdrop_is_the_radiograph_in_grey():
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
    predicted = truth.copy()
    predicted[700:1300, 499] = True
    predicted[1000, 1000] = False
    pixels = colours(draw_errors(predicted, truth, None, 512).overlay)
    assert (pixels[175:325, 124, :3] == OVER).all()
    assert tuple(pixels[250, 250, :3]) == UNDER


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 70), width=st.integers(1, 70), side=st.integers(1, 40), seed=st.integers(0, 999))
def test_every_kind_of_error_is_visible_at_any_size(height, width, side, seed):
    rng = np.random.default_rng(seed)
    truth = rng.random((height, width)) < 0.5
    predicted = truth.copy()
    at = rng.integers(height), rng.integers(width)
    predicted[at] = not truth[at]
    pixels = colours(draw_errors(predicted, truth, None, side).overlay)
    assert (pixels[..., :3] == (UNDER if truth[at] else OVER)).all(-1).sum() == 1


def test_views_of_larger_arrays_give_the_same_picture():
    rng = np.random.default_rng(0)
    truth, predicted = rng.random((2, 60, 40)) < 0.5
    transposed = draw_errors(predicted.T.copy().T, truth[::-1].copy()[::-1], None, 32)
    assert transposed == draw_errors(predicted, truth, None, 32)


def test_pictures_of_lungs_are_small():
    y, x = np.mgrid[:2048, :2048]
    truth = ((np.abs(x - 1024) - 430) / 300.0) ** 2 + ((y - 1000) / 600.0) ** 2 < 1
    shown = draw_errors(np.roll(truth, 9, 1), truth, np.full(truth.shape, 0.5, np.float32), 512)
    assert len(shown.overlay) < 6000
    assert len(shown.backdrop) < 60000


def two_squares(size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A right lung on the image's left and a left lung on its right, each with a margin of a tenth."""
    right, left = np.zeros((2, size, size), bool)
    tenth = size // 10
    right[tenth:-tenth, tenth : 4 * tenth] = True
    left[tenth:-tenth, 6 * tenth : 9 * tenth] = True
    return right, left


def test_lungs_on_a_radiograph_are_contours_and_the_rest_is_transparent():
    right, left = two_squares()
    shown = draw_lungs(np.full((40, 40), 0.5, np.float32), right, left, 512)
    pixels = colours(shown.overlay)
    drawn = pixels[..., 3] > 0
    for lung, colour in ((right, RIGHT_LUNG), (left, LEFT_LUNG)):
        edge = lung & ~ndimage.binary_erosion(lung)
        np.testing.assert_array_equal(drawn & lung, edge)
        assert (pixels[edge][:, :3] == colour).all()
    assert not (drawn & ~(right | left)).any()
    with Image.open(io.BytesIO(shown.backdrop)) as picture:
        assert picture.size == (40, 40)


def test_lungs_without_a_radiograph_are_filled():
    right, left = two_squares()
    shown = draw_lungs(None, right, left, 512)
    assert shown.backdrop is None
    pixels = colours(shown.overlay)
    assert (pixels[right] == (*RIGHT_LUNG, 255)).all()
    assert (pixels[left] == (*LEFT_LUNG, 255)).all()
    assert not pixels[~(right | left)][:, 3].any()


@pytest.mark.parametrize("side", [224, 512, 1024])
def test_contours_of_large_masks_have_no_gaps_and_a_width_in_proportion_to_the_picture(side):
    pixels = colours(draw_lungs(np.zeros((20, 20), np.float32), *two_squares(2000), side).overlay)
    row = pixels[side // 2, :, 3] > 0
    starts = np.flatnonzero(np.diff(np.r_[False, row, False].astype(int)) == 1)
    assert len(starts) == 4  # both edges of both lungs
    assert row.sum() // 4 == max(1, round(side / 256))
    within = pixels[side // 5 : -side // 5, :, 3] > 0
    assert (within.sum(1) == row.sum()).all()


def test_the_radiograph_may_be_smaller_than_the_masks():
    image = np.zeros((30, 40), np.float32)
    image[:, 20:] = 1
    shown = draw_lungs(image, *np.zeros((2, 300, 400), bool), 100)
    assert (shown.width, shown.height) == (100, 75)
    with Image.open(io.BytesIO(shown.backdrop)) as picture:
        grey = np.asarray(picture)
    assert grey.shape == (75, 100)
    assert grey[40, 10] < 20
    assert grey[40, 90] > 235


def test_touching_lungs_are_separated_by_contours_of_both_colours():
    right, left = np.zeros((2, 30, 30), bool)
    right[5:25, 5:15] = left[5:25, 15:25] = True
    pixels = colours(draw_lungs(np.zeros((30, 30), np.float32), right, left, 512).overlay)
    assert tuple(pixels[15, 14, :3]) == RIGHT_LUNG
    assert tuple(pixels[15, 15, :3]) == LEFT_LUNG


def test_contours_close_at_the_image_edge_and_show_holes():
    lung = np.zeros((1000, 1000), bool)
    lung[300:, :600] = True
    lung[700, 200] = False
    pixels = colours(draw_lungs(np.zeros((50, 50), np.float32), lung, ~lung & False, 250).overlay)
    assert (pixels[80:, 0, :3] == RIGHT_LUNG).all()
    assert (pixels[-1, :140, 3] > 0).all()
    assert pixels[175, 50, 3] > 0
    assert pixels[140, 90, 3] == 0


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 70), width=st.integers(1, 70), side=st.integers(1, 40), seed=st.integers(0, 999))
def test_a_single_pixel_of_lung_is_visible_at_any_size(height, width, side, seed):
    rng = np.random.default_rng(seed)
    lung = np.zeros((height, width), bool)
    lung[rng.integers(height), rng.integers(width)] = True
    nothing = np.zeros_like(lung)
    for image in (None, np.zeros((height, width), np.float32)):
        for masks, colour in (((lung, nothing), RIGHT_LUNG), ((nothing, lung), LEFT_LUNG)):
            pixels = colours(draw_lungs(image, *masks, side).overlay)
            assert (pixels[pixels[..., 3] > 0][:, :3] == colour).all()
            assert (pixels[..., 3] > 0).sum() == 1


@pytest.mark.parametrize("pair", [(OVER, UNDER), (RIGHT_LUNG, LEFT_LUNG)])
@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_the_colour_blind_can_distinguish_the_two_colours(pair, kind):
    linear = (np.array(pair) / 255) ** 2.2
    seen = np.clip(linear @ np.array(COLOUR_BLIND[kind]).T, 0, 1) ** (1 / 2.2)
    one, two = rgb2lab(seen)
    assert np.linalg.norm(one - two) > 40  # (200, 60, 60) and (60, 130, 60) are 10 apart in deuteranopia

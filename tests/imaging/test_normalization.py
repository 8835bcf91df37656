import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.radiograph import Radiograph
from tests.phantoms import draw_phantom


@given(st.floats(0.1, 100), st.floats(-1000, 1000))
@settings(max_examples=30, deadline=None)
def test_gain_and_offset_of_the_detector_make_no_difference(gain, offset):
    image = draw_phantom().image
    changed = (image * gain + offset).astype(np.float32)
    assert np.allclose(normalize(Radiograph(changed)), normalize(Radiograph(image)), atol=0.01)


def test_black_collimation_and_white_labels_do_not_reduce_contrast():
    image = draw_phantom(128, 128).image.clip(0.01, 0.99)
    framed = np.pad(image, 64)
    framed[:20, :20] = 1
    inner = normalize(Radiograph(framed))[64:-64, 64:-64]
    assert np.allclose(inner, normalize(Radiograph(image)), atol=0.02)


def test_padding_is_black_and_left_out_of_the_percentiles():
    image = draw_phantom().image
    padded = np.hstack([image, np.full((128, 100), -5000, np.float32)])
    valid = np.hstack([np.ones((128, 128), bool), np.zeros((128, 100), bool)])
    result = normalize(Radiograph(padded, valid))
    assert result[:, 128:].max() == 0
    assert np.allclose(result[:, :128], normalize(Radiograph(image)), atol=0.01)


def test_a_constant_image_is_black():
    assert normalize(Radiograph(np.full((4, 4), 7, np.float32))).max() == 0


def test_a_binary_image_keeps_its_two_values():
    image = np.zeros((10, 10), np.float32)
    image[:5] = 9
    assert set(np.unique(normalize(Radiograph(image)))) == {0, 1}

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.polarity import polarity_score, to_network_input
from lungmask_cli.imaging.radiograph import Radiograph
from tests.phantoms import draw_phantom

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LUNGMASK_DATA", ROOT.parent / "shared" / "data"))


@given(st.integers(0, 50), st.sampled_from([(64, 64), (128, 100), (90, 140), (1, 1), (3, 200)]))
@settings(max_examples=40, deadline=None)
def test_the_two_polarities_have_opposite_scores(seed, shape):
    image = draw_phantom(*shape, seed=seed).image
    assert polarity_score(image) == pytest.approx(-polarity_score(1 - image), abs=0.01)


def test_an_inverted_radiograph_is_corrected_and_reported():
    image = draw_phantom().image
    right = Radiograph(np.round(image * 4095).astype(np.uint16))
    expected, was_inverted = to_network_input(right)
    corrected, inverted = to_network_input(right.inverted())
    assert not was_inverted
    assert inverted
    assert np.allclose(expected, corrected, atol=0.01)


def test_polarity_is_kept_without_correction():
    inverted = Radiograph(1 - draw_phantom().image)
    image, corrected = to_network_input(inverted, correct=False)
    assert not corrected
    assert np.array_equal(image, normalize(inverted))


def test_padding_stays_black_when_the_rest_is_inverted():
    inverted = np.hstack([1 - draw_phantom().image, np.full((128, 30), 5, np.float32)])
    valid = np.hstack([np.ones((128, 128), bool), np.zeros((128, 30), bool)])
    image, corrected = to_network_input(Radiograph(inverted, valid))
    assert corrected
    assert image[:, 128:].max() == 0


def test_black_margins_do_not_change_the_score():
    image = draw_phantom().image
    banded = np.pad(image, ((0, 0), (60, 60)))
    assert polarity_score(banded) == pytest.approx(polarity_score(image), abs=1)


def test_an_image_without_contrast_is_not_inverted():
    assert to_network_input(Radiograph(np.full((50, 50), 7, np.uint8)))[1] is False


@pytest.mark.skipif(not (DATA / "montgomery").is_dir(), reason="the radiographs are not available (set LUNGMASK_DATA)")
@pytest.mark.parametrize("name", ["jsrt", "montgomery"])
def test_real_radiographs_and_their_inverses_are_recognised(name):
    for path in sorted((DATA / name / "images").glob("*.png"))[::5]:
        radiograph = read_radiograph(path)
        assert not to_network_input(radiograph)[1], path
        assert to_network_input(replace(radiograph, pixels=255 - radiograph.pixels))[1], path


def test_the_classifier_records_its_training_data():
    fitted = (ROOT / "lungmask_cli" / "imaging" / "polarity.json").read_text()
    for word in ("manifest_sha256", "seed", "licence", "JSRT and Shenzhen"):
        assert word in fitted
    assert "Montgomery" not in fitted


def test_masks_do_not_depend_on_the_scale_of_the_pixels(tmp_path):
    image = draw_phantom(100, 90).image
    Image.fromarray(np.round(image * 65535).astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(tmp_path / "shallow.png")
    deep, shallow = (to_network_input(read_radiograph(tmp_path / f"{name}.png"))[0] for name in ("deep", "shallow"))
    assert np.abs(deep - shallow).max() < 0.01

import numpy as np
import pytest

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.cardiothoracic import measure_ratio
from lungmask_cli.imaging.radiograph import Radiograph
from lungmask_cli.inference.heart import RATIO_ERROR, RatioError, doubt_ratio, measure_ratio_error, read_ratio_error
from lungmask_cli.inference.options import InferenceOptions
from lungmask_cli.inference.segmenter import Segmenter
from tests.imaging.test_cardiothoracic import runs_of
from tests.inference.fake_network import fake_heart_network, fake_network
from tests.phantoms import draw_phantom

__all__ = ["fake_heart_network", "fake_network"]
SHAPE = (100, 200)
HEART, RIGHT, LEFT = (50, 90, 80, 140), (20, 80, 20, 90), (20, 80, 110, 180)


def doubts(heart=HEART, right=RIGHT, left=LEFT, anteroposterior=False, doubtful=False):
    radiograph = Radiograph(np.zeros(SHAPE, np.uint8), anteroposterior=anteroposterior)
    runs = [runs_of(SHAPE, box) for box in (heart, right, left)]
    return list(doubt_ratio(radiograph, runs[0], measure_ratio(*runs), doubtful))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heart": (50, 100, 80, 140)}, "misleads: the heart is cut off"),
        ({"heart": (50, 90, 80, 200)}, "misleads: the heart is cut off"),
        ({"right": (20, 80, 0, 90)}, "misleads: the thorax is cut off"),
        ({"left": (20, 80, 110, 199)}, "misleads: the thorax is cut off"),
        ({"anteroposterior": True}, "misleads: the view is anteroposterior or the patient supine"),
        ({"doubtful": True}, "misleads: the mask of the lungs is doubtful"),
        ({"left": (0, 0, 0, 0)}, "no cardiothoracic ratio: both lungs are needed"),
        ({"heart": (0, 0, 0, 0)}, "no cardiothoracic ratio: no heart was found"),
    ],
)
def test_each_reason_is_said_alone(changes, words):
    (sentence,) = doubts(**changes)
    assert words in sentence


def test_an_ordinary_radiograph_has_no_doubts():
    assert doubts() == []
    assert doubts(right=(0, 100, 20, 90)) == []  # lungs may reach the upper and lower edge


@pytest.mark.usefixtures("fake_heart_network")
def test_the_segmenter_measures_the_ratio():
    phantom = draw_phantom(200, 200, 1, heart=True)
    found = Segmenter(heart=True).segment(phantom.image)
    columns, lungs = (np.flatnonzero(mask.any(0)) for mask in (phantom.heart, phantom.lungs))
    expected = (np.ptp(columns) + 1) / (np.ptp(lungs) + 1)
    assert found.cardiothoracic_ratio.value == pytest.approx(expected, abs=0.03)
    assert found.warnings == ()
    assert Segmenter().segment(phantom.image).heart is None
    empty = Segmenter(heart=True).segment(draw_phantom(200, 200, 1).image * 0.9)
    assert empty.heart.shape == (200, 200)


def test_weights_of_lungs_alone_are_refused():
    with pytest.raises(UsageError, match="jsrt: these weights segment the lungs alone"):
        InferenceOptions("jsrt", heart=True).weight_files()


def test_the_interval_is_that_of_the_limits_of_agreement():
    error = measure_ratio_error([0.0, 0.02, float("nan")])
    assert error == RatioError(bias=pytest.approx(0.01), sd=pytest.approx(0.02 / 2**0.5), images=2)
    low, high = error.interval(0.5)
    assert (low + high) / 2 == pytest.approx(0.49)
    assert high - low == pytest.approx(2 * 1.96 * error.sd)
    assert measure_ratio_error([0.1]) is None


def test_several_networks_have_the_wider_interval_and_none_if_one_is_unknown():
    narrow, wide = ({RATIO_ERROR: {"bias": 0.0, "sd": sd, "images": 40}} for sd in (0.01, 0.02))
    assert read_ratio_error([narrow, wide]).sd == 0.02
    assert read_ratio_error([narrow, {}]) is None

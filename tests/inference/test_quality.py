import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.geometry import WHOLE, Letterbox, resize
from lungmask_cli.inference.quality import (
    DOUBTFUL,
    GOOD,
    LEAST_SCORE,
    NO_LUNG,
    ONE_LUNG,
    SIGNS,
    NetworkBaseline,
    assess,
    load_gate,
    measure_baseline,
    read_baseline,
)
from lungmask_cli.inference.signs import THUMBNAIL_SIDE
from lungmask_cli.inference.two_pass import Look, Prediction, as_mask

FITTED = Path(__file__).parents[2] / "lungmask_cli" / "inference" / "quality.json"
SIZE = 256


def radiograph(share=0.6, size=SIZE):
    """The mean radiograph and the mean lungs of what was fitted to, which cover this share of each side."""
    gate = load_gate()
    side = round(share * size)
    around = round(1.3 * side)
    thumbnails = (mean.reshape(THUMBNAIL_SIDE, -1) for mean in (gate.pictures.mean, gate.shapes.mean))
    chest, lungs = (resize(mean, sides, sides) for mean, sides in zip(thumbnails, (around, side), strict=True))
    seen, drawn = np.full((size, size), 0.9, np.float32), np.zeros((size, size), np.float32)
    first, within = (size - around) // 2, (size - side) // 2
    seen[first : first + around, first : first + around] = np.clip(0.5 + chest / 4, 0, 1)
    drawn[within : within + side, within : within + side] = lungs > 0.5
    return seen, drawn


def sure(drawn):
    """As a network draws: sure but for a pixel or two at the boundary."""
    return ndimage.gaussian_filter(drawn, 0.003 * len(drawn)) * np.float32(0.998) + np.float32(0.001)


def quality_of(seen, *looks, change=lambda lungs: lungs):
    prediction = Prediction(Letterbox(*seen.shape, len(seen)), seen, tuple(Look(WHOLE, look) for look in looks))
    lungs = change(as_mask(prediction))
    middle = lungs.shape[1] // 2
    right = lungs & (np.arange(lungs.shape[1]) < middle)
    return assess(prediction, right, lungs & ~right)


@pytest.mark.parametrize("size", [64, 256, 384, 768])
@pytest.mark.parametrize("looks", [1, 2, 5])
def test_two_clean_lungs_are_good_at_every_size(size, looks):
    seen, drawn = radiograph(size=size)
    found = quality_of(seen, *[sure(drawn)] * looks)
    assert found.flag == GOOD
    assert found.reasons == ()
    assert 0.94 < found.score < 1
    assert 0.5 < found.confidence < 1


def test_an_empty_mask_is_never_silent():
    seen, drawn = radiograph()
    found = quality_of(seen, sure(drawn) * 0.4)
    assert (found.score, found.confidence, found.reasons, found.flag) == (0.0, 0.0, (NO_LUNG,), DOUBTFUL)


@pytest.mark.parametrize("looks", [1, 2])
def test_one_lung_is_doubtful(looks):
    seen, drawn = radiograph()
    drawn[:, SIZE // 2 :] = 0
    found = quality_of(seen, *[sure(drawn)] * looks)
    assert ONE_LUNG in found.reasons
    assert found.flag == DOUBTFUL


def test_a_tiny_area_is_named_with_its_share():
    seen, drawn = radiograph(share=0.15)
    share = np.count_nonzero(sure(drawn) > 0.5) / SIZE**2
    assert f"area {100 * share:.0f} % of the image" in quality_of(seen, sure(drawn), sure(drawn)).reasons


def test_a_few_pixels_of_a_large_radiograph_are_doubtful():
    lungs = np.zeros((2000, 2400), bool)
    lungs[1001, 1203] = True
    look = np.zeros((SIZE, SIZE), np.float32)
    found = assess(Prediction(Letterbox(2000, 2400, SIZE), look, (Look(WHOLE, look),)), lungs, ~lungs & lungs)
    assert (found.score, found.reasons) == (0.0, ("area 0.0 % of the image",))


def test_a_ragged_boundary_is_named_with_its_share():
    seen, drawn = radiograph()
    clouds = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=drawn.shape), 5)
    ragged = np.clip(ndimage.gaussian_filter(drawn, 6) + clouds / np.abs(clouds).max() / 3, 0, 1).astype(np.float32)
    found = quality_of(seen, ragged, ragged)
    assert found.flag == DOUBTFUL
    assert any(reason.startswith("ragged: low confidence at ") for reason in found.reasons)
    assert found.confidence < quality_of(seen, sure(drawn), sure(drawn)).confidence


def test_a_radiograph_upside_down_does_not_look_like_one():
    seen, drawn = radiograph()
    assert quality_of(seen, sure(drawn)).flag == GOOD
    found = quality_of(seen[::-1], sure(drawn))
    assert found.reasons[0].startswith("does not look like a frontal chest radiograph")


def test_the_less_the_looks_agree_the_lower_is_the_score():
    seen, drawn = radiograph()
    look = sure(drawn)
    scores = [
        quality_of(seen, look, np.roll(look, shift, 0), change=lambda _: look > 0.5).score for shift in (0, 10, 20, 40)
    ]
    assert scores == sorted(set(scores), reverse=True)
    assert scores[-1] < LEAST_SCORE < scores[0]


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (40, 60), (1, 1)])
def test_radiographs_of_any_shape_are_judged(shape):
    rng = np.random.default_rng(0)
    box, square = Letterbox(*shape, 64), rng.random((64, 64), np.float32)
    prediction = Prediction(box, square, (Look(WHOLE, square), Look(WHOLE, square[::-1])))
    found = assess(prediction, as_mask(prediction, cleanup=False), np.zeros(shape, bool))
    assert found.flag == DOUBTFUL
    assert 0 <= found.score < LEAST_SCORE


def usual_values():
    """The signs of a mask that is beyond reproach."""
    best = {name: max if sign.low_is_bad else min for name, sign in SIGNS.items()}
    return {name: best[name]([1.0, 0.0] if name != "darker" else [2.0]) for name in SIGNS}


VALUES = st.fixed_dictionaries(
    {name: st.floats(0, 5 if name in {"picture", "shape", "unsure"} else 1) for name in SIGNS}
)


@given(VALUES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_low_score_always_has_a_reason_in_words(values, once):
    known = {name: value for name, value in values.items() if name != "agreement" or not once}
    score, reasons = load_gate().judge(known)
    assert 0 <= score <= 1
    assert len(reasons) <= 3
    assert score >= LEAST_SCORE or reasons
    assert all(reason and "/" not in reason and "nan" not in reason for reason in reasons)


@given(VALUES, st.sampled_from(sorted(SIGNS)), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_a_worse_sign_never_gives_a_higher_score(values, name, other):
    worse, better = sorted((values[name], other), reverse=not SIGNS[name].low_is_bad)
    assert load_gate().judge({**values, name: worse})[0] <= load_gate().judge({**values, name: better})[0]


@pytest.mark.parametrize("name", sorted(SIGNS))
def test_each_sign_beyond_its_usual_range_is_named_where_a_mask_is_doubtful(name):
    gate = load_gate()
    bad = 0.0 if SIGNS[name].low_is_bad else 9.0
    doubtful = replace(gate, several_looks=replace(gate.several_looks, best=0.0))
    assert doubtful.judge({**usual_values(), name: bad})[1][0] == SIGNS[name].say(bad)


def test_the_gate_says_what_it_was_fitted_to():
    text = FITTED.read_text()
    assert set(json.loads(text)) >= {"train", "val", "split", "weights", "seed", "command", "licence"}
    assert "Montgomery" not in text
    assert "/" not in json.loads(text)["train"]


HESITANT = NetworkBaseline(dice=0.96, inside=0.94, unsure=0.3)


def test_certainty_is_judged_by_what_is_usual_of_the_network():
    gate = load_gate()
    signs = usual_values() | {"inside": 0.94, "unsure": 0.3}
    score, reasons = gate.judge(signs)
    assert score < LEAST_SCORE
    assert any("mean probability 0.94" in reason for reason in reasons)
    assert gate.judge(signs, HESITANT) == (pytest.approx(0.96), ())
    # What is unusual of that network, too, is told as it was measured.
    score, reasons = gate.judge(signs | {"inside": 0.86}, HESITANT)
    assert score < LEAST_SCORE
    assert any("mean probability 0.86" in reason for reason in reasons)


def test_a_network_that_is_surer_than_others_gets_no_more_doubt():
    signs = usual_values() | {"inside": 0.97, "unsure": 0.2}
    gate = load_gate()
    assert gate.judge(signs, NetworkBaseline(0.99, inside=0.999, unsure=0.01)) == gate.judge(signs)


def test_no_more_is_expected_of_a_network_than_it_reached():
    score, reasons = load_gate().judge(usual_values(), replace(HESITANT, dice=0.85))
    assert score == pytest.approx(0.85)
    assert reasons == ("the network reaches a Dice of 0.85 on its validation images",)
    score, (reason,) = load_gate().judge(usual_values() | {"shape": 2.0}, replace(HESITANT, dice=0.901))
    assert score < LEAST_SCORE
    assert "the network" not in reason


def test_what_is_usual_is_found_by_what_was_drawn():
    seen, drawn = radiograph()
    box, lungs = Letterbox(SIZE, SIZE, SIZE), drawn > 0.5
    made = [(Prediction(box, seen, (Look(WHOLE, drawn * p),)), lungs, ~lungs & lungs, p) for p in (0.7, 0.8, 0.9)]
    usual = measure_baseline(made)
    assert (usual.dice, usual.inside) == pytest.approx((0.8, 0.8), abs=0.02)  # the grid has soft boundaries
    assert measure_baseline([(made[0][0], ~lungs & lungs, ~lungs & lungs, 0.0)]) is None


def test_several_networks_have_the_mean_and_those_that_ship_are_known():
    one, other = ({"usual": {"dice": dice, "inside": 0.9, "unsure": 0.3}} for dice in (0.8, 0.9))
    assert read_baseline([one, other]) == NetworkBaseline(pytest.approx(0.85), pytest.approx(0.9), pytest.approx(0.3))
    assert read_baseline([one, {}]) is None
    for broken in ({"usual": {"dice": 1}}, {"usual": 3}, {"usual": {"dice": "x", "inside": 1, "unsure": 1}}):
        with pytest.raises(UsageError, match="has no numbers in usual"):
            read_baseline([broken])

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.components import encode_runs
from lungmask_cli.imaging.geometry import WHOLE, Letterbox, resize
from lungmask_cli.inference.quality import (
    DOUBTFUL,
    GOOD,
    LEAST_DICE,
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
from lungmask_cli.inference.two_pass import Pass, Prediction, as_mask, find_lungs

FITTED = Path(__file__).parents[2] / "lungmask_cli" / "inference" / "quality.json"
SIZE = 256


def radiograph(share=0.6, size=SIZE):
    """The mean radiograph and the mean lungs of the gate, with lungs that cover this share of each side."""
    gate = load_gate()
    side = round(share * size)
    around = round(1.3 * side)
    thumbnails = (mean.reshape(THUMBNAIL_SIDE, -1) for mean in (gate.pictures.mean, gate.shapes.mean))
    chest, lungs = (resize(mean, sides, sides) for mean, sides in zip(thumbnails, (around, side), strict=True))
    image, probability = np.full((size, size), 0.9, np.float32), np.zeros((size, size), np.float32)
    first, within = (size - around) // 2, (size - side) // 2
    image[first : first + around, first : first + around] = np.clip(0.5 + chest / 4, 0, 1)
    probability[within : within + side, within : within + side] = lungs > 0.5
    return image, probability


def certain(lungs):
    """As a network predicts: certain except for a pixel or two at the boundary."""
    return ndimage.gaussian_filter(lungs, 0.003 * len(lungs)) * np.float32(0.998) + np.float32(0.001)


def quality_of(image, *probabilities, change=lambda lungs: lungs):
    passes = tuple(Pass(WHOLE, probability) for probability in probabilities)
    prediction = Prediction(Letterbox(*image.shape, len(image)), image, passes)
    lungs = change(as_mask(prediction))
    middle = lungs.shape[1] // 2
    right = lungs & (np.arange(lungs.shape[1]) < middle)
    return assess(prediction, encode_runs(right), encode_runs(lungs & ~right))


@pytest.mark.parametrize("size", [64, 256, 384, 768])
@pytest.mark.parametrize("passes", [1, 2, 5])
def test_two_clean_lungs_are_good_at_every_size(size, passes):
    image, lungs = radiograph(size=size)
    quality = quality_of(image, *[certain(lungs)] * passes)
    assert quality.flag == GOOD
    assert quality.reasons == ()
    assert 0.94 < quality.score < 1
    assert 0.5 < quality.confidence < 1


def test_an_empty_mask_is_doubtful():
    image, lungs = radiograph()
    quality = quality_of(image, certain(lungs) * 0.4)
    assert (quality.score, quality.confidence, quality.reasons, quality.flag) == (0.0, 0.0, (NO_LUNG,), DOUBTFUL)


@pytest.mark.parametrize("passes", [1, 2])
def test_one_lung_is_doubtful(passes):
    image, lungs = radiograph()
    lungs[:, SIZE // 2 :] = 0
    quality = quality_of(image, *[certain(lungs)] * passes)
    assert ONE_LUNG in quality.reasons
    assert quality.flag == DOUBTFUL


def test_a_tiny_area_is_named_with_its_share():
    image, lungs = radiograph(share=0.15)
    share = np.count_nonzero(certain(lungs) > 0.5) / SIZE**2
    assert f"area {100 * share:.0f} % of the image" in quality_of(image, certain(lungs), certain(lungs)).reasons


def test_a_few_pixels_of_a_large_radiograph_are_doubtful():
    lungs = np.zeros((2000, 2400), bool)
    right, lungs[1001, 1203] = encode_runs(lungs), True
    empty = np.zeros((SIZE, SIZE), np.float32)
    quality = assess(Prediction(Letterbox(2000, 2400, SIZE), empty, (Pass(WHOLE, empty),)), right, encode_runs(lungs))
    assert (quality.score, quality.reasons) == (0.0, ("area 0.0 % of the image",))


def test_a_ragged_boundary_is_named_with_its_share():
    image, lungs = radiograph()
    clouds = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=lungs.shape), 5)
    ragged = np.clip(ndimage.gaussian_filter(lungs, 6) + clouds / np.abs(clouds).max() / 3, 0, 1).astype(np.float32)
    quality = quality_of(image, ragged, ragged)
    assert quality.flag == DOUBTFUL
    assert any(reason.startswith("ragged: low confidence at ") for reason in quality.reasons)
    assert quality.confidence < quality_of(image, certain(lungs), certain(lungs)).confidence


@pytest.mark.parametrize("size", [128, 256, 512])
def test_an_opacity_is_bright_and_uncertain_and_its_area_is_measured(size):
    image, lungs = radiograph(size=size)
    rows, columns = np.ogrid[:size, :size]
    patch = (lungs > 0.5) & (np.hypot(rows / size - 0.5, columns / size - 0.33) < 0.08)
    uncertain = certain(lungs)
    uncertain[patch] = 0.9
    white = np.where(patch, np.float32(0.9), image)
    share = patch.sum() / (lungs > 0.5).sum()
    assert 0.05 < share < 0.15
    quality = quality_of(white, uncertain)
    assert quality.opacity == pytest.approx(share, abs=0.03)
    assert quality.warnings == ("drawn through an opacity",)
    for other in (quality_of(white, certain(lungs)), quality_of(image, uncertain), quality_of(image, certain(lungs))):
        assert other.opacity < 0.01
        assert other.warnings == ()


def test_the_quality_is_that_of_the_prediction_before_smoothing():
    image, lungs = radiograph()
    right = lungs > 0.5
    right[:, SIZE // 2 :] = False
    left = (lungs > 0.5) & ~right

    def quality(refines):
        passes = (Pass(WHOLE, certain(lungs), refines),)
        prediction = Prediction(Letterbox(SIZE, SIZE, SIZE), image, passes)
        return prediction.probability, assess(prediction, encode_runs(right), encode_runs(left))

    (sharp, one), (smooth, other) = quality(False), quality(True)
    assert np.abs(sharp - smooth).max() > 0.05
    assert one == other


def test_a_radiograph_upside_down_does_not_look_like_one():
    image, lungs = radiograph()
    assert quality_of(image, certain(lungs)).flag == GOOD
    quality = quality_of(image[::-1], certain(lungs))
    assert quality.reasons[0].startswith("does not look like a frontal chest radiograph")


def test_the_less_the_passes_agree_the_lower_is_the_score():
    image, lungs = radiograph()
    first = certain(lungs)
    scores = [
        quality_of(image, first, np.roll(first, shift, 0), change=lambda _: first > 0.5).score
        for shift in (0, 10, 20, 40)
    ]
    assert scores == sorted(set(scores), reverse=True)
    assert scores[-1] < LEAST_DICE < scores[0]


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (40, 60), (1, 1)])
def test_radiographs_of_any_shape_are_assessed(shape):
    rng = np.random.default_rng(0)
    box, square = Letterbox(*shape, 64), rng.random((64, 64), np.float32)
    prediction = Prediction(box, square, (Pass(WHOLE, square), Pass(WHOLE, square[::-1])))
    quality = assess(prediction, find_lungs(prediction, cleanup=False), encode_runs(np.zeros(shape, bool)))
    assert quality.flag == DOUBTFUL
    assert 0 <= quality.score < LEAST_DICE


def best_values():
    """The signs of a perfect mask."""
    best = {name: max if sign.low_is_bad else min for name, sign in SIGNS.items()}
    return {name: best[name]([1.0, 0.0] if name != "darker" else [2.0]) for name in SIGNS}


SINGLE_PASS_BEST = {name: value for name, value in best_values().items() if name != "agreement"}


def model_of(signs):
    gate = load_gate()
    return gate.multi_pass if "agreement" in signs else gate.single_pass


VALUES = st.fixed_dictionaries(
    {name: st.floats(0, 5 if name in {"picture", "shape", "unsure"} else 1) for name in SIGNS}
)


@given(VALUES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_low_score_always_has_a_reason_in_words(values, single_pass):
    signs = {name: value for name, value in values.items() if name != "agreement" or not single_pass}
    score, reasons = load_gate().evaluate(signs)
    assert 0 <= score <= 1
    assert len(reasons) <= 3
    assert score >= model_of(signs).limit or reasons
    assert all(reason and "/" not in reason and "nan" not in reason for reason in reasons)


def ordinary(signs):
    """The same signs without any that is decisive on its own."""
    best = best_values()
    return signs | {name: best[name] for name, sign in SIGNS.items() if sign.decisive}


@pytest.mark.parametrize("passes", ["single_pass", "multi_pass"])
@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_a_mask_is_doubtful_exactly_if_its_score_is_below_the_limit(passes, values):
    signs = {name: value for name, value in ordinary(values).items() if name != "agreement" or passes == "multi_pass"}
    gate = load_gate()
    score = model_of(signs).score(signs)[0]
    for limit, doubtful in ((score, False), (np.nextafter(score, 1), True)):
        moved = replace(gate, **{passes: replace(getattr(gate, passes), limit=limit)})
        found, reasons = moved.evaluate(signs)
        assert found == score
        assert bool(reasons) == doubtful


def test_a_score_just_below_the_limit_has_the_sign_of_the_highest_cost_as_its_reason():
    gate, signs = load_gate(), best_values()
    values, costs = gate.multi_pass.tables["inside"]
    allowed = gate.multi_pass.best - odds(gate.multi_pass.limit)
    at_limit = float(np.interp(allowed, costs[::-1], values[::-1]))
    lenient = replace(gate, limits=dict.fromkeys(SIGNS, math.nan))  # no sign is unusual
    assert lenient.evaluate(signs | {"inside": at_limit + 0.001})[1] == ()
    (reason,) = lenient.evaluate(signs | {"inside": at_limit - 0.001})[1]
    assert reason == f"unsure within the mask: mean probability {at_limit - 0.001:.2f}"


@given(VALUES, st.sampled_from(sorted(SIGNS)), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_a_worse_sign_never_gives_a_higher_score(values, name, other):
    worse, better = sorted((values[name], other), reverse=not SIGNS[name].low_is_bad)
    assert load_gate().evaluate({**values, name: worse})[0] <= load_gate().evaluate({**values, name: better})[0]


@pytest.mark.parametrize("name", sorted(SIGNS))
def test_each_sign_beyond_its_limit_is_a_reason_for_doubt(name):
    gate = load_gate()
    bad = 0.0 if SIGNS[name].low_is_bad else 9.0
    doubtful = replace(gate, multi_pass=replace(gate.multi_pass, best=0.0))
    assert doubtful.evaluate({**best_values(), name: bad})[1][0] == SIGNS[name].describe(bad)


def test_the_gate_states_its_training_data():
    text = FITTED.read_text()
    assert set(json.loads(text)) >= {"train", "val", "split", "weights", "seed", "command", "licence"}
    assert "Montgomery" not in text
    assert "/" not in json.loads(text)["train"]


@pytest.mark.parametrize("passes", ["single_pass", "multi_pass"])
def test_the_shipped_numbers_are_complete_and_worse_values_never_cost_less(passes):
    gate = load_gate()
    model = getattr(gate, passes)
    assert LEAST_DICE <= model.limit < model.score(best_values() if passes == "multi_pass" else SINGLE_PASS_BEST)[0]
    assert set(model.tables) <= set(SIGNS) - {"picture"} - ({"agreement"} if passes == "single_pass" else set())
    assert set(gate.limits) == set(gate.decisive_limits) == set(SIGNS)
    for name, (values, costs) in model.tables.items():
        assert (np.diff(values) > 0).all()
        assert costs.min() == 0
        assert (np.diff(costs) <= 0 if SIGNS[name].low_is_bad else np.diff(costs) >= 0).all()


HESITANT = NetworkBaseline(dice=0.96, inside=0.92, unsure=3.0)


def test_certainty_is_assessed_relative_to_the_baseline_of_the_network():
    gate = load_gate()
    signs = best_values() | {"inside": 0.92, "unsure": 3.0}
    score, reasons = gate.evaluate(signs)
    assert score < gate.multi_pass.limit
    assert any("mean probability 0.92" in reason for reason in reasons)
    assert gate.evaluate(signs, HESITANT) == (pytest.approx(0.96), ())
    # A value that is low for this network as well is reported as measured.
    score, reasons = gate.evaluate(signs | {"inside": 0.5}, HESITANT)
    assert score < gate.multi_pass.limit
    assert any("mean probability 0.50" in reason for reason in reasons)


def test_a_network_that_is_more_certain_than_others_gets_no_more_doubt():
    signs = best_values() | {"inside": 0.97, "unsure": 0.2}
    gate = load_gate()
    assert gate.evaluate(signs, NetworkBaseline(0.99, inside=0.999, unsure=0.01)) == gate.evaluate(signs)


def test_the_expected_dice_is_at_most_that_of_the_network():
    score, reasons = load_gate().evaluate(best_values(), replace(HESITANT, dice=0.85))
    assert score == pytest.approx(0.85)
    assert reasons == ("the network reaches a Dice of 0.85 on its validation images",)
    score, (reason,) = load_gate().evaluate(best_values() | {"shape": 2.0}, replace(HESITANT, dice=0.901))
    assert score < LEAST_DICE
    assert "the network" not in reason


@given(st.floats(0.5, 1), st.sampled_from(["single_pass", "multi_pass"]))
@settings(max_examples=100, deadline=None)
def test_the_same_costs_make_a_mask_doubtful_unless_more_is_expected_than_a_bad_mask(dice, passes):
    model = getattr(load_gate(), passes)
    own = model.for_network(replace(HESITANT, dice=dice))
    allowed, of_own = (odds(one.limit) - one.best for one in (model, own))
    assert own.limit >= LEAST_DICE
    assert own.best <= model.best
    assert of_own == pytest.approx(allowed) or own.limit == LEAST_DICE
    # A mask without any cost is doubtful only if the network's own Dice is that of a bad mask.
    assert (odds(own.limit) > own.best) == (odds(LEAST_DICE) > own.best)


def odds(share):
    return math.log(share / (1 - share))


def test_the_baseline_is_measured_on_predictions():
    image, probability = radiograph()
    box, lungs, none = Letterbox(SIZE, SIZE, SIZE), encode_runs(probability > 0.5), encode_runs(probability > 1)
    predictions = [
        (Prediction(box, image, (Pass(WHOLE, probability * dice),)), lungs, none, dice) for dice in (0.7, 0.8, 0.9)
    ]
    baseline = measure_baseline(predictions)
    assert (baseline.dice, baseline.inside) == pytest.approx((0.8, 0.8), abs=0.02)  # the grid has soft boundaries
    assert measure_baseline([(predictions[0][0], none, none, 0.0)]) is None


@pytest.mark.parametrize("key", ["baseline", "usual"])  # the second is that of earlier versions
def test_several_networks_have_the_mean_baseline(key):
    one, other = ({key: {"dice": dice, "inside": 0.9, "unsure": 0.3}} for dice in (0.8, 0.9))
    assert read_baseline([one, other]) == NetworkBaseline(pytest.approx(0.85), pytest.approx(0.9), pytest.approx(0.3))
    assert read_baseline([one, {}]) is None
    for broken in ({key: {"dice": 1}}, {key: 3}, {key: {"dice": "x", "inside": 1, "unsure": 1}}):
        with pytest.raises(UsageError, match="has no numbers in baseline"):
            read_baseline([broken])

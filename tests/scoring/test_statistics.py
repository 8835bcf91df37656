import math

import numpy as np
import pytest
from scipy.stats import bootstrap, wilcoxon

from lungmask_cli.scoring.compare import EMPTY, FAILED, SCORED, Score
from lungmask_cli.scoring.definitions import Column
from lungmask_cli.scoring.statistics import bootstrap_intervals, compare, summarize

DICE, HD95 = Column("dice"), Column("hd95", unit="mm")
AREA, DIFFERENCE = Column("area_truth", unit="cm2"), Column("area_difference", unit="cm2")


def scored(values, column=DICE):
    return [Score(f"i{place}", SCORED, {column: value}) for place, value in enumerate(values)]


def statistic(values, column=DICE, patients=None):
    return summarize(scored(values, column), patients or {}, seed=0).statistics[column]


def test_mean_spread_and_quartiles_by_hand():
    found = statistic([0.5, 0.6, 0.7, 0.8, 0.9])
    assert found.count == 5
    assert found.mean == found.median == pytest.approx(0.7)
    assert found.sd == pytest.approx(math.sqrt(0.1 / 4))
    assert found.quartiles == pytest.approx((0.6, 0.8))


def test_undefined_values_are_counted_and_in_no_mean():
    found = statistic([0.5, math.nan, 0.7])
    assert (found.count, found.undefined) == (2, 1)
    assert found.mean == pytest.approx(0.6)


def test_infinite_distances_are_never_left_out():
    found = statistic([1.0, 2.0, 3.0, math.inf, math.inf, 4.0], HD95)
    assert (found.count, found.infinite) == (6, 2)
    assert found.mean == math.inf
    assert math.isnan(found.sd)
    assert all(map(math.isnan, found.interval))
    assert found.median == 3.5
    assert found.quartiles == (2.25, math.inf)
    assert [key for key, _ in found.worst] == ["i3", "i4", "i5", "i2", "i1"]


def test_worst_is_low_for_dice_high_for_distances_and_far_from_0_for_differences():
    assert statistic([0.9, 0.2, 0.5]).worst[0] == ("i1", 0.2)
    assert statistic([9.0, 2.0], HD95).worst[0] == ("i0", 9.0)
    assert statistic([3.0, -5.0, 0.0], DIFFERENCE).worst == (("i1", -5.0), ("i0", 3.0), ("i2", 0.0))
    assert statistic([3.0, 5.0], AREA).worst == ()


def test_one_value_has_no_spread_and_no_interval():
    found = statistic([0.9])
    assert math.isnan(found.sd)
    assert all(map(math.isnan, found.interval))


def test_every_status_is_counted():
    scores = [Score("a", FAILED, reason="broken"), Score("b", EMPTY, {DICE: math.nan}), *scored([0.9])]
    summary = summarize(scores, {}, seed=0)
    assert dict(summary.counts) == {SCORED: 1, EMPTY: 1, FAILED: 1}
    assert summary.counted == "1 scored, 1 empty, 1 failed"


def test_nothing_scored_is_no_statistic():
    assert summarize([Score("a", FAILED)], {}, seed=0).statistics == {}


def test_the_interval_is_the_same_for_the_same_seed_and_another_for_another():
    values = np.random.default_rng(1).beta(40, 2, (30, 1))
    units = np.arange(30)
    assert bootstrap_intervals(values, units, 3) == bootstrap_intervals(values, units, 3)
    assert bootstrap_intervals(values, units, 3) != bootstrap_intervals(values, units, 4)


def test_the_interval_is_that_of_scipy_but_for_the_wider_levels():
    values = np.random.default_rng(1).beta(40, 2, 200)
    ((low, high),) = bootstrap_intervals(values[:, None], np.arange(200), 0)
    theirs = bootstrap((values,), np.mean, n_resamples=9999, rng=0).confidence_interval  # BCa
    assert low == pytest.approx(theirs.low, abs=(theirs.high - theirs.low) * 0.06)
    assert high == pytest.approx(theirs.high, abs=(theirs.high - theirs.low) * 0.06)


def test_equal_values_have_an_interval_of_no_width():
    assert statistic([0.9] * 8).interval == (pytest.approx(0.9), pytest.approx(0.9))


def test_the_images_of_one_patient_are_no_independent_evidence():
    values = np.repeat(np.random.default_rng(0).normal(0.95, 0.02, 12), 10)
    patients = {f"i{place}": f"p{place // 10}" for place in range(120)}
    alone, together = statistic(values).interval, statistic(values, patients=patients).interval
    assert together[1] - together[0] > 2.5 * (alone[1] - alone[0])  # about the root of ten


def test_four_patients_are_too_few_for_an_interval_however_many_images_they_have():
    patients = {f"i{place}": f"p{place % 4}" for place in range(40)}
    assert all(map(math.isnan, statistic(np.linspace(0.8, 0.9, 40), patients=patients).interval))


def test_a_patient_called_like_an_image_is_another_unit():
    values = np.linspace(0.8, 0.9, 5)
    assert not math.isnan(statistic(values, patients={"i0": "i1"}).interval[0])


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_the_interval_covers_the_mean_in_93_to_97_of_a_hundred_studies(shape):
    random = np.random.default_rng(5)
    draws = {"normal": (lambda size: random.normal(0.97, 0.01, size), 0.97),
             "skewed": (lambda size: random.beta(60, 2, size), 60 / 62)}  # fmt: skip
    draw, mean = draws[shape]
    intervals = bootstrap_intervals(draw((40, 1000)), np.arange(40), 0)
    assert 930 <= sum(low <= mean <= high for low, high in intervals) <= 970


def test_two_methods_are_compared_on_the_images_that_both_have():
    first = [*scored([0.9, 0.8, 0.7, math.nan]), Score("x", FAILED)]
    second = [*scored([0.8, 0.8, 0.8, 0.5]), Score("x", SCORED, {DICE: 0.9})]
    found = compare(first, second, {}, seed=0)[DICE]
    assert (found.count, found.left_out) == (3, 2)
    assert found.mean == found.other_mean == pytest.approx(0.8)
    assert found.difference == pytest.approx(0)
    assert found.better == (1, 1)


def test_wilcoxon_is_that_of_scipy_on_the_differences():
    random = np.random.default_rng(2)
    one, two = random.normal(0.95, 0.02, 30), random.normal(0.94, 0.02, 30)
    found = compare(scored(one), scored(two), {}, seed=0)[DICE]
    assert found.p_value == pytest.approx(wilcoxon(one, two).pvalue)
    assert found.interval[0] < found.difference < found.interval[1]


def test_wilcoxon_takes_each_patient_once():
    one, two = np.repeat(np.linspace(0.8, 0.9, 6), 5), np.repeat(np.linspace(0.79, 0.88, 6), 5)
    patients = {f"i{place}": f"p{place // 5}" for place in range(30)}
    assert compare(scored(one), scored(two), patients, seed=0)[DICE].p_value == pytest.approx(2 / 2**6)


def test_two_infinite_distances_do_not_differ_and_one_is_worse():
    first, second = scored([math.inf, math.inf, 3.0], HD95), scored([math.inf, 5.0, 2.0], HD95)
    found = compare(first, second, {}, seed=0)[HD95]
    assert found.count == 3
    assert found.difference == math.inf
    assert found.better == (0, 2)


def test_equal_methods_have_no_p_value():
    same = scored([0.9, 0.8, 0.7])
    assert math.isnan(compare(same, same, {}, seed=0)[DICE].p_value)


def test_what_cannot_be_better_is_not_compared():
    assert compare(scored([1.0], AREA), scored([2.0], AREA), {}, seed=0) == {}

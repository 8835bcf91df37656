import math

import numpy as np
import pytest
from scipy.stats import bootstrap, wilcoxon

from lungmask_cli.scoring.metric_definitions import MetricColumn
from lungmask_cli.scoring.scores import EMPTY, FAILED, SCORED, Score
from lungmask_cli.scoring.statistics import bootstrap_intervals, compare_methods, summarize

DICE, HD95 = MetricColumn("dice"), MetricColumn("hd95", unit="mm")
AREA, DIFFERENCE = MetricColumn("area_truth", unit="cm2"), MetricColumn("area_difference", unit="cm2")


def scored(values, column=DICE):
    return [Score(f"i{index}", SCORED, {column: value}) for index, value in enumerate(values)]


def statistic(values, column=DICE, patients=None):
    return summarize(scored(values, column), patients or {}, seed=0).statistics[column]


def test_mean_sd_and_quartiles_computed_by_hand():
    result = statistic([0.5, 0.6, 0.7, 0.8, 0.9])
    assert result.count == 5
    assert result.mean == result.median == pytest.approx(0.7)
    assert result.sd == pytest.approx(math.sqrt(0.1 / 4))
    assert result.quartiles == pytest.approx((0.6, 0.8))


def test_undefined_values_are_counted_but_not_averaged():
    result = statistic([0.5, math.nan, 0.7])
    assert (result.count, result.undefined) == (2, 1)
    assert result.mean == pytest.approx(0.6)


def test_infinite_distances_are_never_left_out():
    result = statistic([1.0, 2.0, 3.0, math.inf, math.inf, 4.0], HD95)
    assert (result.count, result.infinite) == (6, 2)
    assert result.mean == math.inf
    assert math.isnan(result.sd)
    assert all(map(math.isnan, result.interval))
    assert result.median == 3.5
    assert result.quartiles == (2.25, math.inf)
    assert [key for key, _ in result.worst] == ["i3", "i4", "i5", "i2", "i1"]


def test_the_worst_value_depends_on_the_direction_of_the_metric():
    assert statistic([0.9, 0.2, 0.5]).worst[0] == ("i1", 0.2)
    assert statistic([9.0, 2.0], HD95).worst[0] == ("i0", 9.0)
    assert statistic([3.0, -5.0, 0.0], DIFFERENCE).worst == (("i1", -5.0), ("i0", 3.0), ("i2", 0.0))
    assert statistic([3.0, 5.0], AREA).worst == ()


def test_one_value_has_no_sd_and_no_interval():
    result = statistic([0.9])
    assert math.isnan(result.sd)
    assert all(map(math.isnan, result.interval))


def test_every_status_is_counted():
    scores = [Score("a", FAILED, reason="broken"), Score("b", EMPTY, {DICE: math.nan}), *scored([0.9])]
    summary = summarize(scores, {}, seed=0)
    assert dict(summary.counts) == {SCORED: 1, EMPTY: 1, FAILED: 1}
    assert summary.counted == "1 scored, 1 empty, 1 failed"


def test_without_scored_pairs_there_are_no_statistics():
    assert summarize([Score("a", FAILED)], {}, seed=0).statistics == {}


def test_the_interval_depends_only_on_the_seed():
    values = np.random.default_rng(1).beta(40, 2, (30, 1))
    units = np.arange(30)
    assert bootstrap_intervals(values, units, 3) == bootstrap_intervals(values, units, 3)
    assert bootstrap_intervals(values, units, 3) != bootstrap_intervals(values, units, 4)


def test_the_interval_is_that_of_scipy_except_for_the_wider_levels():
    values = np.random.default_rng(1).beta(40, 2, 200)
    ((low, high),) = bootstrap_intervals(values[:, None], np.arange(200), 0)
    theirs = bootstrap((values,), np.mean, n_resamples=9999, rng=0).confidence_interval  # BCa
    assert low == pytest.approx(theirs.low, abs=(theirs.high - theirs.low) * 0.06)
    assert high == pytest.approx(theirs.high, abs=(theirs.high - theirs.low) * 0.06)


def test_equal_values_have_an_interval_of_zero_width():
    assert statistic([0.9] * 8).interval == (pytest.approx(0.9), pytest.approx(0.9))


def test_images_of_one_patient_are_not_independent():
    values = np.repeat(np.random.default_rng(0).normal(0.95, 0.02, 12), 10)
    patients = {f"i{index}": f"p{index // 10}" for index in range(120)}
    alone, together = statistic(values).interval, statistic(values, patients=patients).interval
    assert together[1] - together[0] > 2.5 * (alone[1] - alone[0])  # about the root of ten


def test_four_patients_are_too_few_for_an_interval():
    patients = {f"i{index}": f"p{index % 4}" for index in range(40)}
    assert all(map(math.isnan, statistic(np.linspace(0.8, 0.9, 40), patients=patients).interval))


def test_a_patient_and_an_image_of_the_same_name_are_different_units():
    values = np.linspace(0.8, 0.9, 5)
    assert not math.isnan(statistic(values, patients={"i0": "i1"}).interval[0])


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_the_interval_covers_the_mean_in_93_to_97_percent_of_studies(shape):
    random = np.random.default_rng(5)
    draws = {"normal": (lambda size: random.normal(0.97, 0.01, size), 0.97),
             "skewed": (lambda size: random.beta(60, 2, size), 60 / 62)}  # fmt: skip
    draw, mean = draws[shape]
    intervals = bootstrap_intervals(draw((40, 1000)), np.arange(40), 0)
    assert 930 <= sum(low <= mean <= high for low, high in intervals) <= 970


def test_two_methods_are_compared_on_the_images_with_both_values():
    first = [*scored([0.9, 0.8, 0.7, math.nan]), Score("x", FAILED)]
    second = [*scored([0.8, 0.8, 0.8, 0.5]), Score("x", SCORED, {DICE: 0.9})]
    result = compare_methods(first, second, {}, seed=0)[DICE]
    assert (result.count, result.left_out) == (3, 2)
    assert result.mean == result.other_mean == pytest.approx(0.8)
    assert result.difference == pytest.approx(0)
    assert result.better == (1, 1)


def test_wilcoxon_equals_that_of_scipy_on_the_differences():
    random = np.random.default_rng(2)
    one, two = random.normal(0.95, 0.02, 30), random.normal(0.94, 0.02, 30)
    result = compare_methods(scored(one), scored(two), {}, seed=0)[DICE]
    assert result.p_value == pytest.approx(wilcoxon(one, two).pvalue)
    assert result.interval[0] < result.difference < result.interval[1]


def test_wilcoxon_counts_each_patient_once():
    one, two = np.repeat(np.linspace(0.8, 0.9, 6), 5), np.repeat(np.linspace(0.79, 0.88, 6), 5)
    patients = {f"i{index}": f"p{index // 5}" for index in range(30)}
    assert compare_methods(scored(one), scored(two), patients, seed=0)[DICE].p_value == pytest.approx(2 / 2**6)


def test_the_difference_of_two_infinite_distances_is_0_and_one_is_worse():
    first, second = scored([math.inf, math.inf, 3.0], HD95), scored([math.inf, 5.0, 2.0], HD95)
    result = compare_methods(first, second, {}, seed=0)[HD95]
    assert result.count == 3
    assert result.difference == math.inf
    assert result.better == (0, 2)


def test_equal_methods_have_no_p_value():
    same = scored([0.9, 0.8, 0.7])
    assert math.isnan(compare_methods(same, same, {}, seed=0)[DICE].p_value)


def test_metrics_without_a_direction_are_not_compared():
    assert compare_methods(scored([1.0], AREA), scored([2.0], AREA), {}, seed=0) == {}


def test_the_agreement_of_ratios_computed_by_hand():
    column = MetricColumn("cardiothoracic_ratio_difference")
    summary = summarize([*scored([0.01, 0.03, -0.01], column), *scored([0.9])], {}, seed=0)
    agreement = summary.ratio_agreement
    assert agreement.count == 3
    assert agreement.bias == pytest.approx(0.01)
    assert agreement.mean_absolute_error == pytest.approx(0.05 / 3)
    assert agreement.limits == pytest.approx((0.01 - 1.96 * 0.02, 0.01 + 1.96 * 0.02))
    assert summarize(scored([0.9]), {}, seed=0).ratio_agreement is None
    assert math.isnan(summarize(scored([0.1], column), {}, seed=0).ratio_agreement.limits[0])

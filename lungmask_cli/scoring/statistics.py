"""Means with confidence intervals, worst cases, and paired comparisons."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.scoring.metric_definitions import MetricColumn, sort_columns
from lungmask_cli.scoring.scores import EMPTY, FAILED, SCORED, Score

_RESAMPLES = 9999
_MIN_UNITS = 5
_LEVEL = 0.95
_CHUNK = 2_000_000  # random numbers in memory at a time
_WORST = 5
AGREEMENT_SDS = 1.96  # standard deviations that contain 95 % of normal differences
_RATIO_DIFFERENCE = "cardiothoracic_ratio_difference"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Statistic:
    """The statistics of one column over all its defined values.

    Args:
        count: number of values, including infinite ones.
        undefined: number of NaN.
        infinite: number of infinite values.
        mean: of all values; infinite if one of them is.
        sd: standard deviation with n - 1; NaN if a value is infinite or there is only one.
        median: middle value.
        quartiles: first and third, interpolated linearly.
        interval: 95 % bootstrap interval of the mean; NaN if there is none.
        worst: up to five keys with their values, worst first; empty for columns without a direction.
    """

    count: int
    undefined: int
    infinite: int
    mean: float
    sd: float
    median: float
    quartiles: tuple[float, float]
    interval: tuple[float, float]
    worst: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Agreement:
    """How predicted and reference values agree. Source: Bland and Altman 1986 (10.1016/S0140-6736(86)90837-8).

    Args:
        count: the number of pairs with a difference.
        bias: the mean of predicted minus reference value.
        mean_absolute_error: the mean of the differences without their sign.
        limits: the bias minus and plus 1.96 standard deviations; NaN for a single pair.
    """

    count: int
    bias: float
    mean_absolute_error: float
    limits: tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """All scores of one group.

    Args:
        group: its name.
        counts: the number of scores by status.
        statistics: of each column.
        ratio_agreement: that of the cardiothoracic ratios; None if none was compared.
    """

    group: str
    counts: Mapping[str, int]
    statistics: Mapping[MetricColumn, Statistic]
    ratio_agreement: Agreement | None = None

    @property
    def counted(self) -> str:
        """The counts in words."""
        return ", ".join(f"{self.counts[status]} {status}" for status in (SCORED, EMPTY, FAILED))


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same images, for one column.

    Args:
        count: images with a value of both methods; if both are infinite, the difference is 0.
        left_out: images with a value of only one method.
        mean: of the first method.
        other_mean: of the second.
        difference: mean of the first minus the second.
        interval: 95 % bootstrap interval of the difference; NaN if there is none.
        better: number of images on which the first method is better, and on which the second is.
        p_value: of Wilcoxon's signed-rank test over the patients; NaN if all differences are 0.
    """

    count: int
    left_out: int
    mean: float
    other_mean: float
    difference: float
    interval: tuple[float, float]
    better: tuple[int, int]
    p_value: float


def summarize(scores: Sequence[Score], patients: Mapping[str, str], seed: int, group: str = "") -> Summary:
    """The summary of all scores.

    Args:
        scores: of all pairs.
        patients: the patient of each key; a key without a patient is a patient of its own.
        seed: random seed of the bootstrap.
        group: name of the group.
    """
    counts = Counter(score.status for score in scores)
    columns = sort_columns(column for score in scores for column in score.values)
    keys = np.array([score.key for score in scores], object)
    units = _number_units(keys, patients)
    values = np.array([[score.values.get(column, math.nan) for column in columns] for score in scores])
    intervals = bootstrap_intervals(values, units, seed) if columns else []
    statistics = {}
    for index, column in enumerate(columns):
        scored = np.array([column in score.values for score in scores])
        statistics[column] = _statistic(column, values[scored, index], keys[scored], intervals[index])
    differences = np.array([score.values.get(MetricColumn(_RATIO_DIFFERENCE), math.nan) for score in scores])
    by_status = {status: counts[status] for status in (SCORED, EMPTY, FAILED)}
    return Summary(group, by_status, statistics, measure_agreement(differences))


def measure_agreement(differences: Floats) -> Agreement | None:
    """The agreement from the differences (N,), without those that are NaN; None if all are."""
    known = differences[~np.isnan(differences)]
    if not known.size:
        return None
    bias = float(known.mean())
    spread = AGREEMENT_SDS * float(known.std(ddof=1)) if len(known) > 1 else math.nan
    return Agreement(len(known), bias, float(np.abs(known).mean()), (bias - spread, bias + spread))


def _statistic(column: MetricColumn, values: Floats, keys: Iterable[str], interval: tuple[float, float]) -> Statistic:
    undefined = int(np.isnan(values).sum())
    named = [(key, float(value)) for key, value in zip(keys, values, strict=True) if not math.isnan(value)]
    known = values[~np.isnan(values)]
    infinite = int(np.isinf(known).sum())
    worst = sorted(named, key=lambda item: (-column.badness(item[1]), item[0]))[:_WORST]
    if not known.size:
        nan = math.nan
        return Statistic(0, undefined, 0, nan, nan, nan, (nan, nan), interval, ())
    return Statistic(
        count=len(known),
        undefined=undefined,
        infinite=infinite,
        mean=float(np.mean(known)),
        sd=float(np.std(known, ddof=1)) if len(known) > 1 and not infinite else math.nan,
        median=_quantile(known, 0.5),
        quartiles=(_quantile(known, 0.25), _quantile(known, 0.75)),
        interval=interval,
        worst=tuple(worst) if column.better else (),
    )


def _quantile(values: Floats, share: float) -> float:
    """Linear interpolation; between a number and infinity the result is infinite, while NumPy's would be NaN."""
    ordered = np.sort(values)
    position = share * (len(ordered) - 1)
    low, high = ordered[math.floor(position)], ordered[math.ceil(position)]
    return float(low if low == high else low + (high - low) * (position - math.floor(position)))


def _number_units(keys: Iterable[str], patients: Mapping[str, str]) -> NDArray[np.intp]:
    """A number for each key; keys of one patient have the same number."""
    # Pairs, so that a patient and an image of the same name stay different.
    names = [("patient", patients[key]) if key in patients else ("image", key) for key in keys]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.intp)


def bootstrap_intervals(values: Floats, units: NDArray[np.intp], seed: int) -> list[tuple[float, float]]:
    """The 95 % interval of the mean of each column of `values` (N, C), with NaN left out.

    Bias-corrected and accelerated bootstrap (BCa), because the distribution of Dice is skewed. The levels are widened
    like those of the t distribution, because plain percentiles give intervals that are too narrow for test sets of the
    usual size. Whole units are drawn with replacement. Source: Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, section 14.3; Hesterberg 2015 (American Statistician 69:371), section 5.3, for the levels.

    Args:
        values: one row per image.
        units: (N,) the number of the unit of each row, from 0.
        seed: random seed.

    Returns:
        The limits for each column; NaN if there are fewer than five units or infinite values.
    """
    count = int(units.max()) + 1 if len(units) else 0
    intervals = [(math.nan, math.nan)] * values.shape[1]
    usable = [
        index
        for index in range(values.shape[1])
        if np.count_nonzero(np.bincount(units[~np.isnan(values[:, index])])) >= _MIN_UNITS
        and not np.isinf(values[:, index]).any()
    ]
    if not usable:
        return intervals
    known = ~np.isnan(values[:, usable])
    sizes, sums = np.zeros((count, len(usable))), np.zeros((count, len(usable)))
    np.add.at(sizes, units, known)
    np.add.at(sums, units, np.where(known, values[:, usable], 0.0))
    resampled = np.concatenate([_means(weights, sums, sizes) for weights in _resamples(count, seed)])
    for column, index in enumerate(usable):
        defined = sizes[:, column] > 0
        intervals[index] = _bca(resampled[:, column], sums[defined, column], sizes[defined, column])
    return intervals


def _resamples(count: int, seed: int) -> Iterator[Floats]:
    """How often each of `count` units is drawn in each resample, in chunks (B, count)."""
    random = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // count)
    for start in range(0, _RESAMPLES, chunk):
        rows = min(chunk, _RESAMPLES - start)
        drawn = random.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(float)


def _means(weights: Floats, sums: Floats, sizes: Floats) -> Floats:
    """The means (B, C) of units drawn `weights` (B, M) times; NaN if no unit with a value was drawn."""
    total = weights @ sizes
    return np.divide(weights @ sums, total, out=np.full_like(total, np.nan), where=total > 0)


def _bca(resampled: Floats, sums: Floats, sizes: Floats) -> tuple[float, float]:
    """The limits, from the means of all resamples and from the sums and sizes of the units that have values."""
    from scipy.special import ndtr, ndtri, stdtrit

    resampled = resampled[~np.isnan(resampled)]
    count, mean = len(sums), sums.sum() / sizes.sum()
    left_one_out = (sums.sum() - sums) / (sizes.sum() - sizes)
    influence = left_one_out.mean() - left_one_out
    spread = (influence**2).sum()
    if spread <= (1e-12 * abs(mean)) ** 2:  # all values are equal
        return float(mean), float(mean)
    acceleration = (influence**3).sum() / (6 * spread**1.5)
    below = (np.count_nonzero(resampled < mean) + np.count_nonzero(resampled == mean) / 2) / len(resampled)
    bias = ndtri(np.clip(below, 1 / len(resampled), 1 - 1 / len(resampled)))
    limit = math.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 + _LEVEL) / 2)
    shifted = bias + np.array([-limit, limit])
    low, high = np.quantile(resampled, ndtr(bias + shifted / (1 - acceleration * shifted)))
    return float(low), float(high)


def compare_methods(
    scores: Sequence[Score], others: Sequence[Score], patients: Mapping[str, str], seed: int
) -> dict[MetricColumn, Comparison]:
    """The paired comparison of two methods for each column that has a direction."""
    columns = sort_columns(column for score in (*scores, *others) for column in score.values if column.better)
    by_key = {score.key: score for score in others}
    pairs = [(score, by_key[score.key]) for score in scores if score.key in by_key]
    units = _number_units([score.key for score, _ in pairs], patients)
    values = np.array(
        [[[score.values.get(column, math.nan) for column in columns] for score in pair] for pair in pairs]
    ).reshape(len(pairs), 2, len(columns))
    with np.errstate(invalid="ignore"):  # the difference of two infinite distances is 0
        differences = np.where(values[:, 0] == values[:, 1], 0.0, values[:, 0] - values[:, 1])
    intervals = bootstrap_intervals(differences, units, seed)
    return {
        column: _comparison(column, values[:, :, index], differences[:, index], units, intervals[index])
        for index, column in enumerate(columns)
    }


def _comparison(
    column: MetricColumn, values: Floats, differences: Floats, units: NDArray[np.intp], interval: tuple[float, float]
) -> Comparison:
    known = ~np.isnan(differences)
    pairs = values[known]
    badness = np.array([[column.badness(value) for value in pair] for pair in pairs]).reshape(-1, 2)
    return Comparison(
        count=int(known.sum()),
        left_out=int((~np.isnan(values).all(axis=1) & ~known).sum()),
        mean=_mean(pairs[:, 0]),
        other_mean=_mean(pairs[:, 1]),
        difference=_mean(differences[known]),
        interval=interval,
        better=(int((badness[:, 0] < badness[:, 1]).sum()), int((badness[:, 1] < badness[:, 0]).sum())),
        p_value=_wilcoxon(differences[known], units[known]),
    )


def _mean(values: Floats) -> float:
    if not len(values):
        return math.nan
    with np.errstate(invalid="ignore"):
        return float(np.mean(values))


def _wilcoxon(differences: Floats, units: NDArray[np.intp]) -> float:
    """Wilcoxon's signed-rank test of the units' mean differences, two-sided, zeros left out; NaN if all are 0."""
    from scipy.stats import wilcoxon

    means = np.array([_mean(differences[units == unit]) for unit in np.unique(units)])
    means = means[~np.isnan(means) & (means != 0)]
    return float(wilcoxon(means).pvalue) if len(means) else math.nan

"""The mathematics of `quality_gate.py fit`: from what was measured of masks to the numbers of `quality.json`."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lungmask_cli.inference.quality import LEAST_SCORE, SIGNS
from lungmask_cli.inference.signs import PcaDistance

Numbers = dict[str, object]
GOOD_DICE = 0.95
WAYS = 8
# A picture that is unlike a chest radiograph is told by a limit: what else it costs is in the other signs already.
SIGNS_OF_QUALITY = [name for name in SIGNS if name != "picture"]
NOT_CHEST_WEIGHT = 0.5  # they are easily told, and must not decide what a Dice of 0.8 looks like
DECAY = 0.01
EDGE = 0.02  # keeps the logarithm of the odds of a Dice of 0 or 1 finite


@dataclass(frozen=True)
class Row:
    """What is known of one mask.

    `group` is the radiograph's id; `dice` is 0 where the picture is no chest radiograph.
    """

    group: str
    case: str
    chest: bool
    dice: float
    signs: dict[str, float]


def fit_likeness(thumbnails: NDArray[np.float32]) -> PcaDistance:
    """What the thumbnails (count, n) are like, by their principal components."""
    mean = thumbnails.mean(0)
    _, sizes, ways = np.linalg.svd(thumbnails - mean, full_matrices=False)
    variances = sizes**2 / len(thumbnails)
    rest = float(np.sqrt(variances[WAYS:].sum()))
    return PcaDistance(mean.round(4), ways[:WAYS].round(4), np.sqrt(variances[:WAYS]).round(4), round(rest, 4))


def numbers_of(one: PcaDistance) -> Numbers:
    return {"mean": one.mean.tolist(), "ways": one.ways.tolist(), "spread": one.spread.tolist(), "rest": one.rest}


def values(rows: list[Row], name: str) -> NDArray[np.float64]:
    return np.array([row.signs[name] for row in rows])


def knots(rows: list[Row], name: str) -> list[float]:
    """Where the cost of a sign may change its slope: from the median of good masks on, towards the worse values."""
    good = values([row for row in rows if row.dice >= GOOD_DICE], name)
    bad = values([row for row in rows if row.dice < LEAST_SCORE], name)
    low = SIGNS[name].low_is_bad
    of_good, of_bad = ((50, 10, 1), (50, 10)) if low else ((50, 90, 99), (50, 90))
    wanted = [*np.percentile(good, of_good), *np.percentile(bad, of_bad)]
    least = 0.02 * float(np.ptp(np.percentile(values(rows, name), (1, 99))))
    found = wanted[:1]
    for knot in wanted[1:]:
        if (found[-1] - knot if low else knot - found[-1]) > least:
            found.append(knot)
    return found if len(found) > 1 else [found[0], found[0] + (-least if low else least)]


def ramps(found: NDArray[np.float64], at: list[float]) -> NDArray[np.float64]:
    """(count, knots - 1): from 0 at one knot to 1 at the next, and so on."""
    return np.stack([np.clip((found - start) / (end - start), 0, 1) for start, end in itertools.pairwise(at)], 1)


def fit_model(rows: list[Row]) -> Numbers:
    """The tables of what each sign costs, none of it negative.

    First so that the logarithm of the odds is near that of the Dice, which makes the difference between 0.97 and 0.95
    count; then one factor for all, so that the mean Dice of masks with one score is that score.
    """
    names = [name for name in SIGNS_OF_QUALITY if name in rows[0].signs]
    at = {name: knots(rows, name) for name in names}
    design = np.hstack([ramps(values(rows, name), at[name]) for name in names])
    dices = np.array([row.dice for row in rows])
    share = np.array([1 if row.chest else NOT_CHEST_WEIGHT for row in rows])
    best, costs = fit_costs(design, np.log((dices + EDGE) / (1 + EDGE - dices)), share / share.sum())
    shift, factor = fit_odds(best - design @ costs, dices, share / share.sum())
    tables, first = {}, 0
    for name in names:
        own = costs[first : first + len(at[name]) - 1] * factor
        first += len(own)
        ends = np.array(sorted(at[name]))
        if own.sum() >= 0.01:
            cost = ramps(ends, at[name]) @ own
            tables[name] = {"value": ends.round(4).tolist(), "cost": cost.round(3).tolist()}
    return {"best": round(float(shift + factor * best), 3), "tables": tables}


def fit_costs(
    design: NDArray[np.float64], wanted: NDArray[np.float64], share: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """The best logarithm of the odds and the cost of each ramp, by Huber's loss."""

    def loss(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        costs = numbers[1:]
        off = numbers[0] - design @ costs - wanted
        slope = share * np.clip(off, -1, 1)
        size = share @ np.where(np.abs(off) < 1, off**2 / 2, np.abs(off) - 0.5)
        decay = DECAY * (costs @ costs / 2 + costs.sum() / 4)
        return size + decay, np.append(slope.sum(), -design.T @ slope + DECAY * (costs + 0.25))

    bounds = [(None, None), *[(0, None)] * design.shape[1]]
    start = np.append(3, np.full(design.shape[1], 0.1))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000}).x
    return float(found[0]), found[1:]


def fit_odds(odds: NDArray[np.float64], dices: NDArray[np.float64], share: NDArray[np.float64]) -> tuple[float, float]:
    """The shift and the factor by which logarithms of odds become those of the mean Dice."""

    def loss(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        changed_odds = numbers[0] + numbers[1] * odds
        slope = share * (1 / (1 + np.exp(-changed_odds)) - dices)
        size = share @ (np.logaddexp(0, changed_odds) - dices * changed_odds)
        return size, np.array([slope.sum(), slope @ odds])

    shift, factor = minimize(loss, (0.0, 1.0), jac=True, method="BFGS").x
    return float(shift), float(factor)


def limits(rows: list[Row]) -> dict[str, float]:
    """The value of each sign than which 1 % of the rows have a worse one."""
    return {
        name: round(float(np.percentile(values(rows, name), 1 if SIGNS[name].low_is_bad else 99)), 4)
        for name in SIGNS
        if all(name in row.signs for row in rows)
    }


def fit_gate(once: list[Row], often: list[Row]) -> Numbers:
    """What quality.json holds but for the likenesses, from masks drawn in one look and from those drawn in several."""
    good = [row for row in often if row.chest and row.dice >= GOOD_DICE]
    as_they_are = [row for row in often if row.case == "as it is" and row.dice >= LEAST_SCORE]
    models = {"one_look": fit_model(once), "several_looks": fit_model(often)}
    return {**models, "usual": limits(as_they_are), "acceptable": limits(good)}

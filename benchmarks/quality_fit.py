"""The mathematics of `quality_gate.py fit`: from the signs and the Dice of masks to the numbers of `quality.json`."""

import itertools
from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lungmask_cli.inference.quality import LEAST_DICE, SIGNS, parse_model
from lungmask_cli.inference.signs import PcaDistance

Numbers = dict[str, object]
AS_IT_IS = "as it is"
GOOD_DICE = 0.95
COMPONENTS = 8
# Pictures that are not chest radiographs are detected by a limit, and have further costs by the other signs.
SIGNS_OF_QUALITY = [name for name in SIGNS if name != "picture"]
NOT_CHEST_WEIGHT = 0.5  # they are easy to detect, and must not dominate the fit at a Dice of 0.8
UNCHANGED_WEIGHT = 4  # few radiographs in practice are corrupted
DECAY = 0.01
EDGE = 0.02  # keeps the log-odds of a Dice of 0 or 1 finite


@dataclass(frozen=True)
class Row:
    """The measurements of one mask.

    `group` is the radiograph's id, `origin` its data set or the illness; `dice` is 0 if the picture is not a chest
    radiograph.
    """

    weights: str
    group: str
    origin: str
    case: str
    chest: bool
    dice: float
    signs: dict[str, float]


def fit_pca(thumbnails: NDArray[np.float32]) -> PcaDistance:
    """The principal component analysis of the thumbnails (count, n)."""
    mean = thumbnails.mean(0)
    _, sizes, components = np.linalg.svd(thumbnails - mean, full_matrices=False)
    variances = sizes**2 / len(thumbnails)
    residual = float(np.sqrt(variances[COMPONENTS:].sum()))
    deviations = np.sqrt(variances[:COMPONENTS])
    return PcaDistance(mean.round(4), components[:COMPONENTS].round(4), deviations.round(4), round(residual, 4))


def pca_numbers(pca: PcaDistance) -> Numbers:
    arrays = {name: getattr(pca, name).tolist() for name in ("mean", "components", "deviations")}
    return {**arrays, "residual": pca.residual}


def values(rows: list[Row], name: str) -> NDArray[np.float64]:
    return np.array([row.signs[name] for row in rows])


def knots(rows: list[Row], name: str) -> list[float]:
    """The values where the cost of a sign may change its slope, from the median of good masks to worse values."""
    good = values([row for row in rows if row.dice >= GOOD_DICE], name)
    bad = values([row for row in rows if row.dice < LEAST_DICE], name)
    low = SIGNS[name].low_is_bad
    of_good, of_bad = ((50, 10, 1), (50, 10)) if low else ((50, 90, 99), (50, 90))
    wanted = [*np.percentile(good, of_good), *np.percentile(bad, of_bad)]
    least = 0.02 * float(np.ptp(np.percentile(values(rows, name), (1, 99))))
    chosen = wanted[:1]
    for knot in wanted[1:]:
        if (chosen[-1] - knot if low else knot - chosen[-1]) > least:
            chosen.append(knot)
    return chosen if len(chosen) > 1 else [chosen[0], chosen[0] + (-least if low else least)]


def ramps(numbers: NDArray[np.float64], at: list[float]) -> NDArray[np.float64]:
    """(count, knots - 1): from 0 at one knot to 1 at the next, and so on."""
    return np.stack([np.clip((numbers - start) / (end - start), 0, 1) for start, end in itertools.pairwise(at)], 1)


def fit_model(rows: list[Row], bad_share: float) -> Numbers:
    """The tables with the costs of each sign, which are never negative, and the limit of the score.

    They are first fitted to the log-odds of the Dice, which emphasises differences such as that between 0.97 and 0.95;
    then one factor calibrates them all, so that the score is the mean Dice of masks with this score.
    """
    names = [name for name in SIGNS_OF_QUALITY if name in rows[0].signs]
    at = {name: knots(rows, name) for name in names}
    design = np.hstack([ramps(values(rows, name), at[name]) for name in names])
    dices = np.array([row.dice for row in rows])
    share = np.array([weight_of(row) for row in rows])
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
    numbers = {"best": round(float(shift + factor * best), 3), "tables": tables}
    return {**numbers, "limit": fit_limit(rows, numbers, bad_share)}


def fit_limit(rows: list[Row], model: Numbers, bad_share: float) -> float:
    """The score at which `bad_share` of the masks of unchanged radiographs are below `LEAST_DICE`."""
    unchanged = [row for row in rows if row.case == AS_IT_IS]
    scores = np.array([parse_model({**model, "limit": 0.0}).score(row.signs)[0] for row in unchanged])
    bad = np.array([float(row.dice < LEAST_DICE) for row in unchanged])
    shift, factor = fit_odds(np.log(scores / (1 - scores)), bad, np.full(len(bad), 1 / len(bad)))
    odds = (np.log(bad_share / (1 - bad_share)) - shift) / factor
    return round(float(1 / (1 + np.exp(-odds))), 3)


def weight_of(row: Row) -> float:
    if not row.chest:
        return NOT_CHEST_WEIGHT
    return UNCHANGED_WEIGHT if row.case == AS_IT_IS else 1


def fit_costs(
    design: NDArray[np.float64], wanted: NDArray[np.float64], share: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """The log-odds without costs, and the cost of each ramp, by the Huber loss."""

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
    """The shift and the factor that calibrate log-odds to those of the mean Dice."""

    def loss(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        changed_odds = numbers[0] + numbers[1] * odds
        slope = share * (1 / (1 + np.exp(-changed_odds)) - dices)
        size = share @ (np.logaddexp(0, changed_odds) - dices * changed_odds)
        return size, np.array([slope.sum(), slope @ odds])

    shift, factor = minimize(loss, (0.0, 1.0), jac=True, method="BFGS").x
    return float(shift), float(factor)


def limits(rows: list[Row]) -> dict[str, float]:
    """For each sign, the value that is exceeded on the bad side in 1 % of the rows."""
    return {
        name: round(float(np.percentile(values(rows, name), 1 if SIGNS[name].low_is_bad else 99)), 4)
        for name in SIGNS
        if all(name in row.signs for row in rows)
    }


@dataclass(frozen=True)
class Rows:
    """The measurements of masks without their localization pass, and of those with one."""

    single_pass: list[Row]
    multi_pass: list[Row]

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(self.single_pass + other.single_pass, self.multi_pass + other.multi_pass)

    def of(self, groups: Set[str]) -> "Rows":
        """Those of some radiographs."""
        return Rows(*([row for row in rows if row.group in groups] for rows in (self.single_pass, self.multi_pass)))

    def without(self, groups: Set[str]) -> "Rows":
        """Those of all other radiographs."""
        return Rows(*([row for row in rows if row.group not in groups] for rows in (self.single_pass, self.multi_pass)))


def fit_gate(changed: Rows, unchanged: Rows, bad_share: float) -> Numbers:
    """The content of quality.json without the PCA.

    Args:
        changed: masks of radiographs, unchanged and corrupted, and of pictures that are no chest radiographs.
        unchanged: masks of further radiographs that are as ill as any. The scores and their limit are fitted to them as
            well, but what is usual for a sign is not: reasons are given relative to healthier lungs.
        bad_share: a mask is doubtful if at least this share of the masks with its score is below `LEAST_DICE`.
    """
    both = changed + unchanged
    models = {name: fit_model(getattr(both, name), bad_share) for name in ("single_pass", "multi_pass")}
    good = [row for row in changed.multi_pass if row.chest and row.dice >= GOOD_DICE]
    usual = [row for row in changed.multi_pass if row.case == AS_IT_IS and row.dice >= LEAST_DICE]
    return {**models, "limits": limits(usual), "decisive_limits": limits(good)}

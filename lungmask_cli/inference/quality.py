"""How far a mask can be trusted, and why not.

An additive model: each sign (`signs.py`) that is worse than its best value has a cost, by a monotonic table, that is
subtracted from the log-odds; the remaining log-odds are converted to the expected Dice. `benchmarks/quality_gate.py`
fits the tables, which are in `quality.json`, and evaluates the gate.
"""

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.components import PixelRuns
from lungmask_cli.inference.signs import PcaDistance, measure_opacity, measure_signs, resample_to_grid
from lungmask_cli.inference.two_pass import Prediction

GOOD, DOUBTFUL = "good", "doubtful"
LEAST_DICE = 0.9  # a mask with a lower Dice is bad
LEAST_OPACITY = 0.03  # of the lungs' area; less is not reported
THROUGH_OPACITY = "drawn through an opacity"
NO_LUNG, ONE_LUNG = "no lung found", "one lung found"
# The key of a manifest that holds the baseline of its network, and its name in manifests of earlier versions.
BASELINE, OLD_BASELINE = "baseline", "usual"
_CERTAINTY = ("inside", "unsure")  # the signs that differ as much between networks as between masks of one network
_MOST_REASONS = 3
_NEGLIGIBLE = 0.05  # in log-odds: the difference between 0.90 and 0.905


@dataclass(frozen=True)
class Quality:
    """The quality of a mask, estimated without a reference mask.

    Args:
        score: the expected Dice, in [0, 1].
        confidence: the mean certainty of the network around the mask's boundary, in [0, 1].
        reasons: why the mask is doubtful, in words, the most important first; empty if it is not doubtful.
        opacity: the area of opacities that the mask was drawn through, relative to the lungs' area.
    """

    score: float
    confidence: float
    reasons: tuple[str, ...]
    opacity: float = 0.0

    @property
    def flag(self) -> str:
        """`GOOD` or `DOUBTFUL`."""
        return DOUBTFUL if self.reasons else GOOD

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user who measures aerated lung should know about the mask."""
        return (THROUGH_OPACITY,) if self.opacity >= LEAST_OPACITY else ()


@dataclass(frozen=True)
class NetworkBaseline:
    """The results on its validation images of a network that the gate was not fitted to.

    Args:
        dice: the mean Dice.
        inside: the median of the sign of that name.
        unsure: the median of the sign of that name.
    """

    dice: float
    inside: float
    unsure: float


@dataclass(frozen=True)
class Sign:
    """How the value of a sign is interpreted.

    Args:
        low_is_bad: whether small values are bad; otherwise large values are.
        describe: a bad value in words.
        decisive: whether a value beyond the decisive limit makes a mask doubtful, whatever its score.
    """

    low_is_bad: bool
    describe: Callable[[float], str]
    decisive: bool = False

    def is_worse(self, value: float, limit: float) -> bool:
        """Whether the value is on the bad side of the limit."""
        return value < limit if self.low_is_bad else value > limit

    def rescale(self, value: float, median: float, reference: float) -> float:
        """The value of a network whose median is `median`, rescaled so that the median becomes `reference`.

        Values are only ever improved: a network that is more certain than others does not deserve more doubt.
        """
        if self.low_is_bad:
            return 1 - (1 - value) * min(1.0, (1 - reference) / max(1 - median, 1e-9))
        return value * min(1.0, reference / max(median, 1e-9))


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.01 else 1}f} %"


SIGNS = {
    "picture": Sign(
        False,
        lambda value: f"does not look like a frontal chest radiograph: {value:.1f} times the usual difference",
        decisive=True,
    ),
    "smaller": Sign(
        True, lambda value: f"one lung has {_percent(value)} of the lungs' area" if value else ONE_LUNG, decisive=True
    ),
    "area": Sign(True, lambda value: f"area {_percent(value)} of the image", decisive=True),
    "shape": Sign(False, lambda value: f"not shaped like two lungs: {value:.1f} times the usual difference"),
    "agreement": Sign(True, lambda value: f"a closer look drew another mask: Dice {value:.2f} between the two"),
    "ragged": Sign(False, lambda value: f"ragged: low confidence at {_percent(value)} of the boundary"),
    "unsure": Sign(False, lambda value: f"unsure of an area as large as {_percent(value)} of the mask"),
    "inside": Sign(True, lambda value: f"unsure within the mask: mean probability {value:.2f}"),
    "darker": Sign(
        True, lambda value: f"lungs hardly darker than what is around them: by {value:.1f} standard deviations"
    ),
    "edge": Sign(False, lambda value: f"{_percent(value)} of the boundary at the image's edge: lungs may be cut off"),
}


@dataclass(frozen=True)
class Model:
    """The expected Dice as a function of the signs.

    Args:
        best: the log-odds if no sign has a cost.
        limit: a mask with a lower expected Dice is doubtful: too many of such masks are below `LEAST_DICE`.
        tables: for some signs, ascending values and the cost of each; costs in between are interpolated.
    """

    best: float
    limit: float
    tables: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

    def for_network(self, baseline: NetworkBaseline) -> "Model":
        """The model for a network, whose expected Dice is at most that of its baseline.

        The same costs make its masks doubtful, unless the expected Dice would then be below `LEAST_DICE`.
        """
        best = min(self.best, _odds(min(max(baseline.dice, 0.001), 0.999)))
        limit = _share(_odds(self.limit) + best - self.best)
        return replace(self, best=best, limit=max(limit, min(self.limit, LEAST_DICE)))

    def rescale_certainty(self, signs: Mapping[str, float], baseline: NetworkBaseline) -> dict[str, float]:
        """The signs as if the network's certainty were that of the networks that the tables were fitted to."""
        names = [name for name in _CERTAINTY if name in self.tables]
        best = {name: float(self.tables[name][0][self.tables[name][1].argmin()]) for name in names}
        rescaled = {name: SIGNS[name].rescale(signs[name], getattr(baseline, name), best[name]) for name in names}
        return {**signs, **rescaled}

    def score(self, signs: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """The expected Dice of a mask with these signs, and the cost of each sign, at least 0."""
        costs = {name: float(np.interp(signs[name], *table)) for name, table in self.tables.items()}
        return _share(self.best - sum(costs.values())), costs


def _odds(share: float) -> float:
    """The log-odds of a share in (0, 1)."""
    return math.log(share / (1 - share))


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


@dataclass(frozen=True)
class Gate:
    """The fitted quality gate.

    Args:
        single_pass: the model for masks that were predicted in one pass.
        multi_pass: the model for masks of several passes, whose agreement is known as well.
        shapes: the PCA of thumbnails of lung masks.
        pictures: the PCA of thumbnails of chest radiographs.
        limits: for each sign, the value that 1 % of unchanged radiographs exceed on the bad side.
        decisive_limits: the same for good masks, those of corrupted radiographs included.
    """

    single_pass: Model
    multi_pass: Model
    shapes: PcaDistance
    pictures: PcaDistance
    limits: Mapping[str, float]
    decisive_limits: Mapping[str, float]

    def evaluate(
        self, measured: Mapping[str, float], baseline: NetworkBaseline | None = None
    ) -> tuple[float, tuple[str, ...]]:
        """The expected Dice from the values of all signs, and the reasons for doubt, if any.

        `baseline` is that of a network that the gate was not fitted to.
        """
        model, signs = self.multi_pass if "agreement" in measured else self.single_pass, measured
        if baseline:
            model, signs = model.for_network(baseline), model.rescale_certainty(measured, baseline)
        score, costs = model.score(signs)
        decisive = {name for name in SIGNS if SIGNS[name].decisive and self._is_decisive(name, signs[name])}
        if score >= model.limit and not decisive:
            return score, ()
        reasons = [name for name in signs if name in decisive or self._is_reason(name, signs[name], costs)]
        # If the image is not a chest radiograph, no other reason matters.
        reasons.sort(key=lambda name: (name != "picture", name not in decisive, -costs.get(name, 0.0)))
        if baseline and baseline.dice < LEAST_DICE and not reasons:
            return score, (f"the network reaches a Dice of {baseline.dice:.2f} on its validation images",)
        reasons = reasons or [max(costs, key=lambda name: costs[name])]
        return score, tuple(SIGNS[name].describe(measured[name]) for name in reasons[:_MOST_REASONS])

    def _is_decisive(self, name: str, value: float) -> bool:
        one_lung = name == "smaller" and not value
        return one_lung or SIGNS[name].is_worse(value, self.decisive_limits[name])

    def _is_reason(self, name: str, value: float, costs: Mapping[str, float]) -> bool:
        counts = name == "picture" or costs.get(name, 0.0) > _NEGLIGIBLE
        return counts and SIGNS[name].is_worse(value, self.limits[name])


def assess(
    prediction: Prediction, right: PixelRuns, left: PixelRuns, baseline: NetworkBaseline | None = None
) -> Quality:
    """Assess the mask of a prediction, given as the runs of its right and left lung.

    A mask is doubtful if its score is below the limit, if it is empty or has only one lung, or if the image does not
    look like a frontal chest radiograph. `baseline` is that of a network that the gate was not fitted to.
    """
    if not right.area and not left.area:
        return Quality(0.0, 0.0, (NO_LUNG,))
    gate = load_gate()
    reduced = resample_to_grid(prediction, right, left)
    if not reduced.lungs.any():  # a few pixels
        return Quality(0.0, 0.0, (SIGNS["area"].describe(0.0),))
    score, reasons = gate.evaluate(measure_signs(reduced, gate.shapes, gate.pictures), baseline)
    return Quality(score, float(reduced.certainty.mean()), reasons, measure_opacity(reduced))


def measure_baseline(predictions: Iterable[tuple[Prediction, PixelRuns, PixelRuns, float]]) -> NetworkBaseline | None:
    """Measure the baseline of a network; None if all its masks are empty.

    Args:
        predictions: its predictions on images that it was not trained on, each with the runs of the right lung, those
            of the left lung, and the Dice of both.
    """
    gate = load_gate()
    dices, signs = [], []
    for prediction, right, left, dice in predictions:
        dices.append(dice)
        reduced = resample_to_grid(prediction, right, left)
        if reduced.lungs.any():
            signs.append(measure_signs(reduced, gate.shapes, gate.pictures))
    medians = (float(np.median([values[name] for values in signs])) for name in _CERTAINTY)
    return NetworkBaseline(float(np.mean(dices)), *medians) if signs else None


def read_baseline(manifests: Sequence[Mapping[str, Any]]) -> NetworkBaseline | None:
    """The mean baseline of the networks of these manifests; None if one has none, as those of shipped weights.

    Raises:
        UsageError: a baseline does not have the numbers that it should have.
    """
    entries = [manifest.get(BASELINE, manifest.get(OLD_BASELINE)) for manifest in manifests]
    if None in entries:
        return None
    try:
        numbers = [[float(entry[field.name]) for field in fields(NetworkBaseline)] for entry in entries]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the weights' manifest has no numbers in {BASELINE}: {error}",
            "Copy it again from where the weights came from.",
        ) from error
    return NetworkBaseline(*np.mean(numbers, axis=0).tolist())


@functools.cache
def load_gate() -> Gate:
    """The gate that ships with the package, from `quality.json`."""
    return parse_gate(json.loads(files(__package__).joinpath("quality.json").read_text(encoding="utf-8")))


def parse_model(fitted: Mapping[str, Any]) -> Model:
    """One of the two models of `quality.json`."""
    tables = {
        name: (np.array(table["value"], np.float64), np.array(table["cost"], np.float64))
        for name, table in fitted["tables"].items()
    }
    return Model(fitted["best"], fitted["limit"], tables)


def parse_gate(fitted: Mapping[str, Any]) -> Gate:
    """The gate from the content of `quality.json`."""

    def pca(numbers: Mapping[str, Any]) -> PcaDistance:
        arrays = {name: np.array(numbers[name], np.float64) for name in ("mean", "components", "deviations")}
        return PcaDistance(**arrays, residual=numbers["residual"])

    single_pass, multi_pass = (parse_model(fitted[name]) for name in ("single_pass", "multi_pass"))
    shapes, pictures = (pca(fitted[name]) for name in ("shapes", "pictures"))
    return Gate(single_pass, multi_pass, shapes, pictures, fitted["limits"], fitted["decisive_limits"])

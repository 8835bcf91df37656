"""How far a mask can be trusted, and why not.

An additive model: each sign (`signs.py`) that is worse than at its best costs some of the logarithm of the odds, by a
table that rises steadily, and what is left is turned into the Dice to be expected. `benchmarks/quality_gate.py` fits
the tables, which are in `quality.json`, and measures what they are worth.
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
from lungmask_cli.imaging.radiograph import Mask
from lungmask_cli.inference.signs import PcaDistance, look_at, measure
from lungmask_cli.inference.two_pass import Prediction

GOOD, DOUBTFUL = "good", "doubtful"
# A mask is doubtful where a lower Dice than this is to be expected.
LEAST_SCORE = 0.9
NO_LUNG, ONE_LUNG = "no lung found", "one lung found"
# The key of a manifest that has what is usual of its network.
BASELINE = "usual"
_CERTAINTY = ("inside", "unsure")  # the signs that differ as much between networks as between masks of one
_MOST_REASONS = 3
_NEGLIGIBLE = 0.05  # of the logarithm of the odds: 0.90 instead of 0.905


@dataclass(frozen=True)
class Quality:
    """What can be said of a mask without a hand-made one.

    Args:
        score: the Dice to be expected, in [0, 1].
        confidence: the mean certainty of the network around the mask's boundary, in [0, 1].
        reasons: why the mask is doubtful, in words, the most important first; empty where it is not.
    """

    score: float
    confidence: float
    reasons: tuple[str, ...]

    @property
    def flag(self) -> str:
        """`GOOD` or `DOUBTFUL`."""
        return DOUBTFUL if self.reasons else GOOD


@dataclass(frozen=True)
class NetworkBaseline:
    """What is usual of a network that the gate was not fitted to, by the validation images of its training.

    Args:
        dice: its mean Dice.
        inside: the median of the sign of that name.
        unsure: the same.
    """

    dice: float
    inside: float
    unsure: float


@dataclass(frozen=True)
class Sign:
    """What the value of a sign means.

    Args:
        low_is_bad: whether small values are the bad ones; else large ones are.
        say: a bad value in words.
        decides: whether it makes a mask doubtful, whatever its score, where it is worse than what radiographs with good
            masks have even after they were changed.
    """

    low_is_bad: bool
    say: Callable[[float], str]
    decides: bool = False

    def is_worse(self, value: float, limit: float) -> bool:
        """Whether the value is on the bad side of the limit."""
        return value < limit if self.low_is_bad else value > limit

    def relative(self, value: float, own: float, reference: float) -> float:
        """The value, whose distance from the best is usually that of `own`, as if it were usually that of `reference`.

        Never a worse one: a network that is surer than others has not deserved more doubt.
        """
        if self.low_is_bad:
            return 1 - (1 - value) * min(1.0, (1 - reference) / max(1 - own, 1e-9))
        return value * min(1.0, reference / max(own, 1e-9))


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.01 else 1}f} %"


SIGNS = {
    "picture": Sign(
        False,
        lambda value: f"does not look like a frontal chest radiograph: {value:.1f} times the usual difference",
        decides=True,
    ),
    "smaller": Sign(
        True, lambda value: f"one lung has {_percent(value)} of the lungs' area" if value else ONE_LUNG, decides=True
    ),
    "area": Sign(True, lambda value: f"area {_percent(value)} of the image", decides=True),
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
    """The Dice to be expected from the values of signs.

    Args:
        best: the logarithm of the odds where no sign costs anything.
        tables: for some signs their values, rising, and what each costs; between them it is interpolated.
    """

    best: float
    tables: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

    def for_network(self, usual: NetworkBaseline) -> "Model":
        """The model for a network whose Dice is no better than that."""
        dice = min(max(usual.dice, 0.001), 0.999)
        return replace(self, best=min(self.best, math.log(dice / (1 - dice))))

    def as_usual(self, values: Mapping[str, float], usual: NetworkBaseline) -> dict[str, float]:
        """The values as if the network were usually as certain as those that the tables were fitted to."""
        free = {name: float(self.tables[name][0][self.tables[name][1].argmin()]) for name in _CERTAINTY}
        changed = {name: SIGNS[name].relative(values[name], getattr(usual, name), free[name]) for name in _CERTAINTY}
        return {**values, **changed}

    def costs(self, values: Mapping[str, float]) -> dict[str, float]:
        """What each sign costs, at least 0."""
        return {name: float(np.interp(values[name], *table)) for name, table in self.tables.items()}

    def score(self, costs: Mapping[str, float]) -> float:
        """The Dice to be expected after these costs."""
        return 1 / (1 + math.exp(sum(costs.values()) - self.best))


@dataclass(frozen=True)
class Gate:
    """All that was fitted.

    Args:
        one_look: the model for masks that were drawn in one go.
        several_looks: the model for those where the agreement of several drawings is known as well.
        shapes: what thumbnails of lungs are like.
        pictures: what thumbnails of chest radiographs are like.
        usual: of each sign the value than which 1 % of radiographs as they are have a worse one.
        acceptable: the same of radiographs that were changed, but whose masks are good.
    """

    one_look: Model
    several_looks: Model
    shapes: PcaDistance
    pictures: PcaDistance
    usual: Mapping[str, float]
    acceptable: Mapping[str, float]

    def judge(
        self, measured: Mapping[str, float], usual: NetworkBaseline | None = None
    ) -> tuple[float, tuple[str, ...]]:
        """The Dice to be expected from all signs' values, and the reasons for doubt, if any.

        `usual` is of a network that the gate was not fitted to.
        """
        model, values = self.several_looks if "agreement" in measured else self.one_look, measured
        if usual:
            model, values = model.for_network(usual), model.as_usual(measured, usual)
        costs = model.costs(values)
        score = model.score(costs)
        decisive = {name for name, sign in SIGNS.items() if sign.decides and self._decides(name, values[name])}
        if score >= LEAST_SCORE and not decisive:
            return score, ()
        named = [name for name in values if name in decisive or self._is_reason(name, values[name], costs)]
        # Where the picture shows something else, nothing else matters.
        named.sort(key=lambda name: (name != "picture", name not in decisive, -costs.get(name, 0.0)))
        if usual and usual.dice < LEAST_SCORE and not named:
            return score, (f"the network reaches a Dice of {usual.dice:.2f} on its validation images",)
        named = named or [max(costs, key=lambda name: costs[name])]
        return score, tuple(SIGNS[name].say(measured[name]) for name in named[:_MOST_REASONS])

    def _decides(self, name: str, value: float) -> bool:
        alone = name == "smaller" and not value
        return alone or SIGNS[name].is_worse(value, self.acceptable[name])

    def _is_reason(self, name: str, value: float, costs: Mapping[str, float]) -> bool:
        counts = name == "picture" or costs.get(name, 0.0) > _NEGLIGIBLE
        return counts and SIGNS[name].is_worse(value, self.usual[name])


def assess(prediction: Prediction, right: Mask, left: Mask, usual: NetworkBaseline | None = None) -> Quality:
    """The quality of the mask that was made of the prediction, whose lungs are (H, W) bool.

    A mask is doubtful if its score is below `LEAST_SCORE`, if it is empty or of one lung, or if the picture is unlike a
    frontal chest radiograph. `usual` is of a network that the gate was not fitted to.
    """
    if not right.any() and not left.any():
        return Quality(0.0, 0.0, (NO_LUNG,))
    gate = load_gate()
    view = look_at(prediction, right, left)
    if not view.lungs.any():  # a few pixels
        return Quality(0.0, 0.0, (SIGNS["area"].say(0.0),))
    score, reasons = gate.judge(measure(view, gate.shapes, gate.pictures), usual)
    return Quality(score, view.confidence, reasons)


def measure_baseline(drawn: Iterable[tuple[Prediction, Mask, Mask, float]]) -> NetworkBaseline | None:
    """What is usual of a network; None if it has drawn nothing.

    Args:
        drawn: what it drew on images that it was not trained on, with their right and left lungs and the Dice of both.
    """
    gate = load_gate()
    dices, signs = [], []
    for prediction, right, left, dice in drawn:
        dices.append(dice)
        view = look_at(prediction, right, left)
        if view.lungs.any():
            signs.append(measure(view, gate.shapes, gate.pictures))
    if not signs:
        return None
    return NetworkBaseline(
        float(np.mean(dices)), *(float(np.median([values[name] for values in signs])) for name in _CERTAINTY)
    )


def read_baseline(manifests: Sequence[Mapping[str, Any]]) -> NetworkBaseline | None:
    """What is usual of the networks of these manifests together; None where one does not say, as those that ship.

    Raises:
        UsageError: what it says is not the numbers that it should be.
    """
    told = [manifest[BASELINE] for manifest in manifests if BASELINE in manifest]
    if len(told) < len(manifests):
        return None
    try:
        each = [[float(numbers[field.name]) for field in fields(NetworkBaseline)] for numbers in told]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the weights' manifest has no numbers in {BASELINE}: {error}",
            "Copy it again from where the weights came from.",
        ) from error
    return NetworkBaseline(*np.mean(each, axis=0).tolist())


@functools.cache
def load_gate() -> Gate:
    """What ships, as `quality.json` has it."""
    fitted: dict[str, Any] = json.loads(files(__package__).joinpath("quality.json").read_text(encoding="utf-8"))
    return read_gate(fitted)


def read_gate(fitted: Mapping[str, Any]) -> Gate:
    """The gate that is written in numbers as `quality.json` is."""

    def model(numbers: Mapping[str, Any]) -> Model:
        tables = {
            name: (np.array(table["value"], np.float64), np.array(table["cost"], np.float64))
            for name, table in numbers["tables"].items()
        }
        return Model(numbers["best"], tables)

    def likeness(numbers: Mapping[str, Any]) -> PcaDistance:
        mean, ways, spread = (np.array(numbers[name], np.float64) for name in ("mean", "ways", "spread"))
        return PcaDistance(mean, ways, spread, numbers["rest"])

    return Gate(
        model(fitted["one_look"]),
        model(fitted["several_looks"]),
        likeness(fitted["shapes"]),
        likeness(fitted["pictures"]),
        fitted["usual"],
        fitted["acceptable"],
    )

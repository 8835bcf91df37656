"""The score of one pair of masks: the values of all metrics, or the reason why there are none."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.cardiothoracic import measure_ratio
from lungmask_cli.imaging.components import count_components, encode_runs
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT, LungMask, Mask, Spacing
from lungmask_cli.imaging.sides import split_sides
from lungmask_cli.scoring.metric_definitions import DEFAULT_METRICS, METRICS, RATIOS, SURFACE, MetricColumn
from lungmask_cli.scoring.overlap import Overlap, overlap
from lungmask_cli.scoring.surface import SurfaceDistances, assign_to_lungs, raggedness, surface_distances

SCORED, EMPTY, FAILED = "scored", "empty", "failed"
_MM2_PER_CM2 = 100
_AREAS = {"area_drawn": "predicted", "area_truth": "truth"}  # the attributes of `Overlap`


@dataclass(frozen=True)
class Score:
    """The outcome for one pair.

    Args:
        key: identifier of the pair.
        status: `scored`; `empty` if both masks are empty; `failed` with a `reason` and a `hint` how to fix it.
        values: the values of the metrics.
        shape: height and width in pixels, if scored.
        spacing: pixel spacing, if known.
    """

    key: str
    status: str
    values: dict[MetricColumn, float] = field(default_factory=dict)
    reason: str = ""
    hint: str = ""
    shape: tuple[int, int] | None = None
    spacing: Spacing | None = None


def failed_score(key: str, error: ImageError) -> Score:
    """The score of a pair that cannot be compared."""
    return Score(key, FAILED, reason=error.message, hint=error.hint)


def score_masks(
    key: str,
    predicted: LungMask,
    truth: LungMask,
    spacing: Spacing | None = None,
    metrics: tuple[str, ...] = DEFAULT_METRICS,
    tolerance: float = 2.0,
) -> Score:
    """All metrics of two masks of one size.

    Args:
        key: identifier of the pair.
        predicted: the predicted mask.
        truth: the reference mask; right and left lung are scored separately if it distinguishes them.
        spacing: pixel spacing; None if unknown.
        metrics: names from `METRICS`.
        tolerance: of the normalised surface distance, in mm, or in pixels if the spacing is unknown.
    """
    values: dict[MetricColumn, float] = {}
    own_metrics = [name for name in metrics if name not in RATIOS]
    for structure, one, other in _structures(predicted, truth, spacing.mm if spacing else (1.0, 1.0)):
        pair = _StructurePair(one, other, spacing, tolerance)
        for name in own_metrics:
            unit = METRICS["hd" if name == "nsd" else name].unit(spacing is not None)
            values[MetricColumn(name, structure, unit, tolerance if name == "nsd" else None)] = pair.value(name)
    ratios = _ratios(predicted, truth)
    values |= {MetricColumn(name): ratios[name] for name in metrics if name in ratios}
    both_empty = not truth.lungs.any() and not predicted.lungs.any()
    return Score(key, EMPTY if both_empty else SCORED, values, shape=truth.shape, spacing=spacing)


def _ratios(predicted: LungMask, truth: LungMask) -> dict[str, float]:
    """The metrics of the cardiothoracic ratio; none unless both masks have a heart."""
    ratios = [_cardiothoracic_ratio(mask) for mask in (predicted, truth)]
    one, other = (math.nan if ratio is None else ratio for ratio in ratios)
    return {} if None in ratios else dict(zip(RATIOS, (one - other, one, other), strict=True))


def _cardiothoracic_ratio(mask: LungMask) -> float | None:
    """The ratio; NaN if a lung or the heart is empty, None if the mask does not have the heart at all."""
    if mask.heart is None:
        return None
    sides = split_sides(mask.lungs) if mask.right is None or mask.left is None else (mask.right, mask.left)
    ratio = measure_ratio(*map(encode_runs, (mask.heart, *sides)))
    return math.nan if ratio is None else ratio.value


def _structures(predicted: LungMask, truth: LungMask, spacing: tuple[float, float]) -> Iterator[tuple[str, Mask, Mask]]:
    yield LUNGS, predicted.lungs, truth.lungs
    if truth.heart is not None and predicted.heart is not None:
        yield HEART, predicted.heart, truth.heart
    if truth.right is None or truth.left is None:
        return
    if predicted.right is None or predicted.left is None:
        right, left = assign_to_lungs(predicted.lungs, truth.right, truth.left, spacing)
    else:
        right, left = predicted.right, predicted.left
    yield RIGHT, right, truth.right
    yield LEFT, left, truth.left


@dataclass(frozen=True)
class _StructurePair:
    """Two masks of one structure. What several metrics need is computed once, and only if one of them is requested."""

    predicted: Mask
    truth: Mask
    spacing: Spacing | None
    tolerance: float

    @cached_property
    def overlap(self) -> Overlap:
        return overlap(self.predicted, self.truth)

    @cached_property
    def distances(self) -> SurfaceDistances:
        return surface_distances(self.predicted, self.truth, self.spacing.mm if self.spacing else (1.0, 1.0))

    def value(self, name: str) -> float:
        if name == "nsd":
            return self.distances.nsd(self.tolerance)
        if name in SURFACE:
            return float(getattr(self.distances, name))
        if name.startswith(("components", "raggedness")):
            measure = count_components if name.startswith("components") else raggedness
            return measure(self.predicted if name.endswith("drawn") else self.truth)
        value = float(getattr(self.overlap, _AREAS.get(name, name)))
        if METRICS[name].kind == "area" and self.spacing:
            value *= self.spacing.row_mm * self.spacing.column_mm / _MM2_PER_CM2
        return value

"""One pair of masks: all its metrics, or why there are none."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.radiograph import LEFT, LUNGS, RIGHT, LungMask, Mask, Spacing
from lungmask_cli.scoring.definitions import COMPONENTS, METRICS, SURFACE, Column
from lungmask_cli.scoring.overlap import Overlap, overlap
from lungmask_cli.scoring.sides import split_like
from lungmask_cli.scoring.surface import SurfaceDistances, surface_distances

SCORED, EMPTY, FAILED = "scored", "empty", "failed"
_MM2_PER_CM2 = 100


@dataclass(frozen=True)
class Measure:
    """What is measured, and how.

    Args:
        metrics: names from `definitions.METRICS`.
        tolerance: of the normalised surface distance, in mm, or in pixels where the spacing is unknown.
        missing_is_empty: compare a mask without partner with an empty one, instead of failing it.
    """

    metrics: tuple[str, ...] = tuple(METRICS)
    tolerance: float = 2.0
    missing_is_empty: bool = False


@dataclass(frozen=True)
class Score:
    """The outcome for one pair.

    Args:
        key: what the pair is called.
        status: `scored`; `empty` where both masks are; `failed` with a `reason` and a `hint` what to do.
        values: the metrics.
        shape: height and width in pixels, where scored.
        spacing: of the pixels, where known.
    """

    key: str
    status: str
    values: dict[Column, float] = field(default_factory=dict)
    reason: str = ""
    hint: str = ""
    shape: tuple[int, int] | None = None
    spacing: Spacing | None = None


def failure(key: str, error: ImageError) -> Score:
    """The score of a pair that cannot be compared."""
    return Score(key, FAILED, reason=error.message, hint=error.hint)


def score_masks(key: str, drawn: LungMask, truth: LungMask, measure: Measure, spacing: Spacing | None = None) -> Score:
    """All metrics of two masks of one size.

    Args:
        key: what the pair is called.
        drawn: what is judged.
        truth: the hand-made mask; right and left lung are scored where it tells them apart.
        measure: what is measured.
        spacing: of the pixels; None if unknown.
    """
    values: dict[Column, float] = {}
    distances = spacing.mm if spacing else (1.0, 1.0)
    for structure, one, other in _structures(drawn, truth, distances):
        compared = _Compared(one, other, spacing, measure.tolerance)
        for name in measure.metrics:
            tolerance = measure.tolerance if name == "nsd" else None
            unit = METRICS["hd" if name == "nsd" else name].unit(spacing is not None)
            values[Column(name, structure, unit, tolerance)] = compared.value(name)
    both_empty = not truth.lungs.any() and not drawn.lungs.any()
    return Score(
        key,
        EMPTY if both_empty else SCORED,
        values,
        shape=truth.shape,
        spacing=spacing,
    )


def _structures(drawn: LungMask, truth: LungMask, spacing: tuple[float, float]) -> Iterator[tuple[str, Mask, Mask]]:
    yield LUNGS, drawn.lungs, truth.lungs
    if truth.right is None or truth.left is None:
        return
    if drawn.right is None or drawn.left is None:
        right, left = split_like(drawn.lungs, truth.right, truth.left, spacing)
    else:
        right, left = drawn.right, drawn.left
    yield RIGHT, right, truth.right
    yield LEFT, left, truth.left


@dataclass(frozen=True)
class _Compared:
    """Two masks of one structure; what several metrics need is computed once, and only if one of them is asked for."""

    drawn: Mask
    truth: Mask
    spacing: Spacing | None
    tolerance: float

    @cached_property
    def overlap(self) -> Overlap:
        return overlap(self.drawn, self.truth)

    @cached_property
    def distances(self) -> SurfaceDistances:
        return surface_distances(self.drawn, self.truth, self.spacing.mm if self.spacing else (1.0, 1.0))

    def value(self, name: str) -> float:
        if name == "nsd":
            return self.distances.within(self.tolerance)
        if name in SURFACE:
            return float(getattr(self.distances, name))
        if name in COMPONENTS:
            from lungmask_cli.imaging.components import count_components  # imports SciPy, which few metrics need

            return count_components(self.drawn if name == "components_drawn" else self.truth)
        if METRICS[name].unit(known=True):
            return self._areas()[name] * self._pixel_area
        return float(getattr(self.overlap, name))

    def _areas(self) -> dict[str, int]:
        areas = self.overlap
        return {
            "area_drawn": areas.drawn,
            "area_truth": areas.truth,
            "area_difference": areas.drawn - areas.truth,
            "over_segmented": areas.over_segmented,
            "under_segmented": areas.under_segmented,
        }

    @property
    def _pixel_area(self) -> float:
        return 1.0 if self.spacing is None else self.spacing.row_mm * self.spacing.column_mm / _MM2_PER_CM2

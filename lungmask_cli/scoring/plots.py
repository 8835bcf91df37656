"""Plots of a comparison: the distribution of Dice, Dice against area, and Bland-Altman plots of areas and ratios."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lungmask_cli.errors import UsageError
from lungmask_cli.files import atomic_write
from lungmask_cli.scoring.metric_definitions import MetricColumn
from lungmask_cli.scoring.scores import Score
from lungmask_cli.scoring.statistics import measure_agreement

_RATIOS = (MetricColumn("cardiothoracic_ratio_drawn"), MetricColumn("cardiothoracic_ratio_truth"))
_SUFFIXES = (".png", ".svg")


@dataclass(frozen=True)
class _PlotData:
    """Dice and areas (N,) of the pairs whose areas are in `unit`, and the number of pairs in another unit."""

    dice: NDArray[np.float64]
    predicted: NDArray[np.float64]
    truth: NDArray[np.float64]
    unit: str
    left_out: int

    @property
    def note(self) -> str:
        other = f", {self.left_out} in another unit left out" if self.left_out else ""
        return f"{len(self.dice)} images{other}"


def draw_plots(scores: Sequence[Score], folder: Path) -> list[Path]:
    """Draw `dice_distribution`, `bland_altman` and `dice_by_area`, each as PNG and SVG.

    Where both masks have a heart, also `bland_altman_cardiothoracic_ratio`.

    Pairs without Dice are left out. If the pixel spacing of some images is unknown, only the images with the more
    frequent unit are shown.

    Returns:
        The files written.

    Raises:
        UsageError: no pair has a Dice.
    """
    data = _collect(scores)
    figures = {
        "dice_distribution": _distribution(data),
        "bland_altman": _bland_altman(
            data.predicted, data.truth, f"Areas, {data.note}", f"mean of both areas ({data.unit})", data.unit
        ),
        "dice_by_area": _by_area(data),
    }
    ratios = [[score.values.get(column, math.nan) for column in _RATIOS] for score in scores]
    known = np.array([row for row in ratios if not any(map(math.isnan, row))])
    if known.size:
        title = f"Cardiothoracic ratio, {len(known)} images"
        predicted, truth = known.T
        figures["bland_altman_cardiothoracic_ratio"] = _bland_altman(predicted, truth, title, "mean of both ratios")
    paths = [folder / f"{name}{suffix}" for name in figures for suffix in _SUFFIXES]
    for path in paths:
        with atomic_write(path) as partial:
            figures[path.stem].savefig(partial, dpi=150)
    return paths


def _collect(scores: Sequence[Score]) -> _PlotData:
    units = Counter(c.unit for score in scores for c in score.values if c == MetricColumn("area_truth", unit=c.unit))
    defined = [score for score in scores if not math.isnan(score.values.get(MetricColumn("dice"), math.nan))]
    if not defined:
        raise UsageError("there is nothing to plot: no pair has a Dice", "See the reasons in the CSV file.")
    unit = units.most_common(1)[0][0]
    columns = [MetricColumn("dice"), MetricColumn("area_drawn", unit=unit), MetricColumn("area_truth", unit=unit)]
    rows = [[score.values[column] for column in columns] for score in defined if columns[1] in score.values]
    dice, predicted, truth = np.array(rows).T
    return _PlotData(dice, predicted, truth, unit, len(defined) - len(rows))


def _make_axes(title: str, horizontal: str, vertical: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=horizontal, ylabel=vertical)
    axes.grid(alpha=0.3)
    return figure, axes


def _distribution(data: _PlotData) -> Figure:
    figure, axes = _make_axes(f"Dice, {data.note}", "Dice", "images")
    axes.hist(data.dice, bins=min(50, max(10, len(data.dice) // 4)))
    for value, label, style in ((float(data.dice.mean()), "mean", "--"), (float(np.median(data.dice)), "median", "-")):
        axes.axvline(value, color="black", linestyle=style, label=f"{label} {value:.4f}")
    axes.legend()
    return figure


def _bland_altman(
    predicted: NDArray[np.float64], truth: NDArray[np.float64], title: str, horizontal: str, unit: str = ""
) -> Figure:
    """Source: Bland and Altman 1986 (Lancet 327:307)."""
    means, differences = (predicted + truth) / 2, predicted - truth
    figure, axes = _make_axes(title, horizontal, "predicted minus reference" + (f" ({unit})" if unit else ""))
    axes.scatter(means, differences, s=12, alpha=0.7)
    agreement = measure_agreement(differences)
    assert agreement is not None
    lines = ((agreement.bias, "mean"), *zip(agreement.limits, ("-1.96 SD", "+1.96 SD"), strict=True))
    for value, label in lines if len(differences) > 1 else lines[:1]:
        axes.axhline(value, color="black", linestyle="-" if label == "mean" else "--")
        axes.annotate(f"{label} {value:.4g}", (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    return figure


def _by_area(data: _PlotData) -> Figure:
    figure, axes = _make_axes(f"Dice by area, {data.note}", f"area of the reference mask ({data.unit})", "Dice")
    axes.scatter(data.truth, data.dice, s=12, alpha=0.7)
    return figure

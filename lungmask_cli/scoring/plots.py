"""Three plots of a comparison: how Dice is distributed, and how areas agree."""

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
from lungmask_cli.scoring.compare import Score
from lungmask_cli.scoring.definitions import Column

PLOTTED = ("dice", "area_drawn", "area_truth")
_LIMITS = 1.96  # standard deviations that hold 95 % of normal differences
_SUFFIXES = (".png", ".svg")


@dataclass(frozen=True)
class _Plotted:
    """Dice and areas of the pairs (N,) whose areas are in `unit`, and how many others there are."""

    dice: NDArray[np.float64]
    drawn: NDArray[np.float64]
    truth: NDArray[np.float64]
    unit: str
    left_out: int

    @property
    def note(self) -> str:
        other = f", {self.left_out} in another unit left out" if self.left_out else ""
        return f"{len(self.dice)} images{other}"


def draw_plots(scores: Sequence[Score], folder: Path) -> list[Path]:
    """Draw `dice_distribution`, `bland_altman` and `dice_by_area`, each as PNG and SVG.

    Pairs without Dice are left out. Where the pixel spacing of some images is unknown, only those of the more frequent
    unit are shown.

    Returns:
        The files that were written.

    Raises:
        UsageError: no pair has a Dice.
    """
    plotted = _plotted(scores)
    figures = {
        "dice_distribution": _distribution(plotted),
        "bland_altman": _bland_altman(plotted),
        "dice_by_area": _by_area(plotted),
    }
    paths = [folder / f"{name}{suffix}" for name in figures for suffix in _SUFFIXES]
    for path in paths:
        with atomic_write(path) as partial:
            figures[path.stem].savefig(partial, dpi=150)
    return paths


def _plotted(scores: Sequence[Score]) -> _Plotted:
    units = Counter(
        column.unit for score in scores for column in score.values if column == Column("area_truth", unit=column.unit)
    )
    found = [score for score in scores if not math.isnan(score.values.get(Column("dice"), math.nan))]
    if not found:
        raise UsageError("there is nothing to plot: no pair has a Dice", "See the reasons in the CSV file.")
    unit = units.most_common(1)[0][0]
    columns = [Column("dice"), Column("area_drawn", unit=unit), Column("area_truth", unit=unit)]
    rows = [[score.values[column] for column in columns] for score in found if columns[1] in score.values]
    dice, drawn, truth = np.array(rows).T
    return _Plotted(dice, drawn, truth, unit, len(found) - len(rows))


def _axes_of(figure: Figure, title: str, horizontal: str, vertical: str) -> Axes:
    axes = figure.subplots()
    axes.set(title=title, xlabel=horizontal, ylabel=vertical)
    axes.grid(alpha=0.3)
    return axes


def _new_figure() -> Figure:
    return Figure(figsize=(6, 4.5), layout="constrained")


def _distribution(plotted: _Plotted) -> Figure:
    figure = _new_figure()
    axes = _axes_of(figure, f"Dice, {plotted.note}", "Dice", "images")
    axes.hist(plotted.dice, bins=min(50, max(10, len(plotted.dice) // 4)))
    for value, label, style in (
        (float(plotted.dice.mean()), "mean", "--"),
        (float(np.median(plotted.dice)), "median", "-"),
    ):
        axes.axvline(value, color="black", linestyle=style, label=f"{label} {value:.4f}")
    axes.legend()
    return figure


def _bland_altman(plotted: _Plotted) -> Figure:
    """Source: Bland and Altman 1986 (Lancet 327:307)."""
    figure = _new_figure()
    means, differences = (plotted.drawn + plotted.truth) / 2, plotted.drawn - plotted.truth
    axes = _axes_of(
        figure, f"Areas, {plotted.note}", f"mean of both areas ({plotted.unit})", f"drawn minus truth ({plotted.unit})"
    )
    axes.scatter(means, differences, s=12, alpha=0.7)
    mean = float(np.mean(differences))
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    for value, label in ((mean, "mean"), (mean + _LIMITS * spread, "+1.96 SD"), (mean - _LIMITS * spread, "-1.96 SD")):
        axes.axhline(value, color="black", linestyle="-" if label == "mean" else "--")
        axes.annotate(f"{label} {value:.4g}", (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    return figure


def _by_area(plotted: _Plotted) -> Figure:
    figure = _new_figure()
    axes = _axes_of(figure, f"Dice by area, {plotted.note}", f"area of the hand-made mask ({plotted.unit})", "Dice")
    axes.scatter(plotted.truth, plotted.dice, s=12, alpha=0.7)
    return figure

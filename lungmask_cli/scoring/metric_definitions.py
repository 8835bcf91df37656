"""Defines every metric: its name, its unit, its direction, and its definition in words.

The table determines the columns of the CSV file, the summaries, `--metrics`, `--explain` and the documentation.
"""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT

Better = Literal["higher", "lower", "zero", ""]  # zero: nearest to zero; empty: no direction
_UNITS = {"length": ("mm", "px"), "area": ("cm2", "px")}
_DECIMALS = {"ratio": 4, "length": 2, "area": 1, "count": 1}
_LINE_LENGTH = 107
_STRUCTURES = {
    LUNGS: ("", ""),
    RIGHT: ("right_", "Right lung "),
    LEFT: ("left_", "Left lung "),
    HEART: ("heart_", "Heart "),
}


@dataclass(frozen=True)
class Metric:
    """One metric: `kind` is the kind of quantity, `better` the direction of good values."""

    name: str
    title: str
    kind: Literal["ratio", "length", "area", "count"]
    better: Better
    definition: str

    def unit(self, known: bool) -> str:
        """The unit if the pixel spacing is known or unknown; empty for ratios and counts."""
        return _UNITS[self.kind][0 if known else 1] if self.kind in _UNITS else ""


_METRICS = (
    Metric("dice", "Dice", "ratio", "higher", "2 |X and Y| / (|X| + |Y|)."),
    Metric("iou", "IoU", "ratio", "higher", "Intersection over union, the Jaccard index: |X and Y| / |X or Y|."),
    Metric("sensitivity", "Sensitivity", "ratio", "higher", "Recall: |X and Y| / |Y|. Undefined if Y is empty."),
    Metric(
        "precision",
        "Precision",
        "ratio",
        "higher",
        "Positive predictive value: |X and Y| / |X|. Undefined if X is empty.",
    ),
    Metric(
        "hd95",
        "HD95",
        "length",
        "lower",
        "The larger of two 95th percentiles: that of the distances from the boundary pixels of X to the boundary of "
        "Y, and that from Y to X. Percentiles are interpolated linearly.",
    ),
    Metric("hd", "HD", "length", "lower", "Hausdorff distance: the largest of all these distances."),
    Metric("assd", "ASSD", "length", "lower", "Average symmetric surface distance: the mean of all these distances."),
    Metric(
        "nsd",
        "NSD",
        "ratio",
        "higher",
        "Normalised surface distance, or surface Dice: the share of the boundary pixels of both masks whose distance "
        "to the other boundary is at most the tolerance. 0 if one mask is empty.",
    ),
    Metric(
        "area_difference", "Area difference", "area", "zero", "|X| - |Y|: above 0 if the predicted area is too large."
    ),
    Metric("over_segmented", "Over-segmented", "area", "lower", "|X without Y|: predicted, but not in the reference."),
    Metric(
        "under_segmented", "Under-segmented", "area", "lower", "|Y without X|: in the reference, but not predicted."
    ),
    Metric("area_drawn", "Predicted area", "area", "", "|X|."),
    Metric("area_truth", "Reference area", "area", "", "|Y|."),
    Metric("components_drawn", "Predicted components", "count", "", "The number of 8-connected components of X."),
    Metric("components_truth", "Reference components", "count", "", "The number of 8-connected components of Y."),
    Metric(
        "raggedness_drawn",
        "Predicted raggedness",
        "ratio",
        "lower",
        "The length of the boundary of X, divided by that of X smoothed, minus 1. X is smoothed by a Gaussian whose "
        "standard deviation is 3 % of the square root of its area, and thresholded at one half. Lengths are those of "
        "the Cauchy-Crofton formula in four directions, in pixels. Corners count as well, so that hand-made masks have "
        "0.03 to 0.06: compare it with the raggedness of Y. Undefined if the mask or the smoothed mask is empty.",
    ),
    Metric("raggedness_truth", "Reference raggedness", "ratio", "", "The same of Y."),
    Metric(
        "cardiothoracic_ratio_difference",
        "Cardiothoracic ratio difference",
        "ratio",
        "zero",
        "The predicted minus the reference ratio.",
    ),
    Metric(
        "cardiothoracic_ratio_drawn",
        "Predicted cardiothoracic ratio",
        "ratio",
        "",
        "The columns that the heart covers, divided by those that both lungs cover together. Only if both masks have a "
        "heart; undefined if a lung or the heart is empty.",
    ),
    Metric("cardiothoracic_ratio_truth", "Reference cardiothoracic ratio", "ratio", "", "The same of the reference."),
)
METRICS = {metric.name: metric for metric in _METRICS}
# All but those that take longer than the others together.
DEFAULT_METRICS = tuple(name for name in METRICS if not name.startswith("raggedness"))
RATIOS = tuple(name for name in METRICS if name.startswith("cardiothoracic_ratio"))
# The metrics of short tables and comparisons.
HEADLINES = ("dice", "hd95", "assd", "nsd")
SURFACE = frozenset({"hd95", "hd", "assd", "nsd"})
PLOTTED = ("dice", "area_drawn", "area_truth")


@dataclass(frozen=True)
class MetricColumn:
    """A metric of a structure in a unit: one column of the table.

    `unit` is `mm`, `cm2`, `px` or empty; for `nsd` it is the unit of the tolerance.
    """

    metric: str
    structure: str = LUNGS
    unit: str = ""
    tolerance: float | None = None

    @property
    def name(self) -> str:
        """The name in the CSV file: `dice`, `hd95_mm`, `right_nsd_2mm`."""
        tolerance = "" if self.tolerance is None else f"{self.tolerance:g}"
        unit = f"_{tolerance}{self.unit}" if self.unit else ""
        return f"{_STRUCTURES[self.structure][0]}{self.metric}{unit}"

    @property
    def title(self) -> str:
        """The label for readers: `HD95 (mm)`, `Right lung NSD (2 mm)`."""
        tolerance = "" if self.tolerance is None else f"{self.tolerance:g} "
        unit = f" ({tolerance}{self.unit})" if self.unit else ""
        return f"{_STRUCTURES[self.structure][1]}{METRICS[self.metric].title}{unit}"

    @property
    def better(self) -> Better:
        """The direction of good values."""
        return METRICS[self.metric].better

    @property
    def decimals(self) -> int:
        """The number of decimals in tables for readers."""
        return _DECIMALS[METRICS[self.metric].kind]

    def badness(self, value: float) -> float:
        """A number that is larger for worse values."""
        return {"higher": -value, "lower": value, "zero": abs(value), "": 0.0}[self.better]


def sort_columns(columns: Iterable[MetricColumn]) -> list[MetricColumn]:
    """The columns without duplicates: both lungs first, metrics in the order of `METRICS`, mm before pixels."""
    metrics, structures = list(METRICS), list(_STRUCTURES)
    return sorted(
        set(columns),
        key=lambda column: (structures.index(column.structure), metrics.index(column.metric), column.unit == "px"),
    )


def parse_metrics(names: str | None) -> tuple[str, ...]:
    """The metrics in a list such as `dice,hd95`, in the order of `METRICS`; `DEFAULT_METRICS` for None.

    Raises:
        UsageError: one of them is unknown.
    """
    if names is None:
        return DEFAULT_METRICS
    wanted = [name.strip().lower() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in METRICS]
    if unknown or not wanted:
        problem = f"no metric is called {unknown[0]}" if unknown else "names no metric"
        raise UsageError(f"--metrics {names}: {problem}", f"Known: {', '.join(METRICS)}.")
    return tuple(name for name in METRICS if name in wanted)


_CONVENTIONS = """\
X is the predicted mask, Y the reference mask, |.| the number of pixels or their area. Boundary: the pixels
of a mask that have at least one of their four neighbours outside the mask or outside the image. Distances
are Euclidean, measured between pixel centres and multiplied by the pixel spacing.

Units: mm and cm2 if the pixel spacing is known (from --spacing, the mask's own file, the manifest, or the
originals in --images, in this order), otherwise pixels. The name of each column gives the unit.

Both masks empty: all ratios and distances are undefined (nan). Such pairs have the status "empty", are
counted, and are not included in any mean. One mask empty: Dice, IoU and NSD are 0, and distances are
infinite (inf). They are never left out: the mean becomes infinite, while medians and quartiles remain
valid. Pairs that cannot be compared (a broken file, different sizes, no partner) are failures: counted,
listed, and not included in any mean. With --missing zero, a mask without a partner is compared with an
empty one.

Right and left are the patient's. The two lungs are scored separately if the reference masks distinguish
them: by labels (1 right, 2 left), by the segments of DICOM SEG, or by one folder for each lung. If the
predicted mask does not distinguish them, each of its pixels is assigned to the nearest reference lung.
The heart is scored if both have it: as a label, a segment, or in a folder heart/. For the cardiothoracic
ratio, the bias is the mean difference, and the limits of agreement are the bias - and + 1.96 SD.

Statistics: SD with n - 1; quartiles are interpolated linearly; worst is the value farthest from perfect.
The 95 % interval of the mean is a bias-corrected and accelerated bootstrap (BCa) with small-sample levels:
patients, or images if no patients are given, are drawn with replacement 9999 times; no interval is given
for fewer than five. No interval can account for failures that are too rare to occur in the sample.
Comparison (--compare): the differences for the same images, their bootstrap interval, and Wilcoxon's
signed-rank test of the patients' mean differences (two-sided, zeros left out). There is no correction for
testing several metrics.

Sources: Reinke et al. 2024 (Nature Methods 21:182) and Maier-Hein et al. 2024 (Nature Methods 21:195),
Metrics Reloaded; Nikolov et al. 2021 (JMIR 23:e26151) for NSD; Efron and Tibshirani 1993, section 14.3,
and Hesterberg 2015 (American Statistician 69:371) for the interval; Bland and Altman 1986 (Lancet
327:307) for the limits of agreement."""


def explanation() -> str:
    """The conventions and the definition of every metric, as `--explain` prints them."""
    lines = []
    better = {"higher": " Higher is better.", "lower": " Lower is better.", "zero": " Zero is best.", "": ""}
    for metric in METRICS.values():
        unit = f" [{' or '.join(_UNITS[metric.kind])}]" if metric.kind in _UNITS else ""
        text = f"{metric.name}{unit}: {metric.definition}{better[metric.better]}"
        lines.append(textwrap.fill(text, _LINE_LENGTH, subsequent_indent="    "))
    return f"{_CONVENTIONS}\n\n" + "\n".join(lines)

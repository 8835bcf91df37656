"""Every metric: its name, its unit, which way is better, and its definition in words.

The table feeds the columns of the CSV file, the summaries, `--metrics`, `--explain` and the documentation.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import LEFT, LUNGS, RIGHT

Better = Literal["higher", "lower", "zero", ""]
HIGHER: Better = "higher"
LOWER: Better = "lower"
ZERO: Better = "zero"  # the nearest to it
NEITHER: Better = ""
_RATIO, _LENGTH, _AREA, _COUNT = "ratio", "length", "area", "count"
_UNITS = {_LENGTH: ("mm", "px"), _AREA: ("cm2", "px")}
_DECIMALS = {_RATIO: 4, _LENGTH: 2, _AREA: 1, _COUNT: 1}
_LINE = 107
_STRUCTURES = {LUNGS: ("", ""), RIGHT: ("right_", "Right lung "), LEFT: ("left_", "Left lung ")}


@dataclass(frozen=True)
class Metric:
    """One metric. `kind` says what it measures, `better` which values are good: higher, lower, nearest zero."""

    name: str
    title: str
    kind: str
    better: Better
    definition: str

    def unit(self, known: bool) -> str:
        """The unit where the pixel spacing is known, or is not; empty for ratios and counts."""
        return _UNITS[self.kind][0 if known else 1] if self.kind in _UNITS else ""


METRICS = {
    metric.name: metric
    for metric in (
        Metric("dice", "Dice", _RATIO, HIGHER, "2 |X and Y| / (|X| + |Y|)."),
        Metric("iou", "IoU", _RATIO, HIGHER, "Intersection over union, the Jaccard index: |X and Y| / |X or Y|."),
        Metric("sensitivity", "Sensitivity", _RATIO, HIGHER, "Recall: |X and Y| / |Y|. Undefined where Y is empty."),
        Metric(
            "precision",
            "Precision",
            _RATIO,
            HIGHER,
            "Positive predictive value: |X and Y| / |X|. Undefined where X is empty.",
        ),
        Metric(
            "hd95",
            "HD95",
            _LENGTH,
            LOWER,
            "The larger of two 95th percentiles: of the distances of X's boundary pixels to Y's boundary, and of Y's "
            "to X's. Percentiles are interpolated linearly.",
        ),
        Metric("hd", "HD", _LENGTH, LOWER, "Hausdorff distance: the largest of all those distances."),
        Metric("assd", "ASSD", _LENGTH, LOWER, "Average symmetric surface distance: the mean of all those distances."),
        Metric(
            "nsd",
            "NSD",
            _RATIO,
            HIGHER,
            "Normalised surface distance, or surface Dice: the share of the boundary pixels of both that are no "
            "farther than the tolerance from the other boundary. 0 where one mask is empty.",
        ),
        Metric("area_difference", "Area difference", _AREA, ZERO, "|X| - |Y|: above 0 where too much is drawn."),
        Metric("over_segmented", "Over-segmented", _AREA, LOWER, "|X without Y|: drawn, but no lung."),
        Metric("under_segmented", "Under-segmented", _AREA, LOWER, "|Y without X|: lung that was not drawn."),
        Metric("area_drawn", "Area drawn", _AREA, NEITHER, "|X|."),
        Metric("area_truth", "Area of truth", _AREA, NEITHER, "|Y|."),
        Metric("components_drawn", "Components drawn", _COUNT, NEITHER, "The 8-connected parts of X."),
        Metric("components_truth", "Components of truth", _COUNT, NEITHER, "The 8-connected parts of Y."),
    )
}
# What a short table shows, and what is compared.
HEADLINES = ("dice", "hd95", "assd", "nsd")
SURFACE = frozenset({"hd95", "hd", "assd", "nsd"})
COMPONENTS = frozenset({"components_drawn", "components_truth"})


@dataclass(frozen=True)
class Column:
    """A metric of a structure in a unit: one column of the table.

    `unit` is `mm`, `cm2`, `px` or empty, that of the tolerance for `nsd`.
    """

    metric: str
    structure: str = LUNGS
    unit: str = ""
    tolerance: float | None = None

    @property
    def name(self) -> str:
        """As in the CSV file: `dice`, `hd95_mm`, `right_nsd_2mm`."""
        tolerance = "" if self.tolerance is None else f"{self.tolerance:g}"
        unit = f"_{tolerance}{self.unit}" if self.unit else ""
        return f"{_STRUCTURES[self.structure][0]}{self.metric}{unit}"

    @property
    def title(self) -> str:
        """As people write it: `HD95 (mm)`, `Right lung NSD (2 mm)`."""
        tolerance = "" if self.tolerance is None else f"{self.tolerance:g} "
        unit = f" ({tolerance}{self.unit})" if self.unit else ""
        title = METRICS[self.metric].title
        prefix = _STRUCTURES[self.structure][1]
        return f"{prefix}{title}{unit}"

    @property
    def better(self) -> Better:
        """Which values are good: `HIGHER`, `LOWER`, `ZERO` or `NEITHER`."""
        return METRICS[self.metric].better

    @property
    def decimals(self) -> int:
        """How many decimals a table for people shows."""
        return _DECIMALS[METRICS[self.metric].kind]

    def badness(self, value: float) -> float:
        """A number that is larger the worse the value is."""
        return {HIGHER: -value, LOWER: value, ZERO: abs(value), NEITHER: 0.0}[self.better]


def in_order(columns: Iterable[Column]) -> list[Column]:
    """The columns, each once: lungs first, metrics in the table's order, mm before pixels."""
    metrics, structures = list(METRICS), list(_STRUCTURES)
    return sorted(
        set(columns),
        key=lambda column: (structures.index(column.structure), metrics.index(column.metric), column.unit == "px"),
    )


def chosen_metrics(names: str | None) -> tuple[str, ...]:
    """The metrics in a list such as `dice,hd95`, in the table's order; all for None.

    Raises:
        UsageError: one of them is not known.
    """
    if names is None:
        return tuple(METRICS)
    wanted = [name.strip().lower() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in METRICS]
    if unknown or not wanted:
        raise UsageError(
            f"--metrics {names}: no metric is called {unknown[0] if unknown else 'so'}",
            f"Known: {', '.join(METRICS)}.",
        )
    return tuple(name for name in METRICS if name in wanted)


_POLICY = """\
X is the drawn mask, Y the hand-made one, |.| a number of pixels or their area. Boundary: the pixels of a
mask that have one of their four neighbours outside the mask or outside the image. Distances are Euclidean,
between the centres of pixels, times the pixel spacing.

Units: mm and cm2 where the pixel spacing is known (--spacing, the mask's own file, the manifest, or the
originals of --images, in this order), else pixels. Every name says which.

Both masks empty: all ratios and distances are undefined (nan). Such pairs have the status "empty", are
counted, and are in no mean. One mask empty: Dice, IoU and NSD are 0, distances infinite (inf). They are
counted and never left out: a mean over them is infinite, medians and quartiles stay what they are. Pairs
that cannot be compared (a broken file, another size, no partner) are failures: counted, listed, in no
mean. With --missing zero a mask without partner is compared with an empty one.

Right and left lung are the patient's. They are scored where the hand-made masks tell them apart: by labels
(1 right, 2 left), by the segments of DICOM SEG, or by folders for each. Where the drawn mask does not
tell, each of its pixels belongs to the hand-made lung that is nearest.

Statistics: SD with n - 1; quartiles interpolated linearly; worst is the value farthest from perfect. The
95 % interval of the mean is a bias-corrected and accelerated bootstrap (BCa) with small-sample levels:
patients, or images where no patients are given, are drawn with replacement, 9999 times; from fewer than
five of them no interval is given. No interval knows of failures that are too rare to be in the sample.
Comparisons (--compare): differences of the same images, their bootstrap interval, and Wilcoxon's
signed-rank test of the patients' mean differences (two-sided, zeros left out). No correction is made for
looking at several metrics.

Sources: Reinke et al. 2024 (Nature Methods 21:182) and Maier-Hein et al. 2024 (Nature Methods 21:195),
Metrics Reloaded; Nikolov et al. 2021 (JMIR 23:e26151) for NSD; Efron and Tibshirani 1993, section 14.3,
and Hesterberg 2015 (American Statistician 69:371) for the interval."""


def explanation() -> str:
    """What every number means, as `--explain` prints it."""
    return "\n\n".join([_POLICY, "\n".join(_definitions(tuple(METRICS.values())))])


def _definitions(metrics: Sequence[Metric]) -> Iterator[str]:
    for metric in metrics:
        unit = f" [{' or '.join(_UNITS[metric.kind])}]" if metric.kind in _UNITS else ""
        better = {HIGHER: " Higher is better.", LOWER: " Lower is better.", ZERO: " Zero is best.", NEITHER: ""}
        text = f"{metric.name}{unit}: {metric.definition}{better[metric.better]}"
        yield textwrap.fill(text, _LINE, subsequent_indent="    ")

"""Compares the metrics of `lungmask score` with those of five other libraries.

    python benchmarks/metric_agreement.py PREDS TRUTH [--real 200] [--random 2000] [--seed 0] [--json FILE]

PREDS and TRUTH are folders of masks as for `lungmask score`; the first pairs in sorted order are taken, in pixels.
Random pairs are small masks, half of them with different spacings of rows and columns. The libraries: `monai`,
`surface-distance`, `medpy`, `seg-metrics`, `SimpleITK`; missing ones are reported and skipped; at least three
are needed.

If a library defines a metric as this project does, the values must agree, otherwise the exit code is 1. If it does not,
its definition is recomputed from this project's boundaries and must agree as well; the differences between the two
definitions on the real pairs are also printed. Ratios are compared by their absolute difference, distances by the
relative one.
"""

import argparse
import json
import logging
import math
import os
import statistics
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from lungmask_cli.imaging.radiograph import LUNGS, LungMask, Mask, make_spacing
from lungmask_cli.scoring.overlap import overlap
from lungmask_cli.scoring.pairing import PREDICTED, TRUTH, find_masks, pair_masks, read_mask_files
from lungmask_cli.scoring.scores import score_masks
from lungmask_cli.scoring.surface import SurfaceDistances, boundary, surface_distances

TOLERANCE = 2.0  # of the normalised surface distance
LEAST_LIBRARIES = 3
SAME = 0.0
RATIO = 1e-6
FLOAT64 = 1e-9
# MONAI rounds every distance, and its result, to float32: steps of 1.2e-7 of the value, and sums of such numbers.
FLOAT32 = 1e-6
# torch.quantile multiplies 0.95 by the number of distances in float32, so its position is wrong by up to 1e-4 of the
# step from one distance to the next.
FLOAT32_POSITION = 1e-4
# ITK's distance map is computed in float32, with errors of up to 1e-6 if the distance is 0; so differences of values
# below 1 are taken relative to 1.
FLOAT32_MAP, LEAST = 1e-5, 1.0
ABSOLUTE = frozenset({"dice", "iou", "sensitivity", "precision", "nsd", "boundary"})
RATIOS = ("dice", "iou", "sensitivity", "precision")
DISTANCES = ("hd", "hd95", "assd")

Spacing = tuple[float, float]
Floats = NDArray[np.float64]
Value = Callable[[], float]


@dataclass(frozen=True)
class Pair:
    """Two masks; the spacing is that of rows and of columns."""

    predicted: Mask
    truth: Mask
    spacing: Spacing = (1.0, 1.0)
    real: bool = False

    @property
    def case(self) -> str:
        """Says which of the masks are empty."""
        empty = [name for name, mask in (("predicted", self.predicted), ("truth", self.truth)) if not mask.any()]
        return {0: "", 1: f"{empty[0]} empty" if empty else "", 2: "both empty"}[len(empty)]


@dataclass(frozen=True)
class Row:
    """A metric of a library compared with ours; no tolerance if the library defines the metric differently.

    Relative differences refer to the larger of both values and `least`.
    """

    library: str
    metric: str
    tolerance: float | None
    definition: str = "same"
    least: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """Both values of a row for one pair; None if a library raises."""

    row: Row
    real: bool
    case: str
    theirs: float | None
    ours: float

    @property
    def comparable(self) -> bool:
        """Whether both values are numbers that do not depend on a convention for empty masks."""
        if self.theirs is None or math.isnan(self.theirs) or math.isnan(self.ours):
            return False
        return not self.case or self.row.metric in ABSOLUTE

    @property
    def absolute(self) -> float:
        return 0.0 if self.theirs == self.ours else abs(self.theirs - self.ours)

    @property
    def relative(self) -> float:
        return self.absolute / max(abs(self.theirs), abs(self.ours), self.row.least) if self.absolute else 0.0


Compared = Iterator[tuple[Row, Value, Value]]


def by_score_masks(pair: Pair, ours: SimpleNamespace) -> Compared:
    spacing = None if pair.spacing == (1.0, 1.0) else make_spacing(*pair.spacing, "random")
    score = score_masks("", LungMask(pair.predicted), LungMask(pair.truth), spacing, tolerance=TOLERANCE)
    values = {column.metric: value for column, value in score.values.items() if column.structure == LUNGS}
    for metric in (*RATIOS, *DISTANCES, "nsd"):
        yield Row("score_masks", metric, SAME), partial(values.get, metric), partial(getattr, ours, metric)


def by_monai(pair: Pair, ours: SimpleNamespace) -> Compared:
    import torch
    from monai import metrics

    torch.set_num_threads(1)  # there is one process per core
    masks = [torch.from_numpy(mask)[None, None] for mask in (pair.predicted, pair.truth)]
    options = {"include_background": True, "spacing": pair.spacing}
    hd95 = cache(lambda: metrics.compute_hausdorff_distance(*masks, percentile=95, **options).item())
    yield Row("MONAI", "dice", RATIO), lambda: metrics.compute_dice(*masks).item(), lambda: ours.dice
    yield Row("MONAI", "iou", RATIO), lambda: metrics.compute_iou(*masks).item(), lambda: ours.iou
    yield (
        Row("MONAI", "hd", FLOAT32),
        lambda: metrics.compute_hausdorff_distance(*masks, **options).item(),
        lambda: ours.hd,
    )
    yield Row("MONAI", "hd95", FLOAT32_POSITION), hd95, lambda: ours.hd95
    yield (
        Row("MONAI", "hd95", FLOAT32, "same, with our distances in torch.quantile"),
        hd95,
        lambda: max(torch.quantile(torch.from_numpy(way.astype(np.float32)), 0.95).item() for way in ours.directions),
    )
    yield (
        Row("MONAI", "assd", FLOAT32),
        lambda: metrics.compute_average_surface_distance(*masks, symmetric=True, **options).item(),
        lambda: ours.assd,
    )
    yield (
        Row("MONAI", "nsd", RATIO),
        lambda: metrics.compute_surface_dice(*masks, [TOLERANCE], **options).item(),
        lambda: ours.nsd,
    )


def by_surface_distance(pair: Pair, ours: SimpleNamespace) -> Compared:
    import surface_distance as library

    distances = cache(lambda: library.compute_surface_distances(pair.truth, pair.predicted, pair.spacing))
    recomputed = cache(lambda: segment_values(pair))
    theirs = {
        "hd": cache(lambda: library.compute_robust_hausdorff(distances(), 100)),
        "hd95": cache(lambda: library.compute_robust_hausdorff(distances(), 95)),
        "assd": cache(lambda: statistics.mean(library.compute_average_surface_distance(distances()))),
        "nsd": cache(lambda: library.compute_surface_dice_at_tolerance(distances(), TOLERANCE)),
    }
    name = "surface-distance"
    yield (
        Row(name, "dice", RATIO),
        lambda: library.compute_dice_coefficient(pair.truth, pair.predicted),
        lambda: ours.dice,
    )
    for metric, value in theirs.items():
        yield Row(name, metric, None, "pieces of outline, by length"), value, partial(getattr, ours, metric)
        yield Row(name, metric, FLOAT64, "theirs, recomputed"), value, lambda metric=metric: recomputed()[metric]


def by_medpy(pair: Pair, ours: SimpleNamespace) -> Compared:
    from medpy.metric import binary

    masks = pair.predicted, pair.truth
    hd95 = cache(lambda: binary.hd95(*masks, pair.spacing))
    for metric, theirs in zip(RATIOS, (binary.dc, binary.jc, binary.recall, binary.precision), strict=True):
        yield Row("medpy", metric, RATIO), partial(theirs, *masks), partial(getattr, ours, metric)
    yield Row("medpy", "hd", FLOAT64), lambda: binary.hd(*masks, pair.spacing), lambda: ours.hd
    yield Row("medpy", "assd", FLOAT64), lambda: binary.assd(*masks, pair.spacing), lambda: ours.assd
    yield Row("medpy", "hd95", None, "both directions pooled"), hd95, lambda: ours.hd95
    yield (
        Row("medpy", "hd95", FLOAT64, "theirs, recomputed"),
        hd95,
        lambda: np.percentile(np.concatenate(ours.directions), 95),
    )


def by_seg_metrics(pair: Pair, ours: SimpleNamespace) -> Compared:
    from seg_metrics.seg_metrics import write_metrics

    def call(metrics: list[str], truth: Mask, predicted: Mask) -> dict[str, list[float]]:
        images = {"gdth_img": truth.astype(np.uint8), "pred_img": predicted.astype(np.uint8)}
        return write_metrics([1], **images, metrics=metrics, spacing=pair.spacing)[0]

    # It counts pixels one by one in Python; those outside both masks are in none of the four ratios.
    either = pair.predicted | pair.truth
    either[0, 0] = True  # at least one pixel, if both are empty
    voxels = ["dice", "jaccard", "recall", "precision"]
    ratios = cache(lambda: call(voxels, pair.truth[either][None], pair.predicted[either][None]))
    for metric, theirs in zip(RATIOS, voxels, strict=True):
        yield Row("seg-metrics", metric, RATIO), lambda name=theirs: ratios()[name][0], partial(getattr, ours, metric)
    distances = cache(lambda: call(["hd", "hd95", "msd"], pair.truth, pair.predicted))
    recomputed = cache(lambda: contour_values(pair))
    for metric, theirs in zip(DISTANCES, ("hd", "hd95", "msd"), strict=True):
        value = cache(lambda name=theirs: distances()[name][0])
        meaning = "thicker contours, both directions pooled" if metric == "hd95" else "thicker contours"
        yield Row("seg-metrics", metric, None, meaning), value, partial(getattr, ours, metric)
        if not (pair.predicted.all() or pair.truth.all()):  # it finds no contour in a mask that fills its image
            recomputed_row = Row("seg-metrics", metric, FLOAT32_MAP, "theirs, recomputed", LEAST)
            yield recomputed_row, value, lambda metric=metric: recomputed()[metric]


def by_simpleitk(pair: Pair, ours: SimpleNamespace) -> Compared:
    import SimpleITK as itk  # noqa: N813

    itk.ProcessObject.SetGlobalWarningDisplay(False)  # one for each empty mask
    measures = itk.LabelOverlapMeasuresImageFilter()
    plain = [itk_image(mask, pair.spacing) for mask in (pair.predicted, pair.truth)]
    filled = cache(lambda: measures.Execute(*plain))
    theirs = (
        lambda: measures.GetDiceCoefficient(1),
        lambda: measures.GetJaccardCoefficient(1),
        lambda: 1 - measures.GetFalseNegativeError(1),
        lambda: 1 - measures.GetFalseDiscoveryRate(1),
    )
    for metric, value in zip(RATIOS, theirs, strict=True):
        yield (
            Row("SimpleITK", metric, RATIO),
            lambda value=value: (filled(), value())[1],
            partial(getattr, ours, metric),
        )
    yield from by_itk_distances(pair, ours, plain)


def by_itk_distances(pair: Pair, ours: SimpleNamespace, plain: Sequence[object]) -> Compared:
    import SimpleITK as itk  # noqa: N813

    def hausdorff(one: object, other: object) -> float:
        measure = itk.HausdorffDistanceImageFilter()
        measure.Execute(one, other)
        return measure.GetHausdorffDistance()

    def differing_pixels(margin: int) -> float:
        contour = itk.LabelContour(itk_image(np.pad(pair.predicted, margin), pair.spacing), fullyConnected=False)
        return np.count_nonzero((itk.GetArrayFromImage(contour) > 0) ^ np.pad(boundary_image(pair.predicted), margin))

    # A margin, because ITK does not count the outside of an image as the outside of a mask.
    lines = [np.pad(boundary_image(mask), 1) for mask in (pair.predicted, pair.truth)]
    value = cache(lambda: hausdorff(*plain))
    yield (
        Row("SimpleITK", "hd", FLOAT64, "same, of boundary images"),
        lambda: hausdorff(*(itk_image(line, pair.spacing) for line in lines)),
        lambda: ours.hd,
    )
    yield Row("SimpleITK", "hd", None, "regions, not boundaries"), value, lambda: ours.hd
    yield Row("SimpleITK", "hd", FLOAT64, "theirs, recomputed"), value, lambda: region_hd(pair)
    yield Row("SimpleITK", "boundary", SAME, "same, in an image with a margin"), lambda: differing_pixels(1), float
    yield Row("SimpleITK", "boundary", None, "none at the image's edge"), lambda: differing_pixels(0), float


def itk_image(mask: Mask, spacing: Spacing) -> object:
    import SimpleITK as itk  # noqa: N813

    image = itk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    return image


LIBRARIES = {
    "monai": by_monai,
    "surface-distance": by_surface_distance,
    "medpy": by_medpy,
    "seg-metrics": by_seg_metrics,
    "SimpleITK": by_simpleitk,
}


def our_values(pair: Pair) -> SimpleNamespace:
    areas = overlap(pair.predicted, pair.truth)
    distances = surface_distances(pair.predicted, pair.truth, pair.spacing)
    values = {metric: getattr(areas, metric) for metric in RATIOS}
    values |= {metric: getattr(distances, metric) for metric in DISTANCES}
    return SimpleNamespace(
        **values, nsd=distances.nsd(TOLERANCE), directions=(distances.from_predicted, distances.from_truth)
    )


def boundary_image(mask: Mask) -> Mask:
    image = np.zeros_like(mask)
    image[tuple(boundary(mask).T)] = True
    return image


def nearest(points: NDArray[np.intp], others: NDArray[np.intp], spacing: Spacing) -> Floats:
    """The distance of each point to the nearest of the others, computed from integer steps."""
    index = cKDTree(others * spacing).query(points * spacing)[1]
    return np.sqrt((((points - others[index]) * spacing) ** 2).sum(axis=1))


def region_hd(pair: Pair) -> float:
    """The largest distance of any pixel of one mask to the other mask."""
    masks = pair.predicted, pair.truth
    return max(
        ndimage.distance_transform_edt(~other, sampling=pair.spacing)[one].max() for one, other in (masks, masks[::-1])
    )


def contour_values(pair: Pair) -> dict[str, float]:
    """The definition of seg-metrics: one of eight neighbours is outside the mask; no contour at the image edge."""
    masks = pair.predicted, pair.truth
    lines = [np.argwhere(mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), border_value=1)) for mask in masks]
    pooled = np.concatenate([nearest(*lines, pair.spacing), nearest(*lines[::-1], pair.spacing)])
    directions = SurfaceDistances(pooled, pooled)
    return {"hd": directions.hd, "hd95": directions.hd95, "assd": directions.assd}


def segment_values(pair: Pair) -> dict[str, float]:
    """The definition of surface-distance: pixel corners, weighted by the length of the outline around each."""
    (one, first), (other, second) = (corners(mask, pair.spacing) for mask in (pair.predicted, pair.truth))
    directions = [sorted_distances(one, other, first, pair.spacing), sorted_distances(other, one, second, pair.spacing)]
    near = sum(lengths[distances <= TOLERANCE].sum() for distances, lengths in directions)
    return {
        "hd": max(weighted_percentile(*way, 1.0) for way in directions),
        "hd95": max(weighted_percentile(*way, 0.95) for way in directions),
        "assd": statistics.mean(float(np.average(distances, weights=lengths)) for distances, lengths in directions),
        "nsd": near / sum(lengths.sum() for _, lengths in directions),
    }


def corners(mask: Mask, spacing: Spacing) -> tuple[NDArray[np.intp], Floats]:
    """The pixel corners whose four pixels are not all equal, and the length of the outline around each."""
    padded = np.pad(mask, 1).astype(int)
    around = np.stack([padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]])
    count = around.sum(axis=0)
    positions = np.argwhere((count > 0) & (count < 4))
    four, inside = around[(slice(None), *positions.T)], count[tuple(positions.T)]
    diagonal = math.hypot(*spacing) / 2
    lengths = np.full(len(positions), diagonal)
    lengths[inside == 2] = 2 * diagonal  # the two on a diagonal
    lengths[(inside == 2) & (four[0] == four[1])] = spacing[1]
    lengths[(inside == 2) & (four[0] == four[2])] = spacing[0]
    return positions, lengths


def sorted_distances(
    points: NDArray[np.intp], others: NDArray[np.intp], lengths: Floats, spacing: Spacing
) -> tuple[Floats, Floats]:
    distances = nearest(points, others, spacing)
    order = np.lexsort((lengths, distances))
    return distances[order], lengths[order]


def weighted_percentile(distances: Floats, lengths: Floats, share: float) -> float:
    position = np.searchsorted(np.cumsum(lengths) / lengths.sum(), share)
    return float(distances[min(position, len(distances) - 1)])


def compare_pair(pair: Pair, libraries: Sequence[str]) -> list[Outcome]:
    """Every row for one pair."""
    warnings.simplefilter("ignore")
    logging.disable()
    ours = our_values(pair)
    outcomes = []
    for compared in (by_score_masks, *(LIBRARIES[name] for name in libraries)):
        for row, theirs, own in compared(pair, ours):
            value = attempt(theirs)
            if row.tolerance is None or not pair.case or row.definition == "same":
                outcomes.append(Outcome(row, pair.real, pair.case, value, math.nan if value is None else float(own())))
    return outcomes


def attempt(value: Value) -> float | None:
    # Libraries may raise for empty masks; for other masks an error counts as disagreement.
    try:
        return float(value())
    except Exception:
        return None


def real_pairs(preds: Path, truth: Path) -> Iterator[Pair]:
    for pair in pair_masks({PREDICTED: find_masks(preds), TRUTH: find_masks(truth)}).pairs:
        if all(pair.files.values()):
            predicted, other = (read_mask_files(files).lungs for files in pair.files.values())
            if predicted.shape == other.shape:
                yield Pair(predicted, other, real=True)


def random_pairs(random: np.random.Generator, count: int) -> Iterator[Pair]:
    for number in range(count):
        height, width = random.integers(1, 41, 2)
        predicted = random_mask(random, height, width)
        truth = altered(random, predicted) if random.random() < 0.5 else random_mask(random, height, width)
        spacing = (1.0, 1.0)
        if number % 2:
            spacing = tuple(random.uniform(0.05, 3, 2).tolist())
        if number % 4 == 1:  # files often give few decimals, which makes distances equal to the tolerance common
            spacing = tuple(random.choice([0.1, 0.2, 0.4, 0.5, 1.0, 2.0], 2).tolist())
        yield Pair(predicted, truth, spacing)


def random_mask(random: np.random.Generator, height: int, width: int) -> Mask:
    kind, density = random.random(), random.choice([0.02, 0.1, 0.3, 0.5, 0.8, 0.98, 1.0])
    mask = np.zeros((height, width), bool)
    if kind < 0.04:
        return mask
    if kind < 0.08:
        mask[random.integers(height), random.integers(width)] = True
        return mask
    field = random.random((height, width))
    if kind < 0.7:
        field = ndimage.gaussian_filter(field, random.uniform(0.7, 4))
    return field <= np.quantile(field, density)


def altered(random: np.random.Generator, mask: Mask) -> Mask:
    """The mask with some pixels flipped, or shifted cyclically, dilated or eroded."""
    kind = random.integers(4)
    if kind == 0:
        return mask ^ (random.random(mask.shape) < 0.05)
    if kind == 1:
        return np.roll(mask, random.integers(-3, 4, 2), axis=(0, 1))
    return ndimage.binary_dilation(mask) if kind == 2 else ndimage.binary_erosion(mask)


def installed() -> dict[str, str]:
    """The version of each installed library."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            print(f"{name} is not installed", file=sys.stderr)
    return versions


def agreement(rows: dict[Row, list[Outcome]]) -> list[dict[str, object]]:
    """The metrics that must agree: the number of pairs compared and the largest differences."""
    table = []
    for row, outcomes in rows.items():
        if row.tolerance is None:
            continue
        compared = [outcome for outcome in outcomes if outcome.comparable]
        missing = sum(not (outcome.comparable or outcome.case) for outcome in outcomes)
        absolute = max((outcome.absolute for outcome in compared), default=math.nan)
        relative = max((outcome.relative for outcome in compared), default=math.nan)
        measure = "absolute" if row.metric in ABSOLUTE else "relative"
        table.append(
            {
                "library": row.library,
                "metric": row.metric,
                "definition": row.definition,
                "pairs": len(compared),
                "real_pairs": sum(outcome.real for outcome in compared),
                "largest_absolute": absolute,
                "largest_relative": relative,
                "allowed": row.tolerance,
                "measure": measure,
                "disagreeing": missing + sum(getattr(outcome, measure) > row.tolerance for outcome in compared),
            }
        )
        table[-1]["agrees"] = bool(compared) and not table[-1]["disagreeing"]
    return table


def deviations(rows: dict[Row, list[Outcome]]) -> list[dict[str, object]]:
    """The metrics defined differently: the differences on the real pairs and on the random ones."""
    table = []
    for row, outcomes in rows.items():
        if row.tolerance is not None:
            continue
        real, other = (
            [o for o in outcomes if o.comparable and not o.case and o.real == kind] for kind in (True, False)
        )
        differences = [outcome.theirs - outcome.ours for outcome in real]
        table.append(
            {
                "library": row.library,
                "metric": row.metric,
                "definition": row.definition,
                "pairs": len(real),
                "median_absolute": statistics.median(map(abs, differences)) if differences else math.nan,
                "largest_absolute": max(map(abs, differences), default=math.nan),
                "mean": statistics.mean(differences) if differences else math.nan,
                "our_mean": statistics.mean(outcome.ours for outcome in real) if differences else math.nan,
                "random_pairs": len(other),
                "largest_absolute_random": max((outcome.absolute for outcome in other), default=math.nan),
            }
        )
    return table


def conventions(rows: dict[Row, list[Outcome]]) -> list[dict[str, str]]:
    """The values that each library returns for empty masks."""
    table = []
    for row, outcomes in rows.items():
        if row.metric == "boundary" or not (row.definition == "same" or row.tolerance is None):
            continue
        cells = {}
        for case in ("both empty", "predicted empty", "truth empty"):
            values = [outcome.theirs for outcome in outcomes if outcome.case == case]
            cells[case] = "; ".join(sorted({format_value(value) for value in values})) or "-"
        table.append({"library": row.library, "metric": row.metric, "definition": row.definition, **cells})
    return table


def format_value(value: float | None) -> str:
    if value is None:
        return "error"
    return f"{value:g}" if value in {0.0, 1.0} or not abs(value) < 1e300 else "a number"


def print_tables(report: dict) -> None:
    counts = report["pairs"]
    print(f"{counts['real']} real pairs, {counts['random']} random pairs, seed {report['seed']}")
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    header = f"{'pairs':>5} {'real':>5} {'absolute':>9} {'relative':>9} {'allowed':>8}  same?"
    print(f"\n{'library':17} {'metric':12} {header}")
    for row in report["agreement"]:
        meaning = row["definition"].replace("same", "yes").replace("theirs", "no; theirs")
        verdict = "" if row["agrees"] else f"  DISAGREES in {row['disagreeing']} pairs"
        print(
            f"{row['library']:17} {row['metric']:12} {row['pairs']:5} {row['real_pairs']:5} "
            f"{row['largest_absolute']:9.1e} {row['largest_relative']:9.1e} {row['allowed']:8.0e}  {meaning}{verdict}"
        )
    print("\nOther definitions, theirs minus ours on the real pairs (px)")
    print(f"{'library':17} {'metric':12} {'pairs':>5} {'median':>8} {'largest':>8} {'mean':>8} {'our mean':>8}  theirs")
    for row in report["deviations"]:
        print(
            f"{row['library']:17} {row['metric']:12} {row['pairs']:5} {row['median_absolute']:8.4f} "
            f"{row['largest_absolute']:8.4f} {row['mean']:8.4f} {row['our_mean']:8.4f}  {row['definition']}"
        )
    print(f"\nEmpty masks\n{'library':17} {'metric':12} {'both':13} {'predicted':13} truth")
    for row in report["empty"]:
        cells = f"{row['both empty']:13} {row['predicted empty']:13} {row['truth empty']}"
        print(f"{row['library']:17} {row['metric']:12} {cells}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preds", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--real", type=int, default=200, help="real pairs, the first in sorted order")
    parser.add_argument("--random", type=int, default=2000, help="random pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    versions = installed()
    if len(versions) < LEAST_LIBRARIES:
        parser.error(f"at least {LEAST_LIBRARIES} of {', '.join(LIBRARIES)} are needed")
    pairs = [
        *islice(real_pairs(options.preds, options.truth), options.real),
        *random_pairs(np.random.default_rng(options.seed), options.random),
    ]
    rows: dict[Row, list[Outcome]] = defaultdict(list)
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for outcomes in pool.map(partial(compare_pair, libraries=tuple(versions)), pairs, chunksize=8):
            for outcome in outcomes:
                rows[outcome.row].append(outcome)
    real = sum(pair.real for pair in pairs)
    report = {
        "pairs": {"real": real, "random": len(pairs) - real},
        "seed": options.seed,
        "tolerance": TOLERANCE,
        "versions": {"numpy": np.__version__, "scipy": metadata.version("scipy"), **versions},
        "agreement": agreement(rows),
        "deviations": deviations(rows),
        "empty": conventions(rows),
    }
    print_tables(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if real < options.real:
        print(f"only {real} real pairs", file=sys.stderr)
    return int(real < options.real or not all(row["agrees"] for row in report["agreement"]))


if __name__ == "__main__":
    sys.exit(main())

"""Scores of many pairs: rows, their CSV, and a summary."""

import math
from dataclasses import dataclass

import numpy as np

from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.raster import size_text
from lungmask_cli.imaging.write import csv_text
from lungmask_cli.scoring.overlap import Overlap, overlap
from lungmask_cli.scoring.pairing import MaskFiles, MaskPair

SCORED, FAILED = "scored", "failed"
_COLUMNS = ("file", "status", "reason", "dice", "iou")


@dataclass(frozen=True)
class Score:
    """The outcome for one pair: `result` where it was scored, else `reason`."""

    key: str
    result: Overlap | None
    reason: str = ""


def score_pair(pair: MaskPair, drawn: MaskFiles, truth: MaskFiles) -> Score:
    """Read and compare one pair; whatever is wrong with it becomes the reason."""
    if not pair.drawn:
        return Score(pair.key, None, f"{pair.truth[0]}: has no partner in {drawn.folder}")
    if not pair.truth:
        return Score(pair.key, None, f"{pair.drawn[0]}: has no partner in {truth.folder}")
    try:
        first, second = drawn.read(pair.drawn), truth.read(pair.truth)
    except ImageError as error:
        return Score(pair.key, None, error.message)
    if first.shape != second.shape:
        sizes = f"{size_text(first)} and {size_text(second)} pixels"
        return Score(pair.key, None, f"{pair.drawn[0]} and {pair.truth[0]} differ in size: {sizes}")
    return Score(pair.key, overlap(first, second))


def to_csv(scores: list[Score]) -> str:
    """One row per pair: file, status, reason, dice, iou; undefined scores are `nan`, missing ones empty."""
    return csv_text(_COLUMNS, map(_cells, scores))


def _cells(score: Score) -> tuple[str, ...]:
    if score.result is None:
        return score.key, FAILED, score.reason, "", ""
    return score.key, SCORED, "", f"{score.result.dice:.8f}", f"{score.result.iou:.8f}"


@dataclass(frozen=True)
class Summary:
    """Counts, and mean, standard deviation (n - 1), median and least value of the defined scores."""

    scored: int
    undefined: int
    failed: int
    dice: tuple[float, float, float, float]
    iou: tuple[float, float, float, float]
    worst: str


def summarize(scores: list[Score]) -> Summary:
    """The summary of all scores; pairs with both masks empty are counted as undefined and enter no mean."""
    results = {score.key: score.result for score in scores if score.result is not None}
    defined = {key: result for key, result in results.items() if not math.isnan(result.dice)}
    return Summary(
        scored=len(defined),
        undefined=len(results) - len(defined),
        failed=len(scores) - len(results),
        dice=_statistics([result.dice for result in defined.values()]),
        iou=_statistics([result.iou for result in defined.values()]),
        worst=min(defined, key=lambda key: defined[key].dice, default=""),
    )


def _statistics(values: list[float]) -> tuple[float, float, float, float]:
    if not values:
        return (math.nan,) * 4
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return float(np.mean(values)), spread, float(np.median(values)), min(values)

"""Many pairs of masks: read, compared and drawn, in several processes."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.masks import MaskOptions
from lungmask_cli.formats.radiographs import read_radiograph, read_spacing
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS, LungMask, Spacing, format_size
from lungmask_cli.scoring.compare import Measure, Score, failure, score_masks
from lungmask_cli.scoring.pairing import Files, MaskPair, read_files

if TYPE_CHECKING:
    from lungmask_cli.gallery.picture import Picture

_SAMPLE = 4
_WORTH_SECONDS = 1.0  # processes need about half of it to start
PREDICTED, TRUTH, OTHER = "drawn", "truth", "other"


@dataclass(frozen=True)
class Case:
    """A pair of masks, and what is known about it from elsewhere.

    Args:
        pair: the files.
        image: the radiograph itself, if it is at hand.
        given: the pixel spacing that overrules the one in files.
        manifest: the pixel spacing for files that give none.
        manifest_side: the side of the square masks in pixels that `manifest` holds for; None where it holds for all.
    """

    pair: MaskPair
    image: Path | None = None
    given: Spacing | None = None
    manifest: Spacing | None = None
    manifest_side: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """How all cases are evaluated.

    Args:
        measure: what is measured.
        masks: what the numbers in the files mean, for `PREDICTED`, `TRUTH` and `OTHER`.
        folders: where the masks are, for messages about those that are not there.
        picture_side: the longer side of the pictures in pixels; None for no pictures.
    """

    measure: Measure
    masks: dict[str, MaskOptions]
    folders: dict[str, Path]
    picture_side: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one case: `other` is the second method's score; `note` says why there is no backdrop.

    `labelled` and `maybe_labelled` name the folders whose file was, or could be, one of labels.
    """

    case: Case
    score: Score
    other: Score | None = None
    picture: "Picture | None" = None
    note: str = ""
    labelled: frozenset[str] = frozenset()
    maybe_labelled: frozenset[str] = frozenset()


def evaluate_all(
    cases: Sequence[Case],
    how: Evaluation,
    jobs: int,
    progress: Callable[[Iterable[Case]], Iterable[Case]] = iter,
    take_picture: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """All outcomes, in the order of the cases.

    Where some files of a folder hold the labels 1 and 2, its files of nothing but 0 and 1 are taken for labels too.

    Args:
        cases: the pairs.
        how: what is done with each.
        jobs: how many processes may work at it.
        progress: wraps the cases, to be told how far it is.
        take_picture: is handed each outcome that has a picture, as soon as it is there; the list is without them.

    Raises:
        UsageError: a process was killed.
    """
    found: dict[str, Outcome] = {}
    results = _outcomes(cases, how, jobs)
    for _ in progress(cases):  # as many steps as cases, whichever is finished first
        outcome = next(results)
        if outcome.picture:
            take_picture(outcome)
        found[outcome.case.pair.key] = replace(outcome, picture=None)
    next(results, None)  # lets the processes end by themselves
    labelled = frozenset[str]().union(*(outcome.labelled for outcome in found.values()))
    again = [outcome.case for outcome in found.values() if outcome.maybe_labelled & labelled]
    masks = {name: replace(how.masks[name], labels=DEFAULT_LABELS) for name in labelled}
    certain = replace(how, masks=how.masks | masks, picture_side=None)
    for outcome in _outcomes(again, certain, jobs):
        found[outcome.case.pair.key] = replace(outcome, note=found[outcome.case.pair.key].note)
    return [found[case.pair.key] for case in cases]


def _outcomes(cases: Sequence[Case], how: Evaluation, jobs: int) -> Iterator[Outcome]:
    """In any order; processes are started only for what would take longer than that."""
    seconds = []
    for case in cases[:_SAMPLE]:
        started = time.perf_counter()
        yield evaluate(case, how)
        seconds.append(time.perf_counter() - started)
    rest = cases[_SAMPLE:]
    if jobs > 1 and rest and min(seconds) * len(rest) > _WORTH_SECONDS:
        from lungmask_cli.processes import map_in_processes

        yield from map_in_processes(partial(evaluate, how=how), rest, jobs)
    else:
        yield from (evaluate(case, how) for case in rest)


def evaluate(case: Case, how: Evaluation) -> Outcome:
    """Read, compare and draw one case; whatever is wrong with it becomes the reason of its score."""
    pair = case.pair
    files = {PREDICTED: pair.drawn, TRUTH: pair.truth}
    if pair.other is not None:
        files[OTHER] = pair.other
    read = {name: _read(name, found, how) for name, found in files.items()}
    truth = read[TRUTH]
    score = _score(case, read[PREDICTED], truth, PREDICTED, how)
    other = _score(case, read[OTHER], truth, OTHER, how) if OTHER in read else None
    masks = {name: mask for name, mask in read.items() if isinstance(mask, LungMask)}
    picture, note = _picture(case, read[PREDICTED], truth, score, how)
    return Outcome(
        case,
        score,
        other,
        picture,
        note,
        frozenset(name for name, mask in masks.items() if mask.labelled),
        frozenset(name for name, mask in masks.items() if mask.maybe_labelled),
    )


def _read(name: str, files: Files, how: Evaluation) -> LungMask | ImageError | None:
    """The mask; what is wrong with it; None where there is no file and that counts as an empty one."""
    try:
        if files:
            return read_files(files, how.masks[name])
    except ImageError as error:
        return error
    return None if how.measure.missing_is_empty else ImageError("")


def _score(
    case: Case, drawn: LungMask | ImageError | None, truth: LungMask | ImageError | None, name: str, how: Evaluation
) -> Score:
    key = case.pair.key
    files = {PREDICTED: case.pair.drawn, TRUTH: case.pair.truth, OTHER: case.pair.other or {}}
    for place, mask, partner in ((name, drawn, TRUTH), (TRUTH, truth, name)):
        if isinstance(mask, ImageError):
            if files[place]:
                return failure(key, mask)
            return failure(key, _alone(files[partner], how.folders[place], key))
    pair = _both(drawn, truth)
    if pair is None:  # a third mask has no partner at all
        return failure(key, _alone({}, how.folders[TRUTH], key))
    if pair[0].shape != pair[1].shape:
        paths = " and ".join(str(_first(files[place])) for place in (name, TRUTH))
        sizes = " and ".join(f"{format_size(mask.lungs)}" for mask in pair)
        return failure(key, ImageError(f"{paths} differ in size: {sizes} pixels", "Scale the masks, not the scores."))
    return score_masks(key, *pair, how.measure, _spacing(case, *pair))


def _alone(files: Files, folder: Path, key: str) -> ImageError:
    who = str(_first(files)) if files else key
    return ImageError(f"{who}: has no partner in {folder}", "Give it one, or count it as Dice 0 with --missing zero.")


def _first(files: Files) -> Path:
    return next(iter(files.values()))


def _both(drawn: LungMask | ImageError | None, truth: LungMask | ImageError | None) -> tuple[LungMask, LungMask] | None:
    """The two masks, an empty one in the place of a missing one; None where both are missing."""
    if isinstance(drawn, LungMask):
        return drawn, truth if isinstance(truth, LungMask) else _empty_like(drawn)
    return (_empty_like(truth), truth) if isinstance(truth, LungMask) else None


def _empty_like(mask: LungMask) -> LungMask:
    nothing = np.zeros(mask.shape, bool)
    return LungMask(nothing, *(() if mask.right is None else (nothing, nothing)))


def _spacing(case: Case, drawn: LungMask, truth: LungMask) -> Spacing | None:
    """The pixel spacing from the most reliable source that gives it."""
    fits = case.manifest_side is None or truth.shape == (case.manifest_side, case.manifest_side)
    spacing = case.given or truth.spacing or drawn.spacing or (case.manifest if fits else None)
    if spacing or case.image is None:
        return spacing
    try:
        shape, spacing = read_spacing(case.image)
    except ImageError:  # the pair can be compared without
        return None
    return spacing if shape == truth.shape else None


def _picture(
    case: Case, drawn: LungMask | ImageError | None, truth: LungMask | ImageError | None, score: Score, how: Evaluation
) -> "tuple[Picture | None, str]":
    pair = None if isinstance(drawn, ImageError) or isinstance(truth, ImageError) else _both(drawn, truth)
    if how.picture_side is None or score.shape is None or pair is None:
        return None, ""
    from lungmask_cli.gallery.picture import draw_errors

    image, note = None, ""
    if case.image is not None:
        try:
            image = normalize(read_radiograph(case.image, how.masks[TRUTH].max_pixels), score.shape)
        except ImageError as error:
            note = error.message
    return draw_errors(pair[0].lungs, pair[1].lungs, image, how.picture_side), note

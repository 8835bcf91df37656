"""Evaluates many pairs of masks: read, scored and drawn, in several threads."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.find import find_images
from lungmask_cli.formats.mask_values import MaskOptions
from lungmask_cli.formats.names import match_keys, parse_name
from lungmask_cli.formats.radiographs import read_radiograph, read_spacing
from lungmask_cli.gallery.picture import Picture, draw_errors
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.radiograph import DEFAULT_LABELS, LungMask, Spacing, format_size
from lungmask_cli.processes import map_in_threads
from lungmask_cli.scoring.checks import check_mask, check_orientation, is_one_lung_of
from lungmask_cli.scoring.metadata import Metadata
from lungmask_cli.scoring.options import ScoreOptions
from lungmask_cli.scoring.pairing import OTHER, PREDICTED, TRUTH, Files, MaskPair, Role, read_mask_files
from lungmask_cli.scoring.scores import SCORED, Score, failed_score, score_masks

# Pictures of many images are smaller, so that a browser can hold the page.
_SIDES = ((200, 1024), (600, 768))
_SMALLEST_SIDE = 512
_TRANSPOSE = "Transpose one of them. NIfTI holds columns first: an array (rows, columns) is written transposed."

_ReadMask = LungMask | ImageError | None  # the mask, why it cannot be read, or None if there is no file
_ReadMasks = Mapping[Role, _ReadMask]


@dataclass(frozen=True)
class Case:
    """A pair of masks with its radiograph and metadata.

    Args:
        pair: the mask files.
        image: the radiograph, if available.
        listed_spacing: pixel spacing from the manifest, for masks whose files have none.
        listed_side: `listed_spacing` is valid only for square masks of this side in pixels; None if for all masks.
    """

    pair: MaskPair
    image: Path | None = None
    listed_spacing: Spacing | None = None
    listed_side: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The result for one case.

    Args:
        score: of the predicted mask.
        other: the score of the second method.
        picture: of the errors, if pictures are drawn.
        note: why the picture has no backdrop, or empty.
        warnings: file names, and why their masks may be meant in another sense.
        one_lung: the role whose mask is one of the two lungs of the other mask.
        labelled: roles whose file contains labels.
        maybe_labelled: roles whose file may contain labels.
    """

    score: Score
    other: Score | None = None
    picture: Picture | None = None
    note: str = ""
    warnings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    one_lung: Role | None = None
    labelled: frozenset[Role] = frozenset()
    maybe_labelled: frozenset[Role] = frozenset()


def make_cases(pairs: Sequence[MaskPair], images: Path | None, metadata: Metadata | None) -> list[Case]:
    """Each pair with its radiograph from the folder `images`, as masks are paired, and its listed pixel spacing.

    Raises:
        UsageError: there is no such folder.
    """
    paths = _match_images([pair.key for pair in pairs], images) if images else {}
    return [
        Case(
            pair,
            paths.get(pair.key),
            metadata.spacing(pair.key) if metadata else None,
            metadata.side if metadata else None,
        )
        for pair in pairs
    ]


def _match_images(keys: Sequence[str], folder: Path) -> dict[str, Path]:
    """The radiograph of each key that has one in the folder; the first one if several differ only in their suffix."""
    images: dict[str, Path] = {}
    for path, relative in find_images([folder]):
        images.setdefault(parse_name(relative, Path()).image_key, path)
    return {key: images[own] for own, key in match_keys(keys, images).partners.items()}


def picture_side(count: int) -> int:
    """The longer side in pixels of the pictures in a gallery of `count` images."""
    return next((side for limit, side in _SIDES if count <= limit), _SMALLEST_SIDE)


def evaluate_all(
    cases: Sequence[Case],
    options: ScoreOptions,
    progress: Callable[[Iterable[Case]], Iterable[Case]] = iter,
    take_picture: Callable[[str, Picture], None] | None = None,
) -> list[Outcome]:
    """All outcomes, in the order of the cases, without their pictures.

    If some files of a folder contain the labels 1 and 2, its files of only 0 and 1 are read as labels, too.

    Args:
        cases: the pairs.
        options: how they are evaluated.
        progress: wraps the cases to show the progress.
        take_picture: receives the key and the picture of each case as soon as it is drawn; None for no pictures.
    """
    outcomes: dict[str, Outcome] = {}
    side = picture_side(len(cases)) if take_picture else None
    results = map_in_threads(partial(evaluate, options=options, side=side), cases, options.jobs)
    for _ in progress(cases):
        outcome = next(results)
        if outcome.picture and take_picture:
            take_picture(outcome.score.key, outcome.picture)
        outcomes[outcome.score.key] = replace(outcome, picture=None)
    labelled = frozenset[Role]().union(*(outcome.labelled for outcome in outcomes.values()))
    unclear = [case for case in cases if outcomes[case.pair.key].maybe_labelled & labelled]
    for outcome in map_in_threads(partial(evaluate, options=options, labelled=labelled), unclear, options.jobs):
        outcomes[outcome.score.key] = replace(outcome, note=outcomes[outcome.score.key].note)
    return [outcomes[case.pair.key] for case in cases]


def evaluate(
    case: Case, options: ScoreOptions, labelled: frozenset[Role] = frozenset(), side: int | None = None
) -> Outcome:
    """Read, score and draw one case; any error becomes the reason of its score.

    Args:
        case: the pair.
        options: how it is evaluated.
        labelled: roles whose files are read as the labels 1 and 2.
        side: longer side of the picture in pixels; None for no picture.
    """
    labels = replace(options.masks, labels=DEFAULT_LABELS)
    masks = {
        role: _read(files, labels if role in labelled else options.masks) for role, files in case.pair.files.items()
    }
    score = _score(case, masks, PREDICTED, options)
    other = _score(case, masks, OTHER, options) if OTHER in masks else None
    picture, note = _draw(case, masks, options, side) if side and score.shape else (None, "")
    readable = {role: mask for role, mask in masks.items() if isinstance(mask, LungMask)}
    return Outcome(
        score,
        other,
        picture,
        note,
        tuple(_find_warnings(case, readable, score)),
        _find_one_lung(readable) if score.status == SCORED else None,
        frozenset(role for role, mask in readable.items() if mask.labelled),
        frozenset(role for role, mask in readable.items() if mask.maybe_labelled),
    )


def _find_warnings(case: Case, masks: Mapping[Role, LungMask], score: Score) -> Iterator[tuple[str, tuple[str, ...]]]:
    for role, mask in masks.items():
        yield _name(case, role), check_mask(mask)
    if score.status == SCORED and {PREDICTED, TRUTH} <= masks.keys():
        yield _name(case, PREDICTED), check_orientation(masks[PREDICTED].lungs, masks[TRUTH].lungs)


def _find_one_lung(masks: Mapping[Role, LungMask]) -> Role | None:
    if not {PREDICTED, TRUTH} <= masks.keys():
        return None
    predicted, truth = masks[PREDICTED].lungs, masks[TRUTH].lungs
    if is_one_lung_of(truth, predicted):
        return TRUTH
    return PREDICTED if is_one_lung_of(predicted, truth) else None


def _name(case: Case, role: Role) -> str:
    """The first file of the mask in this role."""
    return str(next(iter(case.pair.files[role].values())))


def _read(files: Files, options: MaskOptions) -> _ReadMask:
    try:
        return read_mask_files(files, options) if files else None
    except MemoryError:
        return ImageError(f"{next(iter(files.values()))}: there is not enough memory", "Use fewer --jobs.")
    except ImageError as error:
        return error


def _score(case: Case, masks: _ReadMasks, role: Role, options: ScoreOptions) -> Score:
    """The score of the mask in this role."""
    key = case.pair.key
    try:
        predicted, truth = _match(case, masks, role, options)
    except ImageError as error:
        return failed_score(key, error)
    return score_masks(
        key, predicted, truth, _spacing(case, predicted, truth, options), options.metrics, options.tolerance
    )


def _match(case: Case, masks: _ReadMasks, role: Role, options: ScoreOptions) -> tuple[LungMask, LungMask]:
    """The mask in this role and its reference mask, with an empty mask for a missing one.

    Raises:
        ImageError: they cannot be compared.
    """
    predicted = _check(case, masks, role, TRUTH, options)
    truth = _check(case, masks, TRUTH, role, options)
    mask = predicted or truth
    if mask is None:  # there is a mask in a third folder only
        raise _no_partner(case.pair.key, options.folders[TRUTH])
    matched = predicted or _empty_like(mask), truth or _empty_like(mask)
    if matched[0].shape != matched[1].shape:
        paths = " and ".join(_name(case, own) for own in (role, TRUTH))
        sizes = " and ".join(format_size(mask.lungs) for mask in matched)
        exchanged = matched[0].shape == matched[1].shape[::-1]
        raise ImageError(
            f"{paths} differ in size: {sizes} pixels" + ("; width and height are exchanged" if exchanged else ""),
            _TRANSPOSE if exchanged else "Both masks need the size of the radiograph.",
        )
    return matched


def _check(case: Case, masks: _ReadMasks, role: Role, partner: Role, options: ScoreOptions) -> LungMask | None:
    """The mask in this role; None if it is missing and missing masks count as empty."""
    mask = masks[role]
    if isinstance(mask, ImageError):
        raise mask
    if mask is None and options.missing == "error":
        files = case.pair.files[partner]
        raise _no_partner(str(next(iter(files.values()))) if files else case.pair.key, options.folders[role])
    return mask


def _no_partner(name: str, folder: Path) -> ImageError:
    hint = "Add the missing mask, or count it as Dice 0 with --missing zero."
    return ImageError(f"{name}: has no partner in {folder}", hint)


def _empty_like(mask: LungMask) -> LungMask:
    empty = np.zeros(mask.shape, bool)
    heart = None if mask.heart is None else empty
    return LungMask(empty, heart=heart) if mask.right is None else LungMask(empty, empty, empty, heart=heart)


def _spacing(case: Case, predicted: LungMask, truth: LungMask, options: ScoreOptions) -> Spacing | None:
    """The pixel spacing from the most reliable source."""
    is_listed = case.listed_side is None or truth.shape == (case.listed_side, case.listed_side)
    listed = case.listed_spacing if is_listed else None
    spacing = options.spacing or truth.spacing or predicted.spacing or listed
    if spacing or case.image is None:
        return spacing
    try:
        shape, spacing = read_spacing(case.image)
    except ImageError:  # the pair is scored in pixels
        return None
    return spacing if shape == truth.shape else None


def _draw(case: Case, masks: _ReadMasks, options: ScoreOptions, side: int) -> tuple[Picture, str]:
    """The picture of the errors, and why it has no backdrop, or an empty text."""
    predicted, truth = _match(case, masks, PREDICTED, options)
    image, note = None, ""
    if case.image is not None:
        try:
            image = normalize(read_radiograph(case.image, options.masks.max_pixels), truth.shape)
        except ImageError as error:
            note = error.message
    return draw_errors(predicted.lungs, truth.lungs, image, side), note

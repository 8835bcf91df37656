"""Prepare a data set: pairs of files in, square PNG files and a manifest out, in several threads.

DST/.journal.jsonl records the finished pairs, so that a second run processes only what is missing or has changed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

import lungmask_cli
from lungmask_cli.datasets.layouts import Pair, Pairing, remove_names
from lungmask_cli.datasets.prepared import Entry, PreparedSet, write_manifest
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import PARTIAL, file_sha256, hash_file_name, write_text
from lungmask_cli.formats.find import describe_skipped
from lungmask_cli.formats.mask_values import DEFAULT_MASKS, MaskOptions
from lungmask_cli.formats.masks import read_lung_masks
from lungmask_cli.formats.png import write_grey16, write_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.geometry import Letterbox
from lungmask_cli.imaging.plausibility import find_implausible
from lungmask_cli.imaging.polarity import DARK_BONES, to_network_input
from lungmask_cli.imaging.radiograph import Mask, Radiograph, Spacing, format_size
from lungmask_cli.processes import map_in_threads
from lungmask_cli.text import pluralize

_JOURNAL = ".journal.jsonl"
_ASPECT_TOLERANCE = 0.01
_MUCH_ENLARGED = 1.5  # masks are smoothed if they are enlarged by at least this factor
_TURNED = "of the radiograph and its mask, EXIF orientation turns only one"
_TURN_BOTH = "Remove the EXIF orientation, or turn both."


@dataclass(frozen=True)
class PrepareOptions:
    """How pairs are prepared.

    Args:
        size: the side of the prepared squares in pixels.
        masks: how mask files are read; larger images than its `max_pixels` are refused.
        polarity: invert radiographs whose bones are dark.
        hash_names: name each pair by the first 16 digits of the SHA-256 of its radiograph's file; write no other names.
        jobs: the number of threads.
    """

    size: int = 512
    masks: MaskOptions = DEFAULT_MASKS
    polarity: bool = True
    hash_names: bool = False
    jobs: int = 1


_Outcome = tuple[str, Entry | str]  # the id of a pair, and its entry or its problem


def prepare(
    pairing: Pairing,
    destination: Path,
    split: dict[str, str],
    split_method: str,
    options: PrepareOptions,
    progress: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> PreparedSet:
    """Write a prepared data set; a pair that cannot be used is left out and listed in `problems`.

    Radiographs without masks are prepared in the same way.

    Pairs that an earlier run has prepared with the same options, and whose files have not changed since, are kept.

    Args:
        pairing: the pairs to prepare.
        destination: the folder to write; files of the same names are replaced.
        split: the split of each id.
        split_method: how the split was made, for the manifest.
        options: size, number of threads and so on.
        progress: wraps the pairs, to show a progress bar.

    Raises:
        UsageError: no pair could be prepared, or the destination contains the source files.
    """
    _refuse_to_overwrite_source(pairing, destination)
    pairing = _drop_duplicates(remove_names(pairing)) if options.hash_names else pairing
    destination.mkdir(parents=True, exist_ok=True)
    for partial_file in destination.glob(f"*/{PARTIAL}*"):  # of a run that was killed
        partial_file.unlink()
    keys = {pair.id: _key(pair, options) for pair in pairing.pairs}
    finished = _read_journal(destination)
    done = {pair_id: finished[key] for pair_id, key in keys.items() if key in finished}
    outcomes: dict[str, Entry | str] = {}
    with (destination / _JOURNAL).open("a", encoding="utf-8") as journal:
        results = _prepare_pairs(pairing.pairs, destination, options, done)
        for _ in progress(pairing.pairs):
            pair_id, outcome = next(results)
            outcomes[pair_id] = outcome
            if isinstance(outcome, Entry) and outcome is not done.get(pair_id):
                journal.write(_journal_line(keys[pair_id], outcome))
                journal.flush()
    in_order = {pair.id: outcomes[pair.id] for pair in pairing.pairs}
    entries = {pair_id: outcome for pair_id, outcome in in_order.items() if isinstance(outcome, Entry)}
    problems = [*pairing.unpaired, *(outcome for outcome in in_order.values() if isinstance(outcome, str))]
    if not entries:
        kind = "pair" if any(pair.masks for pair in pairing.pairs) else "radiograph"
        raise UsageError(f"no {kind} could be prepared", problems[-1])
    lines = (_journal_line(keys[pair_id], entry) for pair_id, entry in entries.items())
    write_text(destination / _JOURNAL, "".join(lines))
    split_entries = tuple(replace(entry, split=split[pair_id]) for pair_id, entry in entries.items())
    problems += [describe_skipped(pairing.skipped)] if pairing.skipped else []
    prepared = PreparedSet(destination, options.size, split_method, pairing.layout, split_entries, tuple(problems))
    write_manifest(prepared)
    return prepared


def _drop_duplicates(pairing: Pairing) -> Pairing:
    """Each image content once: duplicates would get the same name, and overwrite each other's mask."""
    pairs: dict[str, Pair] = {}
    for pair in pairing.pairs:
        try:
            name = hash_file_name(pair.image)
        except OSError:  # the reader reports it
            name = pair.id
        pairs.setdefault(name, pair)
    count = len(pairing.pairs) - len(pairs)
    duplicates = [f"{pluralize(count, 'duplicate radiograph')} left out"] if count else []
    return replace(pairing, pairs=[*pairs.values()], unpaired=[*pairing.unpaired, *duplicates])


def _refuse_to_overwrite_source(pairing: Pairing, destination: Path) -> None:
    sources = {os.path.realpath(path.parent) for pair in pairing.pairs for path in pair.files}
    if sources & {os.path.realpath(destination / name) for name in ("images", "masks", "hearts")}:
        problem = f"{destination}: contains the source files, which would be overwritten"
        raise UsageError(problem, "Give another folder.")


def _prepare_pairs(
    pairs: list[Pair], destination: Path, options: PrepareOptions, done: dict[str, Entry]
) -> Iterator[_Outcome]:
    """The outcomes of all pairs, in any order; `done` holds the entries of an earlier run by id."""
    remaining = []
    for pair in pairs:
        if pair.id in done and _is_intact(done[pair.id], destination):
            yield pair.id, done[pair.id]
        else:
            remaining.append(pair)
    prepare_one = partial(_prepare_pair, destination=destination, options=options)
    yield from map_in_threads(prepare_one, remaining, options.jobs)


def _prepare_pair(pair: Pair, destination: Path, options: PrepareOptions) -> _Outcome:
    try:
        name = hash_file_name(pair.image) if options.hash_names else pair.id
    except OSError:
        return pair.id, "a pair: cannot be used"
    try:
        return pair.id, _write_pair(pair, name, destination, options)
    except MemoryError:
        return pair.id, f"{name}: there is not enough memory. Use fewer --jobs."
    except ImageError as error:
        return pair.id, f"{name}: cannot be used" if options.hash_names else f"{error.message}. {error.hint}"


def _key(pair: Pair, options: PrepareOptions) -> str:
    """A hash of everything that the entry of the pair depends on; empty if a file is missing."""
    facts: list[object] = [lungmask_cli.__version__, pair.id, pair.origin, astuple(replace(options, jobs=1))]
    for path in pair.files:
        try:
            status = path.stat()
        except OSError:  # the reader reports it
            return ""
        facts += [os.path.realpath(path), status.st_size, status.st_mtime_ns]
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()


def _is_intact(entry: Entry, destination: Path) -> bool:
    try:
        return tuple(file_sha256(destination / name) for name in entry.files) == entry.checksums
    except OSError:
        return False


def _write_pair(pair: Pair, name: str, destination: Path, options: PrepareOptions) -> Entry:
    radiograph = read_radiograph(pair.image, options.masks.max_pixels)
    mask, heart, warnings = _read_masks(pair, radiograph, options.masks) if pair.masks else (None, None, [])
    height, width = radiograph.shape
    box = Letterbox(height, width, options.size)
    image, inverted = to_network_input(radiograph, options.polarity, box.content)
    files = {kind: f"{kind}s/{name}.png" for kind in ("image", "mask", "heart")}
    write_grey16(destination / files["image"], box.apply(image))
    for kind, pixels in (("mask", mask), ("heart", heart)):
        if pixels is None:
            files[kind] = ""
        else:
            write_mask(destination / files[kind], _resize_mask(pixels, options.size))
    checksums = {f"{kind}_sha256": file_sha256(destination / path) if path else "" for kind, path in files.items()}
    spacing = box.scale_spacing(radiograph.spacing) if radiograph.spacing else Spacing(0.0, 0.0, "")
    return Entry(
        id=name,
        origin=pair.origin,
        source="" if options.hash_names else str(pair.image),
        split="",
        **files,
        **checksums,
        spacing_row_mm=round(spacing.row_mm, 6),
        spacing_column_mm=round(spacing.column_mm, 6),
        spacing_source=spacing.source,
        height=height,
        width=width,
        warnings=(*radiograph.warnings, *([DARK_BONES] if inverted else []), *warnings),
    )


def _resize_mask(mask: Mask, size: int) -> Mask:
    """The mask in a square (size, size). One that is much enlarged is smoothed, or its pixels would become stairs."""
    box = Letterbox(mask.shape[0], mask.shape[1], size)
    if size < _MUCH_ENLARGED * max(mask.shape):
        return box.apply_mask(mask)
    return box.apply(ndimage.gaussian_filter(mask.astype(np.float32), 1)) >= 0.5


def _read_masks(pair: Pair, radiograph: Radiograph, options: MaskOptions) -> tuple[Mask, Mask | None, list[str]]:
    """The union of the pair's lungs, the heart if it is drawn, and warnings about them."""
    masks = read_lung_masks(pair.files[1:], options)
    heart = masks.pop().lungs if pair.heart else masks[0].heart
    (rows, columns), (height, width) = masks[0].shape, radiograph.shape
    turned = masks[0].turned != radiograph.turned
    if abs((rows / columns) / (height / width) - 1) > _ASPECT_TOLERANCE:
        raise ImageError(
            f"{pair.masks[0]}: its aspect ratio, {format_size(masks[0].lungs)} pixels, is not that of "
            f"{pair.image}, {format_size(radiograph.pixels)}" + (f"; {_TURNED}" if turned else ""),
            _TURN_BOTH if turned else "Do both files belong to the same patient?",
        )
    warnings = [_TURNED] if turned else []
    if masks[0].shape != radiograph.shape:
        warnings.append(
            f"mask of {format_size(masks[0].lungs)} for a radiograph of {format_size(radiograph.pixels)} pixels"
        )
    union = masks[0].lungs
    for mask in masks[1:]:
        if (union & mask.lungs).any():
            warnings.append("left and right lung overlap")
        union = union | mask.lungs
    if heart is not None and not heart.any():
        warnings.append("the mask of the heart is empty, and is not used")
        heart = None
    return union, heart, [*warnings, *find_implausible(replace(masks[0], lungs=union))]


def _read_journal(destination: Path) -> dict[str, Entry]:
    done = {}
    try:
        lines = (destination / _JOURNAL).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    for line in lines:
        try:
            record = json.loads(line)
            done[str(record["key"])] = Entry(**{**record["entry"], "warnings": tuple(record["entry"]["warnings"])})
        except (ValueError, KeyError, TypeError):  # the last line of a run that was killed
            continue
    return done


def _journal_line(key: str, entry: Entry) -> str:
    return json.dumps({"key": key, "entry": asdict(entry)}) + "\n"

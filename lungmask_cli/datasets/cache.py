"""Prepare a data set on first use, and keep it in the user's cache until the source files change."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path

from platformdirs import user_cache_path

import lungmask_cli
from lungmask_cli.datasets.layouts import Pair, Pairing, find_pairs, find_radiographs
from lungmask_cli.datasets.preparation import PrepareOptions, prepare
from lungmask_cli.datasets.prepared import PreparedSet, is_prepared, read_prepared
from lungmask_cli.datasets.splits import TRAIN, split_by_folders
from lungmask_cli.errors import UsageError
from lungmask_cli.text import pluralize


def open_or_prepare(
    data: Sequence[Path],
    options: PrepareOptions,
    split: str | None,
    seed: int,
    progress: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> PreparedSet:
    """Open the prepared set `data`, or prepare the data set folders `data` in the user's cache.

    Args:
        data: one prepared set, or folders that `lungmask preprocess` accepts.
        options: how folders are prepared.
        split: as in `resolve_split`; None keeps the split of a prepared set.
        seed: seed of a random split.
        progress: wraps the pairs while they are prepared, to show a progress bar.

    Raises:
        UsageError: `data` is neither.
    """
    if len(data) == 1 and is_prepared(data[0]):
        prepared = read_prepared(data[0])
        has_split = any(prepared.split().values())
        return prepared if split is None and has_split else _apply_split(prepared, split, seed, {})
    pairing = find_pairs(*data)
    folder = _cache_folder(data, pairing, options)
    if is_prepared(folder):
        return _apply_split(read_prepared(folder), split, seed, pairing.folder_split())
    parts, method = split_by_folders([pair.id for pair in pairing.pairs], pairing.folder_split(), split, seed)
    prepared = prepare(pairing, folder, parts, method, options, progress)
    # Split again without the pairs that failed: the next run reads the set from the cache and must get the same split.
    return _apply_split(prepared, split, seed, pairing.folder_split())


def open_or_prepare_unlabelled(
    folders: Sequence[Path],
    options: PrepareOptions,
    labelled: PreparedSet,
    progress: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> PreparedSet:
    """Open or prepare radiographs without masks, as `open_or_prepare` does; masks beside them are not used.

    Args:
        folders: one prepared set, or folders of radiographs.
        options: how folders are prepared.
        labelled: the radiographs with masks. Those that are among them are left out, and reported.
        progress: as in `open_or_prepare`.

    Raises:
        UsageError: there are no radiographs, or none could be prepared, or all are among those with masks.
    """
    if len(folders) == 1 and is_prepared(folders[0]):
        prepared = read_prepared(folders[0])
    else:
        pairing = find_radiographs(*folders)
        folder = _cache_folder(folders, pairing, options)
        parts = dict.fromkeys((pair.id for pair in pairing.pairs), TRAIN)
        is_new = not is_prepared(folder)
        prepared = prepare(pairing, folder, parts, "all", options, progress) if is_new else read_prepared(folder)
    sources = {entry.source for entry in labelled.entries if entry.source}
    checksums = {entry.image_sha256 for entry in labelled.entries}
    kept = [e for e in prepared.entries if e.source not in sources and e.image_sha256 not in checksums]
    if not kept:
        raise UsageError(f"{folders[0]}: all radiographs are among those with masks", "Give others.")
    count = len(prepared.entries) - len(kept)
    problems = (
        [f"{pluralize(count, 'radiograph')} without masks left out: also among those with masks"] if count else []
    )
    entries = tuple(replace(e, split=TRAIN, mask="", mask_sha256="", heart="", heart_sha256="") for e in kept)
    return replace(prepared, entries=entries, problems=(*problems, *prepared.problems))


def _cache_folder(data: Sequence[Path], pairing: Pairing, options: PrepareOptions) -> Path:
    return user_cache_path("lungmask") / f"{data[0].absolute().name}-{_fingerprint(pairing, options)}"


def _apply_split(prepared: PreparedSet, split: str | None, seed: int, folders: Mapping[str, str]) -> PreparedSet:
    ids = [entry.id for entry in prepared.entries]
    known = {key: part for key, part in folders.items() if key in set(ids)}
    return prepared.with_split(*split_by_folders(ids, known, split, seed))


def _fingerprint(pairing: Pairing, options: PrepareOptions) -> str:
    lines = [repr((lungmask_cli.__version__, astuple(replace(options, jobs=1))))]
    for pair in pairing.pairs:
        for path in pair.files:
            status = path.stat(follow_symlinks=path.exists())
            lines.append(f"{path.absolute()},{status.st_size},{status.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]

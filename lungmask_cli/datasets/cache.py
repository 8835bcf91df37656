"""Prepare a data set on first use, and keep it in the user's cache until the source files change."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path

from platformdirs import user_cache_path

import lungmask_cli
from lungmask_cli.datasets.layouts import Pair, Pairing, find_pairs
from lungmask_cli.datasets.preparation import PrepareOptions, prepare
from lungmask_cli.datasets.prepared import PreparedSet, is_prepared, read_prepared
from lungmask_cli.datasets.splits import split_by_folders


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
    folder = user_cache_path("lungmask") / f"{data[0].absolute().name}-{_fingerprint(pairing, options)}"
    if is_prepared(folder):
        return _apply_split(read_prepared(folder), split, seed, pairing.folder_split())
    parts, method = split_by_folders([pair.id for pair in pairing.pairs], pairing.folder_split(), split, seed)
    prepared = prepare(pairing, folder, parts, method, options, progress)
    # Split again without the pairs that failed: the next run reads the set from the cache and must get the same split.
    return _apply_split(prepared, split, seed, pairing.folder_split())


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

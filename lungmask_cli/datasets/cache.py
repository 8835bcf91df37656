"""Preparing a folder on the fly: the prepared set is kept and found again while the folder does not change."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from platformdirs import user_cache_path

import lungmask_cli
from lungmask_cli.datasets.layouts import Pair, Pairing, find_pairs
from lungmask_cli.datasets.preparation import Preparation, prepare
from lungmask_cli.datasets.prepared import PreparedSet, is_prepared, read_prepared
from lungmask_cli.datasets.splits import resolve_split


def open_or_prepare(
    data: Sequence[Path],
    how: Preparation,
    split: str | None,
    seed: int,
    progress: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> PreparedSet:
    """The prepared set at `data`, or one made from the data set folders `data` in the user's cache.

    Args:
        data: one prepared set, or folders that `lungmask preprocess` accepts.
        how: how pairs are prepared; the size is the least side of the squares in pixels that is needed.
        split: as in `resolve_split`; None keeps the split that a prepared set has.
        seed: of a drawn split.
        progress: wraps the pairs while they are prepared.

    Raises:
        UsageError: `data` is neither.
    """
    if len(data) == 1 and is_prepared(data[0]):
        prepared = read_prepared(data[0])
        if split is None and set(prepared.split().values()) - {""}:
            return prepared
        return _split_anew(prepared, split, seed)
    pairing = find_pairs(*data)
    folder = user_cache_path("lungmask") / f"{data[0].absolute().name}-{_fingerprint(pairing, how)}"
    if is_prepared(folder):
        return _split_anew(read_prepared(folder), split, seed)
    parts, method = resolve_split([pair.id for pair in pairing.pairs], split, seed)
    prepared = prepare(pairing, folder, parts, method, how, progress)
    # Split again without the pairs that failed: the next run finds the set in the cache and must have the same split.
    return _split_anew(prepared, split, seed)


def _split_anew(prepared: PreparedSet, split: str | None, seed: int) -> PreparedSet:
    parts, method = resolve_split([entry.id for entry in prepared.entries], split, seed)
    return dataclasses.replace(prepared.with_split(parts), split_method=method)


def _fingerprint(pairing: Pairing, how: Preparation) -> str:
    lines = [repr((lungmask_cli.__version__, dataclasses.replace(how, jobs=1)))]
    for pair in pairing.pairs:
        for path in (pair.image, *pair.masks):
            facts = path.stat(follow_symlinks=path.exists())
            lines.append(f"{path.absolute()},{facts.st_size},{facts.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]

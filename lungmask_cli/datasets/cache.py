"""Preparing a folder on the fly: the prepared set is kept and found again while the folder does not change."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from platformdirs import user_cache_path

import lungmask_cli
from lungmask_cli.datasets.layouts import Pair, Pairing, find_pairs
from lungmask_cli.datasets.prepared import PreparedSet, is_prepared, prepare, read_prepared
from lungmask_cli.datasets.splits import resolve_split


def open_or_prepare(
    data: Path,
    size: int,
    split: str | None,
    seed: int,
    progress: Callable[[Iterable[Pair]], Iterable[Pair]] = iter,
) -> tuple[PreparedSet, list[str]]:
    """The prepared set at `data`, or one made from the data set folder `data` in the user's cache.

    Args:
        data: a prepared set, or a folder that `lungmask preprocess` accepts.
        size: the least side of the squares in pixels that is needed.
        split: as in `resolve_split`; None keeps the split that a prepared set has.
        seed: of a drawn split.
        progress: wraps the pairs while they are prepared.

    Returns:
        The set, and a sentence for each file that had no partner.

    Raises:
        UsageError: `data` is neither.
    """
    if is_prepared(data):
        prepared = read_prepared(data)
        if split is None and set(prepared.split().values()) - {""}:
            return prepared, []
        return _split_anew(prepared, split, seed), []
    pairing = find_pairs(data)
    folder = user_cache_path("lungmask") / f"{data.resolve().name}-{_fingerprint(pairing, size)}"
    if is_prepared(folder):
        prepared = _split_anew(read_prepared(folder), split, seed)
        lost = sorted({pair.id for pair in pairing.pairs} - set(prepared.split()))
        failed = tuple(f"{name}: could not be prepared" for name in lost)
        return dataclasses.replace(prepared, failed=failed), pairing.unpaired
    parts, method = resolve_split([pair.id for pair in pairing.pairs], split, seed)
    prepared = prepare(pairing, folder, size, parts, method, progress)
    # Split again without the pairs that failed: the next run finds the set in the cache and must have the same split.
    return _split_anew(prepared, split, seed), pairing.unpaired


def _split_anew(prepared: PreparedSet, split: str | None, seed: int) -> PreparedSet:
    parts, method = resolve_split([entry.id for entry in prepared.entries], split, seed)
    return dataclasses.replace(prepared.with_split(parts), split_method=method)


def _fingerprint(pairing: Pairing, size: int) -> str:
    lines = [f"{lungmask_cli.__version__},{size}"]
    for pair in pairing.pairs:
        for path in (pair.image, *pair.masks):
            facts = path.stat(follow_symlinks=path.exists())
            lines.append(f"{path.resolve()},{facts.st_size},{facts.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

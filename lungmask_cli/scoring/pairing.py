"""Which drawn mask belongs to which hand-made one."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.imaging.radiograph import Mask
from lungmask_cli.imaging.raster import read_mask_union
from lungmask_cli.imaging.read import RASTER_SUFFIXES

OVERLAYS = "overlays"
_SIDES = ("left_lung", "right_lung")


@dataclass(frozen=True)
class MaskFiles:
    """The mask files below a folder, by key: the path below the folder without its suffix, with `/` between parts.

    `files_each` is 2 where left and right lung are in folders of their own, else 1.
    """

    folder: Path
    files: dict[str, tuple[Path, ...]]
    files_each: int = 1

    @cached_property
    def by_stem(self) -> dict[str, tuple[Path, ...]]:
        """The same files by their bare stem, without those whose stem stands in several folders."""
        counts = Counter(map(_stem, self.files))
        return {_stem(key): paths for key, paths in self.files.items() if counts[_stem(key)] == 1}

    def find(self, key: str) -> tuple[Path, ...] | None:
        """The files of that key, else those of its stem where only one mask has it; None where there are none."""
        return self.files.get(key) or self.by_stem.get(_stem(key))

    def read(self, paths: tuple[Path, ...]) -> Mask:
        """The mask of these files.

        Raises:
            ImageError: a file is broken, the sizes differ, or one lung has no file.
        """
        if len(paths) != self.files_each:
            raise ImageError(f"{paths[0]}: has no partner in the other of {' and '.join(_SIDES)}")
        return read_mask_union(paths)


def _stem(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def find_masks(folder: Path) -> MaskFiles:
    """The masks below `folder`, sorted; `left_lung/` and `right_lung/` right below it are one mask of two files.

    Hidden files and the `overlays/` that `lungmask segment` writes are passed over.

    Raises:
        UsageError: there is no such folder, it holds no mask, or two masks differ in nothing but their suffix.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", "Give a folder of mask files.")
    roots = [folder / side for side in _SIDES] if all((folder / side).is_dir() for side in _SIDES) else [folder]
    files: dict[str, tuple[Path, ...]] = {}
    for root in roots:
        for key, path in _below(root).items():
            files[key] = (*files.get(key, ()), path)
    if not files:
        raise UsageError(f"{folder}: holds no mask", f"Masks are picture files: {', '.join(sorted(RASTER_SUFFIXES))}.")
    return MaskFiles(folder, dict(sorted(files.items())), files_each=len(roots))


def _below(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.suffix.lower() not in RASTER_SUFFIXES or path.is_dir() or parts[0] == OVERLAYS:
            continue
        if any(part.startswith(".") for part in parts):
            continue
        key = path.relative_to(root).with_suffix("").as_posix()
        if key in found:
            raise UsageError(f"{found[key]} and {path} have the same name", "Keep one mask for each radiograph.")
        found[key] = path
    return found


@dataclass(frozen=True)
class MaskPair:
    """A drawn mask and its hand-made one; one of the two may be missing, and is then empty."""

    key: str
    drawn: tuple[Path, ...]
    truth: tuple[Path, ...]


def pair_masks(drawn: MaskFiles, truth: MaskFiles) -> list[MaskPair]:
    """All masks of both folders, paired and sorted by key.

    Keys are stems; where a stem stands in several folders of one side, they are paths below the folders.
    """
    left, right = drawn.files, truth.files
    if len(drawn.by_stem) == len(left) and len(truth.by_stem) == len(right):
        left, right = drawn.by_stem, truth.by_stem
    return [MaskPair(key, left.get(key, ()), right.get(key, ())) for key in sorted({*left, *right})]

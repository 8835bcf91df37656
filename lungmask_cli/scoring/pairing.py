"""Finds the mask files of each folder and pairs predicted masks with reference masks."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from lungmask_cli.errors import ImageError, UsageError, suggest_path
from lungmask_cli.formats.masks import DEFAULT_MASKS, MASK_SUFFIXES, MaskOptions, read_lung_mask_files
from lungmask_cli.imaging.radiograph import LEFT, LUNGS, RIGHT, LungMask

OVERLAYS, PROBABILITIES, DICOM_SEG = "overlays", "probabilities", "dicom_seg"
_SKIPPED_FOLDERS = frozenset({OVERLAYS, PROBABILITIES, DICOM_SEG})
# Folders of one lung each, as named by SCR, Montgomery and others; spaces, hyphens and underscores are ignored.
_SIDE_FOLDERS = {
    "rightlung": RIGHT, "rightmask": RIGHT, "rightlungmask": RIGHT, "right": RIGHT,
    "leftlung": LEFT, "leftmask": LEFT, "leftlungmask": LEFT, "left": LEFT,
}  # fmt: skip
_ENDINGS = ("_mask", "_seg", "_pred", "_label", "_gt")

# The role of a mask in a comparison; `OTHER` is that of a second method.
Role = Literal["predicted", "truth", "other"]
PREDICTED: Role = "predicted"
TRUTH: Role = "truth"
OTHER: Role = "other"

Files = Mapping[str, Path]  # by structure: `lungs`, or `right_lung` and `left_lung`


@dataclass(frozen=True)
class MaskFiles:
    """The mask files below a folder by key, which is the relative path without suffix and ending, with `/` separators.

    Each mask has its files by structure: `lungs`, or `right_lung` and `left_lung` if each lung has its own folder.
    """

    folder: Path
    files: dict[str, Files]

    @cached_property
    def by_stem(self) -> dict[str, Files]:
        """The files by stem, without those whose stem occurs in several folders."""
        counts = Counter(map(_stem, self.files))
        return {_stem(key): files for key, files in self.files.items() if counts[_stem(key)] == 1}

    def find(self, key: str) -> Files | None:
        """The files of that key, otherwise those of its stem if only one mask has it; None if there are none."""
        return self.files.get(key) or self.by_stem.get(_stem(key))


def read_mask_files(files: Files, options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """The mask in these files, at least one.

    Raises:
        ImageError: a file is broken, the sizes differ, or one lung has no file.
    """
    if LUNGS not in files and len(files) < 2:
        ((side, path),) = files.items()
        other = {RIGHT: "left lung", LEFT: "right lung"}[side]
        raise ImageError(f"{path}: has no partner among the masks of the {other}", "Each lung needs a mask.")
    return read_lung_mask_files(files, options)


def _stem(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def find_masks(folder: Path) -> MaskFiles:
    """The masks below `folder`, sorted: pictures, DICOM segmentations and NIfTI files.

    Two files in folders such as `left_lung/` and `right_lung/` form one mask; if there are such folders, files
    elsewhere are not masks. Endings such as `_mask` are ignored; if a folder contains both `a.png` and `a_mask.png`,
    the former is the radiograph. Hidden files are skipped, and so are the folders that `lungmask segment` writes beside
    masks: `overlays/`, `probabilities/` and `dicom_seg/`.

    Raises:
        UsageError: there is no such folder, it contains no mask, or two masks differ only in suffix or ending.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", suggest_path(folder, "Give a folder of mask files."))
    masks = list(_list_masks(folder))
    if any(side != LUNGS for _, side, _ in masks):
        masks = [mask for mask in masks if mask[1] != LUNGS]
    files: dict[str, dict[str, Path]] = {}
    for key, side, path in _remove_radiographs(masks):
        sides = files.setdefault(key, {})
        if side in sides:
            raise UsageError(f"{sides[side]} and {path} have the same name", "Keep one mask for each radiograph.")
        sides[side] = path
    if not files:
        raise UsageError(f"{folder}: contains no masks", f"Masks are files of {', '.join(sorted(MASK_SUFFIXES))}.")
    return MaskFiles(folder, dict(sorted(files.items())))


def _list_masks(root: Path) -> Iterator[tuple[str, str, Path]]:
    """Key, structure and path of every mask file."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        suffix = _suffix(path)
        skipped = (len(parts) > 1 and parts[0] in _SKIPPED_FOLDERS) or any(part.startswith(".") for part in parts)
        if not suffix or path.is_dir() or skipped:
            continue
        sides = [_SIDE_FOLDERS.get(re.sub("[ _-]", "", part.lower()), LUNGS) for part in parts[:-1]]
        side = next((side for side in sides if side != LUNGS), LUNGS)
        folders = [part for part, part_side in zip(parts[:-1], sides, strict=True) if part_side == LUNGS]
        yield "/".join([*folders, parts[-1][: -len(suffix)]]), side, path


def _suffix(path: Path) -> str:
    """The suffix of a mask file in its own case; empty for other files."""
    name = path.name.lower()
    suffix = ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
    return path.name[-len(suffix) :] if suffix in MASK_SUFFIXES and len(name) > len(suffix) else ""


def _remove_radiographs(masks: list[tuple[str, str, Path]]) -> Iterator[tuple[str, str, Path]]:
    """The masks without endings in their keys, and without radiographs that are beside a mask with an ending."""
    bare = {(_remove_ending(key), side) for key, side, _ in masks if _remove_ending(key) != key}
    for key, side, path in masks:
        if (key, side) not in bare:
            yield _remove_ending(key), side, path


def _remove_ending(key: str) -> str:
    ending = next((ending for ending in _ENDINGS if key.lower().endswith(ending)), "")
    stripped = key[: len(key) - len(ending)]
    return stripped if _stem(stripped) else key


@dataclass(frozen=True)
class MaskPair:
    """The files of one mask in each role. A role without a mask has no files."""

    key: str
    files: Mapping[Role, Files]


def pair_masks(folders: Mapping[Role, MaskFiles]) -> list[MaskPair]:
    """The masks of all folders, paired and sorted by key.

    Keys are stems; if a stem occurs several times in one of the folders, they are paths below the folders.
    """
    by_stem = all(len(masks.by_stem) == len(masks.files) for masks in folders.values())
    tables = {role: masks.by_stem if by_stem else masks.files for role, masks in folders.items()}
    keys = sorted({key for table in tables.values() for key in table})
    return [MaskPair(key, {role: table.get(key, {}) for role, table in tables.items()}) for key in keys]

"""Which drawn mask belongs to which hand-made one."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lungmask_cli.errors import ImageError, UsageError, suggest_path
from lungmask_cli.formats.masks import DEFAULT_MASKS, MASK_SUFFIXES, MaskOptions, read_lung_mask_files
from lungmask_cli.imaging.radiograph import LEFT, LUNGS, RIGHT, LungMask

OVERLAYS, PROBABILITIES, DICOM_SEG = "overlays", "probabilities", "dicom_seg"
_NO_MASKS = frozenset({OVERLAYS, PROBABILITIES, DICOM_SEG})
# Folders that hold one lung each, in the spellings of SCR, Montgomery and others; spaces and lines do not count.
_SIDES = {
    "rightlung": RIGHT, "rightmask": RIGHT, "rightlungmask": RIGHT, "right": RIGHT,
    "leftlung": LEFT, "leftmask": LEFT, "leftlungmask": LEFT, "left": LEFT,
}  # fmt: skip
_ENDINGS = ("_mask", "_seg", "_pred", "_label", "_gt")

Files = Mapping[str, Path]


@dataclass(frozen=True)
class MaskFiles:
    """The mask files below a folder, by key: the path below the folder without suffix and ending, `/` between parts.

    Each has its files by structure: `lungs`, or `right_lung` and `left_lung` where each lung has a folder of its own.
    """

    folder: Path
    files: dict[str, Files]

    @cached_property
    def by_stem(self) -> dict[str, Files]:
        """The same files by their bare stem, without those whose stem stands in several folders."""
        counts = Counter(map(_stem, self.files))
        return {_stem(key): files for key, files in self.files.items() if counts[_stem(key)] == 1}

    def find(self, key: str) -> Files | None:
        """The files of that key, else those of its stem where only one mask has it; None where there are none."""
        return self.files.get(key) or self.by_stem.get(_stem(key))


def read_files(files: Files, options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """The mask of these files, at least one.

    Raises:
        ImageError: a file is broken, the sizes differ, or one lung has no file.
    """
    if LUNGS not in files and len(files) < 2:
        ((side, path),) = files.items()
        other = {RIGHT: "left lung", LEFT: "right lung"}[side]
        raise ImageError(f"{path}: has no partner among the masks of the {other}", "Each lung needs its mask.")
    return read_lung_mask_files(files, options)


def _stem(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def find_masks(folder: Path) -> MaskFiles:
    """The masks below `folder`, sorted: pictures, DICOM segmentations and NIfTI files.

    Files in folders such as `left_lung/` and `right_lung/` are one mask of two files; where there are such folders,
    files elsewhere are no masks. Endings such as `_mask` do not count; where `a.png` and `a_mask.png` lie side by side,
    the former is the radiograph. Hidden files are passed over, and what `lungmask segment` writes beside masks, in
    `overlays/`, `probabilities/` and `dicom_seg/`.

    Raises:
        UsageError: there is no such folder, it holds no mask, or two masks differ in nothing but suffix or ending.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", suggest_path(folder, "Give a folder of mask files."))
    found = list(_below(folder))
    if any(side != LUNGS for _, side, _ in found):
        found = [item for item in found if item[1] != LUNGS]
    files: dict[str, dict[str, Path]] = {}
    for key, side, path in _without_originals(found):
        sides = files.setdefault(key, {})
        if side in sides:
            raise UsageError(f"{sides[side]} and {path} have the same name", "Keep one mask for each radiograph.")
        sides[side] = path
    if not files:
        raise UsageError(f"{folder}: holds no mask", f"Masks are files of {', '.join(sorted(MASK_SUFFIXES))}.")
    return MaskFiles(folder, dict(sorted(files.items())))


def _below(root: Path) -> Iterator[tuple[str, str, Path]]:
    """Key, structure and path of every mask file."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        suffix = _suffix(path)
        if (
            not suffix
            or path.is_dir()
            or (len(parts) > 1 and parts[0] in _NO_MASKS)
            or any(part.startswith(".") for part in parts)
        ):
            continue
        sides = [_SIDES.get(_plain(part), LUNGS) for part in parts[:-1]]
        side = next((side for side in sides if side != LUNGS), LUNGS)
        kept = [part for part, part_side in zip(parts[:-1], sides, strict=True) if part_side == LUNGS]
        yield "/".join([*kept, parts[-1][: -len(suffix)]]), side, path


def _plain(name: str) -> str:
    return name.lower().replace(" ", "").replace("_", "").replace("-", "")


def _suffix(path: Path) -> str:
    """The suffix that makes the file a mask, as it is written; empty for other files."""
    name = path.name.lower()
    known = next((suffix for suffix in (".nii.gz", path.suffix.lower()) if name.endswith(suffix) and suffix), "")
    return path.name[-len(known) :] if known in MASK_SUFFIXES and len(name) > len(known) else ""


def _without_originals(found: list[tuple[str, str, Path]]) -> Iterator[tuple[str, str, Path]]:
    """The files without endings in their keys, and without the radiographs that lie beside masks with an ending."""
    bare = {(_without_ending(key), side) for key, side, _ in found if _without_ending(key) != key}
    for key, side, path in found:
        if (key, side) not in bare:
            yield _without_ending(key), side, path


def _without_ending(key: str) -> str:
    ending = next((ending for ending in _ENDINGS if key.lower().endswith(ending)), "")
    stripped = key[: len(key) - len(ending)]
    return stripped if _stem(stripped) else key


@dataclass(frozen=True)
class MaskPair:
    """A drawn mask and its hand-made one by structure; one of the two may be missing, and is then empty.

    `other` is the mask that a second method drew, where one is compared.
    """

    key: str
    drawn: Files
    truth: Files
    other: Files | None = None


def pair_masks(drawn: MaskFiles, truth: MaskFiles, other: MaskFiles | None = None) -> list[MaskPair]:
    """All masks of all folders, paired and sorted by key.

    Keys are stems; where a stem stands in several folders of one side, they are paths below the folders.
    """
    folders = [folder for folder in (drawn, truth, other) if folder is not None]
    tables: list[dict[str, Files]] = [folder.files for folder in folders]
    if all(len(folder.by_stem) == len(folder.files) for folder in folders):
        tables = [folder.by_stem for folder in folders]
    keys = sorted({key for table in tables for key in table})
    return [MaskPair(key, *(table.get(key, {}) for table in tables)) for key in keys]

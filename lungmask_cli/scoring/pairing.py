"""Finds the mask files of each folder and pairs predicted masks with reference masks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lungmask_cli.errors import ImageError, UsageError, suggest_path
from lungmask_cli.formats.find import walk_files
from lungmask_cli.formats.mask_values import DEFAULT_MASKS, MaskOptions
from lungmask_cli.formats.masks import MASK_SUFFIXES, is_mask, read_lung_mask_files
from lungmask_cli.formats.names import NamedFile, match_keys, parse_name
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT, LungMask

OVERLAYS, PROBABILITIES, DICOM_SEG = "overlays", "probabilities", "dicom_seg"
TABLE, SETTINGS = "segment.csv", "segment.json"  # which `lungmask segment` writes beside masks

# The role of a mask in a comparison; `OTHER` is that of a second method.
Role = Literal["predicted", "truth", "other"]
PREDICTED: Role = "predicted"
TRUTH: Role = "truth"
OTHER: Role = "other"

Files = Mapping[str, Path]  # by structure: `lungs`, or `right_lung` and `left_lung`; and `heart`


@dataclass(frozen=True)
class MaskFiles:
    """The mask files below a folder by key: the relative path without what says that it is a mask, with `/` separators.

    Each mask has its files by structure: `lungs`, or `right_lung` and `left_lung` if each lung has its own file; and
    `heart` if there is one.
    `skipped` are the files in no known format.
    """

    folder: Path
    files: dict[str, Files]
    skipped: tuple[Path, ...] = ()

    def match(self, images: Iterable[Path]) -> "MaskFiles":
        """The masks of these radiographs, by their relative paths without suffix, which are given with one."""
        names = {parse_name(path, Path()).image_key: path.with_suffix("").as_posix() for path in images}
        partners = match_keys(names, self.files).partners
        return replace(self, files={names[key]: self.files[own] for own, key in partners.items()})


def read_mask_files(files: Files, options: MaskOptions = DEFAULT_MASKS) -> LungMask:
    """The mask in these files, at least one.

    Raises:
        ImageError: a file is broken, the sizes differ, or one lung has no file.
    """
    lungs = [side for side in files if side != HEART]
    if not lungs:
        raise ImageError(
            f"{files[HEART]}: has no partner among the masks of the lungs",
            "To score hearts alone, give the folders of hearts.",
        )
    if LUNGS not in files and len(lungs) < 2:
        side, path = lungs[0], files[lungs[0]]
        other = {RIGHT: "left lung", LEFT: "right lung"}[side]
        raise ImageError(f"{path}: has no partner among the masks of the {other}", "Each lung needs a mask.")
    return read_lung_mask_files(files, options)


def find_masks(folder: Path) -> MaskFiles:
    """The masks below `folder`, sorted: pictures, DICOM segmentations and NIfTI files.

    What the names of folders and files say is described in `names.py`: two files of one lung each form one mask; if
    there are such files, others are not masks; beside `a_mask.png`, `a.png` is the radiograph, and so are files in
    `images/` if there are masks elsewhere. Hidden files are ignored, and so are masks of clavicles and what
    `lungmask segment` writes beside masks.

    Raises:
        UsageError: there is no such folder, it contains no mask, or two masks differ only in suffix or ending.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", suggest_path(folder, "Give a folder of mask files."))
    named = [parse_name(path, folder) for path in sorted(walk_files(folder))]
    masks: list[NamedFile] = []
    skipped: list[Path] = []
    for file in named:
        if is_mask(path := Path(file.path)):
            masks += [file] if file.kind != "other" else []
        elif path.name not in (TABLE, SETTINGS):
            skipped.append(path)
    files: dict[str, dict[str, Path]] = {}
    for file in _remove_others(masks):
        sides = files.setdefault(file.key, {})
        if file.side in sides:
            raise UsageError(
                f"{sides[file.side]} and {file.path} have the same name", "Keep one mask for each radiograph."
            )
        sides[file.side] = Path(file.path)
    if not files:
        raise UsageError(f"{folder}: contains no masks", f"Masks are files of {', '.join(sorted(MASK_SUFFIXES))}.")
    return MaskFiles(folder, dict(sorted(files.items())), tuple(skipped))


def _remove_others(files: Sequence[NamedFile]) -> list[NamedFile]:
    """The masks without radiographs and, if there are masks of single lungs, without those of both."""
    hearts, files = ([file for file in files if (file.side == HEART) is wanted] for wanted in (True, False))
    return [*_remove_others_than_lungs(files), *hearts]


def _remove_others_than_lungs(files: Sequence[NamedFile]) -> list[NamedFile]:
    if any(file.side != LUNGS for file in files):
        return [file for file in files if file.side != LUNGS]
    if any(file.kind == "mask" for file in files):
        files = [file for file in files if file.kind != "image"]
    marked = {file.key for file in files if file.is_marked}
    return [file for file in files if file.is_marked or file.key not in marked]


@dataclass(frozen=True)
class MaskPair:
    """The files of one mask in each role. A role without a mask has no files."""

    key: str
    files: Mapping[Role, Files]


@dataclass(frozen=True)
class MaskPairs:
    """The masks of all folders, paired and sorted by key, and sentences on how names were paired."""

    pairs: list[MaskPair]
    notes: list[str] = field(default_factory=list)


def pair_masks(folders: Mapping[Role, MaskFiles]) -> MaskPairs:
    """Pair the masks of all folders, as `match_keys` does.

    The keys of the pairs are stems; if a stem occurs several times, they are paths below the first folder that has the
    mask.

    Raises:
        UsageError: no mask has a partner.
    """
    pairs: dict[str, dict[Role, Files]] = {}
    notes = []
    first, *others = folders
    pairs = {key: {first: files} for key, files in folders[first].files.items()}
    for role in others:
        matches = match_keys(pairs, folders[role].files)
        for key, files in folders[role].files.items():
            pairs.setdefault(matches.partners.get(key, key), {})[role] = files
        if matches.affix:
            notes.append(matches.affix.describe(str(folders[first].folder), str(folders[role].folder)))
        if role == TRUTH and not matches.partners:
            raise _nothing_paired(folders[first], folders[role])
    counts = Counter(map(_stem, pairs))
    named = {_stem(key) if all(count == 1 for count in counts.values()) else key: files for key, files in pairs.items()}
    complete = [MaskPair(key, {role: named[key].get(role, {}) for role in folders}) for key in sorted(named)]
    return MaskPairs(complete, notes)


def _stem(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def _nothing_paired(masks: MaskFiles, others: MaskFiles) -> UsageError:
    return UsageError(
        f"no mask in {masks.folder} has the name of one in {others.folder}",
        f"The first names are {next(iter(masks.files))} and {next(iter(others.files))}. Give masks of the same images.",
    )

"""Known folder layouts: which radiograph belongs to which mask files.

A layout is a function from a folder to a `Pairing`, or None if the folder does not have this layout.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lungmask_cli.datasets.prepared import is_prepared
from lungmask_cli.errors import UsageError, suggest_path
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES, RASTER_SUFFIXES
from lungmask_cli.text import pluralize, printable, shorten_file_name

# File names of public data sets, which remain the same in every copy.
_ORIGINS = {
    "JSRT": re.compile(r"JPC[LN]N\d{3}"),
    "Montgomery": re.compile(r"MCUCXR_\d{4}_[01]"),
    "Shenzhen": re.compile(r"CHNCXR_\d{4}_[01]"),
}
_IMAGES, _MASKS = ("images", "CXR_png"), ("masks", "mask")
_SIDES = (("left_lung", "right_lung"), ("ManualMask/leftMask", "ManualMask/rightMask"))
_SCR_SIDES = ("left lung", "right lung")
_TITLES = {
    "CXR_png/ + ManualMask/leftMask/ + ManualMask/rightMask/": "MontgomerySet",
    "CXR_png/ + mask/": "ChinaSet_AllFiles",
    "CXR_png/ + masks/": "Lung Segmentation",
}
_MAX_DEPTH = 3


@dataclass(frozen=True)
class Pair:
    """A radiograph and its mask files: one of both lungs, or one of each.

    `origin` is the public data set, recognised by its file names, or else the name of the folder.
    """

    id: str
    image: Path
    masks: tuple[Path, ...]
    origin: str


@dataclass(frozen=True)
class Pairing:
    """The layouts of a data set in words, its pairs sorted by id, and a sentence for each file without a pair."""

    layout: str
    pairs: list[Pair]
    unpaired: list[str]


def find_pairs(*folders: Path) -> Pairing:
    """Pair the radiographs and masks in all `folders`, in any known layout, up to three levels below.

    Ids are file stems. If several origins have the same stem, the later pairs are called `ORIGIN-STEM`. A radiograph
    that occurs twice in one origin is used once, and reported.

    Raises:
        UsageError: a folder does not exist or has no known layout, or there is no pair.
    """
    pairings = [pairing for folder in folders for pairing in _pair_layouts(folder)]
    unpaired = [sentence for pairing in pairings for sentence in pairing.unpaired]
    layout = " and ".join(dict.fromkeys(pairing.layout for pairing in pairings))
    if not any(pairing.pairs for pairing in pairings):
        raise UsageError(
            f"{', '.join(map(str, folders))}: has the layout {layout}, but no radiograph has a mask of the same name",
            f"For example: {unpaired[0]}" if unpaired else "The folders are empty.",
        )
    pairs, duplicates = _merge_pairs(pair for pairing in pairings for pair in pairing.pairs)
    return Pairing(layout, pairs, [*unpaired, *duplicates])


def remove_names(pairing: Pairing) -> Pairing:
    """The same pairs without names: `set 1` instead of the name of a folder, a count instead of the unpaired files."""
    named = dict.fromkeys(pair.origin for pair in pairing.pairs if pair.origin not in _ORIGINS)
    numbers = {origin: f"set {number}" for number, origin in enumerate(named, start=1)}
    pairs = [replace(pair, origin=numbers.get(pair.origin, pair.origin)) for pair in pairing.pairs]
    return Pairing(pairing.layout, pairs, [count_unpaired(pairing)] if pairing.unpaired else [])


def count_unpaired(pairing: Pairing) -> str:
    """The number of files without a pair, in words."""
    return f"{pluralize(len(pairing.unpaired), 'file')} without a partner or duplicated"


def _pair_layouts(folder: Path) -> list[Pairing]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", suggest_path(folder, "Give the folder of a data set."))
    jsrt = pair_jsrt(folder)
    pairings = [jsrt] if jsrt else []
    for subfolder in _walk_folders(folder, _MAX_DEPTH, set()):
        pairings += [pairing for layout in LAYOUTS if (pairing := layout(subfolder))][:1]
    if not pairings:
        raise UsageError(
            f"{folder}: has none of the known data set layouts",
            "Known: JSRT (*.IMG) with SCR (fold1, fold2); MontgomerySet; ChinaSet_AllFiles; Lung Segmentation; "
            "images/ with masks/, or with left_lung/ and right_lung/.",
        )
    return pairings


def _walk_folders(folder: Path, depth: int, visited: set[str]) -> Iterator[Path]:
    """The folder and its subfolders, without prepared sets. Each is visited once, even if links lead to it again."""
    if os.path.realpath(folder) in visited:
        return
    visited.add(os.path.realpath(folder))
    yield folder
    if depth:
        for below in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            if not is_prepared(below):
                yield from _walk_folders(below, depth - 1, visited)


def _merge_pairs(pairs: Iterable[Pair]) -> tuple[list[Pair], list[str]]:
    """All pairs sorted by id, each id once, and a sentence for each duplicate."""
    merged: dict[str, Pair] = {}
    duplicates = []
    for pair in pairs:
        named = pair
        if pair.id in merged and merged[pair.id].origin != pair.origin:
            named = replace(pair, id=f"{pair.origin}-{pair.id}")
        if named.id in merged:
            duplicates.append(_describe_duplicate(pair.image, merged[named.id].image))
        else:
            merged[named.id] = named
    return [merged[key] for key in sorted(merged)], duplicates


def _describe_duplicate(image: Path, used: Path) -> str:
    return f"{image}: has the same name as {used}, which is used"


def pair_jsrt(folder: Path) -> Pairing | None:
    """JSRT as published (`*.IMG`, anywhere below) with SCR's `fold1|fold2/masks/{left lung,right lung}/*.gif`.

    Source: van Ginneken et al. 2006 (Med Image Anal 10:19).
    """
    images: list[Path] = []
    masks: list[Path] = []
    for root, _, names in os.walk(folder, followlinks=False):
        subfolder = Path(root)
        if subfolder.name in _SCR_SIDES and subfolder.parent.name == "masks":
            masks += [subfolder / name for name in names if _suffix(name) in RASTER_SUFFIXES]
        images += [subfolder / name for name in names if _suffix(name) == ".img"]
    return _pair_files("JSRT + SCR", folder, images, masks, masks_each=2) if images and masks else None


def pair_sides(folder: Path) -> Pairing | None:
    """`images/` with `left_lung/` and `right_lung/`, or Montgomery's `CXR_png` with `ManualMask/{left,right}Mask`.

    Source of the second layout: Jaeger et al. 2014 (Quant Imaging Med Surg 4:475).
    """
    images = _first_folder(folder, _IMAGES)
    for names in _SIDES:
        if images and all((folder / name).is_dir() for name in names):
            masks = [path for name in names for path in _files(folder / name, RASTER_SUFFIXES)]
            title = f"{images.name}/ + {'/ + '.join(names)}/"
            return _pair_files(title, folder, _files(images, IMAGE_SUFFIXES), masks, masks_each=2)
    return None


def pair_both_lungs(folder: Path) -> Pairing | None:
    """`images/` or `CXR_png/` with `masks/` or `mask/`; a mask may end in `_mask`.

    This is the layout of Shenzhen's masks (Stirenko et al. 2018), and of the copy with both Montgomery and Shenzhen.
    """
    images, masks = _first_folder(folder, _IMAGES), _first_folder(folder, _MASKS)
    if images is None or masks is None:
        return None
    files = _files(masks, RASTER_SUFFIXES)
    return _pair_files(f"{images.name}/ + {masks.name}/", folder, _files(images, IMAGE_SUFFIXES), files, masks_each=1)


LAYOUTS: tuple[Callable[[Path], Pairing | None], ...] = (pair_both_lungs, pair_sides)


def _first_folder(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _suffix(name: str) -> str:
    return "" if name.startswith(".") else Path(name).suffix.lower()


def _files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    known = frozenset(suffixes)
    return [path for path in folder.iterdir() if _suffix(path.name) in known and not path.is_dir()]


def _origin(stem: str, folder: Path) -> str:
    return next((name for name, pattern in _ORIGINS.items() if pattern.fullmatch(stem)), folder.resolve().name)


def _id(image: Path) -> str:
    """The stem in printable characters, short enough for a file name."""
    return shorten_file_name(f"{printable(image.stem)}.png").removesuffix(".png")


def _pair_files(title: str, folder: Path, images: list[Path], masks: list[Path], masks_each: int) -> Pairing:
    stems = {image.stem for image in images}
    masks_of: dict[str, list[Path]] = {}
    for mask in sorted(masks):
        stem = mask.stem if mask.stem in stems else mask.stem.removesuffix("_mask")
        masks_of.setdefault(stem, []).append(mask)
    pairs: list[Pair] = []
    unpaired: list[str] = []
    used: dict[str, Path] = {}
    for image in sorted(images, key=lambda path: (path.stem, path)):
        own = masks_of.get(image.stem, [])
        if image.stem in used:
            unpaired.append(_describe_duplicate(image, used[image.stem]))
        elif len(own) == masks_each:
            pairs.append(Pair(_id(image), image, tuple(own), _origin(image.stem, folder)))
        else:
            unpaired.append(f"{image}: has {pluralize(len(own), 'mask file')} of the same name, not {masks_each}")
        used.setdefault(image.stem, image)
    lonely = (mask for stem, own in sorted(masks_of.items()) if stem not in used for mask in own)
    unpaired.extend(f"{mask}: has no radiograph of the same name" for mask in lonely)
    return Pairing(_TITLES.get(title, title), pairs, unpaired)

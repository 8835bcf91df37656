"""Known folder layouts: which radiograph belongs to which mask files.

A layout is a function from a folder to a `Pairing`, or None where the folder is not laid out so.
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

# The radiographs of public sets keep their names wherever they are copied to.
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
_SEARCHED_DEPTH = 3


@dataclass(frozen=True)
class Pair:
    """A radiograph and the mask files whose union is its lungs: one, or left and right.

    `origin` is the public data set, known by its file names, else the name of the folder.
    """

    id: str
    image: Path
    masks: tuple[Path, ...]
    origin: str


@dataclass(frozen=True)
class Pairing:
    """What was found: the layouts in words, the pairs sorted by id, and a sentence for each file left over."""

    layout: str
    pairs: list[Pair]
    unpaired: list[str]


def find_pairs(*folders: Path) -> Pairing:
    """The pairs in all of `folders`, by the layouts that fit them or folders up to three levels below.

    Ids are file stems. Where two origins have a stem in common, its later pairs are called `ORIGIN-STEM`; a radiograph
    that one origin has twice is taken once, and reported.

    Raises:
        UsageError: a folder does not exist, holds no known layout, or no pair is found.
    """
    found = [pairing for folder in folders for pairing in _layouts_in(folder)]
    unpaired = [sentence for pairing in found for sentence in pairing.unpaired]
    layout = " and ".join(dict.fromkeys(pairing.layout for pairing in found))
    if not any(pairing.pairs for pairing in found):
        raise UsageError(
            f"{', '.join(map(str, folders))}: laid out as {layout}, but no radiograph has a mask of the same name",
            f"For example: {unpaired[0]}" if unpaired else "The folders are empty.",
        )
    pairs, repeated = _unite(pair for pairing in found for pair in pairing.pairs)
    return Pairing(layout, pairs, [*unpaired, *repeated])


def without_names(pairing: Pairing) -> Pairing:
    """The same pairs, with `set 1` and so on for origins that are names of folders, and files left over as a count."""
    named = dict.fromkeys(pair.origin for pair in pairing.pairs if pair.origin not in _ORIGINS)
    numbers = {origin: f"set {number}" for number, origin in enumerate(named, start=1)}
    pairs = [replace(pair, origin=numbers.get(pair.origin, pair.origin)) for pair in pairing.pairs]
    left = len(pairing.unpaired)
    return Pairing(
        pairing.layout, pairs, [f"{pluralize(left, 'file')} without a partner or there twice"] if left else []
    )


def _layouts_in(folder: Path) -> list[Pairing]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", suggest_path(folder, "Give the folder of a data set."))
    jsrt = jsrt_scr(folder)
    found = [jsrt] if jsrt else []
    for place in _folders(folder, _SEARCHED_DEPTH, set()):
        found += [pairing for layout in LAYOUTS if (pairing := layout(place))][:1]
    if not found:
        raise UsageError(
            f"{folder}: is not laid out as a data set that is known here",
            "Known: JSRT (*.IMG) with SCR (fold1, fold2); MontgomerySet; ChinaSet_AllFiles; Lung Segmentation; "
            "images/ with masks/, or with left_lung/ and right_lung/.",
        )
    return found


def _folders(folder: Path, depth: int, entered: set[str]) -> Iterator[Path]:
    """The folder and those below it, each once whatever links lead there, without prepared sets that lie among them."""
    if os.path.realpath(folder) in entered:
        return
    entered.add(os.path.realpath(folder))
    yield folder
    if depth:
        for below in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            if not is_prepared(below):
                yield from _folders(below, depth - 1, entered)


def _unite(pairs: Iterable[Pair]) -> tuple[list[Pair], list[str]]:
    taken: dict[str, Pair] = {}
    repeated = []
    for pair in pairs:
        named = pair
        if pair.id in taken and taken[pair.id].origin != pair.origin:
            named = replace(pair, id=f"{pair.origin}-{pair.id}")
        if named.id in taken:
            repeated.append(f"{pair.image}: has the same name as {taken[named.id].image}, which was taken")
        else:
            taken[named.id] = named
    return [taken[key] for key in sorted(taken)], repeated


def jsrt_scr(folder: Path) -> Pairing | None:
    """JSRT as published (`*.IMG`, anywhere below) with SCR's `fold1|fold2/masks/{left lung,right lung}/*.gif`.

    Source: van Ginneken et al. 2006 (Med Image Anal 10:19).
    """
    images: list[Path] = []
    masks: list[Path] = []
    for root, _, names in os.walk(folder, followlinks=False):
        place = Path(root)
        if place.name in _SCR_SIDES and place.parent.name == "masks":
            masks += [place / name for name in names if _suffix(name) in RASTER_SUFFIXES]
        images += [place / name for name in names if _suffix(name) == ".img"]
    return _pair("JSRT + SCR", folder, images, masks, masks_each=2) if images and masks else None


def sides(folder: Path) -> Pairing | None:
    """`images/` with `left_lung/` and `right_lung/`, or Montgomery's `CXR_png` with `ManualMask/{left,right}Mask`.

    Source of the latter: Jaeger et al. 2014 (Quant Imaging Med Surg 4:475).
    """
    images = _first_folder(folder, _IMAGES)
    for names in _SIDES:
        if images and all((folder / name).is_dir() for name in names):
            masks = [path for name in names for path in _files(folder / name, RASTER_SUFFIXES)]
            title = f"{images.name}/ + {'/ + '.join(names)}/"
            return _pair(_TITLES.get(title, title), folder, _files(images, IMAGE_SUFFIXES), masks, masks_each=2)
    return None


def both_lungs(folder: Path) -> Pairing | None:
    """`images/` or `CXR_png/` with `masks/` or `mask/`; a mask may end in `_mask`.

    So are Shenzhen's masks laid out (Stirenko et al. 2018), and the copy that has Montgomery and Shenzhen in one.
    """
    images, masks = _first_folder(folder, _IMAGES), _first_folder(folder, _MASKS)
    if images is None or masks is None:
        return None
    files = _files(masks, RASTER_SUFFIXES)
    title = f"{images.name}/ + {masks.name}/"
    return _pair(_TITLES.get(title, title), folder, _files(images, IMAGE_SUFFIXES), files, masks_each=1)


LAYOUTS: tuple[Callable[[Path], Pairing | None], ...] = (both_lungs, sides)


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
    """The stem, as far as it can be printed and a file can be called so."""
    return shorten_file_name(f"{printable(image.stem)}.png").removesuffix(".png")


def _pair(layout: str, folder: Path, images: list[Path], masks: list[Path], masks_each: int) -> Pairing:
    stems = {image.stem for image in images}
    by_stem: dict[str, list[Path]] = {}
    for mask in sorted(masks):
        stem = mask.stem if mask.stem in stems else mask.stem.removesuffix("_mask")
        by_stem.setdefault(stem, []).append(mask)
    pairs: list[Pair] = []
    unpaired: list[str] = []
    seen: dict[str, Path] = {}
    for image in sorted(images, key=lambda path: (path.stem, path)):
        found = by_stem.get(image.stem, [])
        if image.stem in seen:
            unpaired.append(f"{image}: has the same name as {seen[image.stem]}, which was taken")
        elif len(found) == masks_each:
            pairs.append(Pair(_id(image), image, tuple(found), _origin(image.stem, folder)))
        else:
            unpaired.append(f"{image}: has {len(found)} mask files of its name, not {masks_each}")
        seen.setdefault(image.stem, image)
    lost = (mask for stem, found in sorted(by_stem.items()) if stem not in seen for mask in found)
    unpaired.extend(f"{mask}: has no radiograph of its name" for mask in lost)
    return Pairing(layout, pairs, unpaired)

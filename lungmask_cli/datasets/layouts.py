"""Known folder layouts: which radiograph belongs to which mask files.

A layout is a function from a folder to a `Pairing`, or None where the folder is not laid out so.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.read import IMAGE_SUFFIXES, RASTER_SUFFIXES


@dataclass(frozen=True)
class Pair:
    """A radiograph and the mask files whose union is its lungs."""

    id: str
    image: Path
    masks: tuple[Path, ...]


@dataclass(frozen=True)
class Pairing:
    """What a layout found: the pairs sorted by id, and a sentence for each file left over."""

    layout: str
    pairs: list[Pair]
    unpaired: list[str]


def find_pairs(folder: Path) -> Pairing:
    """The pairs in `folder`, by the first layout that fits.

    Raises:
        UsageError: the folder does not exist, fits no layout, or holds no pair.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", "Give the folder of a data set.")
    for layout in LAYOUTS:
        pairing = layout(folder)
        if pairing is not None:
            if not pairing.pairs:
                raise UsageError(
                    f"{folder}: laid out as {pairing.layout}, but no radiograph has a mask of the same name",
                    f"For example: {pairing.unpaired[0]}" if pairing.unpaired else "The folders are empty.",
                )
            return pairing
    raise UsageError(
        f"{folder}: is not laid out as a data set that is known here",
        "Known: JSRT (*.IMG) with SCR (fold1, fold2), or images/ with masks/, or with left_lung/ and right_lung/.",
    )


def jsrt_scr(folder: Path) -> Pairing | None:
    """JSRT as published (`*.IMG`, anywhere below) with SCR's `fold1|fold2/masks/{left lung,right lung}/*.gif`.

    Source: van Ginneken et al. 2006 (Med Image Anal 10:19).
    """
    images = [path for path in folder.rglob("*") if path.suffix.lower() == ".img"]
    lungs = [path for side in ("left lung", "right lung") for path in folder.rglob(f"masks/{side}")]
    if not images or not lungs:
        return None
    files = [path for side in lungs for path in side.iterdir() if path.suffix.lower() in RASTER_SUFFIXES]
    return _pair("JSRT + SCR", images, files, masks_each=2)


def plain_sides(folder: Path) -> Pairing | None:
    """`images/` with `left_lung/` and `right_lung/`."""
    sides = [folder / "left_lung", folder / "right_lung"]
    if not (folder / "images").is_dir() or not all(side.is_dir() for side in sides):
        return None
    files = [path for side in sides for path in _files(side, RASTER_SUFFIXES)]
    return _pair("images/ + left_lung/ + right_lung/", _files(folder / "images", IMAGE_SUFFIXES), files, masks_each=2)


def plain_masks(folder: Path) -> Pairing | None:
    """`images/` with `masks/`."""
    if not (folder / "images").is_dir() or not (folder / "masks").is_dir():
        return None
    images = _files(folder / "images", IMAGE_SUFFIXES)
    return _pair("images/ + masks/", images, _files(folder / "masks", RASTER_SUFFIXES), masks_each=1)


LAYOUTS: tuple[Callable[[Path], Pairing | None], ...] = (jsrt_scr, plain_masks, plain_sides)


def _files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    known = frozenset(suffixes)
    return [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in known and not path.name.startswith(".") and not path.is_dir()
    ]


def _pair(layout: str, images: list[Path], masks: list[Path], masks_each: int) -> Pairing:
    by_stem: dict[str, list[Path]] = {}
    for mask in sorted(masks):
        by_stem.setdefault(mask.stem, []).append(mask)
    pairs: list[Pair] = []
    unpaired: list[str] = []
    seen: dict[str, Path] = {}
    for image in sorted(images, key=lambda path: (path.stem, path)):
        found = by_stem.get(image.stem, [])
        if image.stem in seen:
            unpaired.append(f"{image}: has the same name as {seen[image.stem]}, which was taken")
        elif len(found) == masks_each:
            pairs.append(Pair(image.stem, image, tuple(found)))
        else:
            unpaired.append(f"{image}: has {len(found)} mask files of its name, not {masks_each}")
        seen.setdefault(image.stem, image)
    lost = (mask for stem, found in sorted(by_stem.items()) if stem not in seen for mask in found)
    unpaired.extend(f"{mask}: has no radiograph of its name" for mask in lost)
    return Pairing(layout, pairs, unpaired)

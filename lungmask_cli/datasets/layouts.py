"""Which radiograph of a folder belongs to which mask files, by the names of folders and files."""

import filecmp
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lungmask_cli.datasets.prepared import is_prepared
from lungmask_cli.errors import UsageError, suggest_path
from lungmask_cli.formats.find import is_image, walk_files
from lungmask_cli.formats.masks import is_mask
from lungmask_cli.formats.names import NamedFile, match_keys, parse_name
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT
from lungmask_cli.text import pluralize, printable, shorten_file_name

# File names of public data sets, which remain the same in every copy.
_ORIGINS = {
    "JSRT": re.compile(r"JPC[LN]N\d{3}"),
    "Montgomery": re.compile(r"MCUCXR_\d{4}_[01]"),
    "Shenzhen": re.compile(r"CHNCXR_\d{4}_[01]"),
}
_JSRT_SUFFIX = ".img"
_TITLES = {
    "CXR_png/ + ManualMask/leftMask/ + ManualMask/rightMask/": "MontgomerySet",
    "CXR_png/ + mask/": "ChinaSet_AllFiles",
    "CXR_png/ + masks/": "Lung Segmentation",
}
_KNOWN = (
    "Known: images/ with masks/, or with left_lung/ and right_lung/, and hearts/; x.png with x_mask.png; JSRT (*.IMG) "
    "with SCR (fold1, fold2); MontgomerySet; ChinaSet_AllFiles; Lung Segmentation; COVID-QU-Ex; nnU-Net."
)


@dataclass(frozen=True)
class Pair:
    """A radiograph and its mask files: one of both lungs, or one of each, and, if there is one, that of the heart.

    A radiograph that is used without masks has none.
    `origin` is the public data set, recognised by its file names, or else the name of a folder. `split` is that which a
    folder such as `train/` names; otherwise empty.
    """

    id: str
    image: Path
    masks: tuple[Path, ...]
    origin: str
    split: str = ""
    heart: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The radiograph and its mask files."""
        return (self.image, *self.masks, *([self.heart] if self.heart else []))


@dataclass(frozen=True)
class Pairing:
    """The layouts of a data set in words, its pairs sorted by id, and a sentence for each file without a pair.

    `skipped` are the files that are neither radiographs nor masks.
    """

    layout: str
    pairs: list[Pair]
    unpaired: list[str]
    skipped: tuple[Path, ...] = ()

    def folder_split(self) -> dict[str, str]:
        """The split of each id that a folder such as `train/` names."""
        return {pair.id: pair.split for pair in self.pairs if pair.split}


@dataclass(frozen=True)
class _Files:
    """The files of one or several folders: radiographs and masks by key, and those that are neither."""

    images: Mapping[str, list[NamedFile]]
    masks: Mapping[str, list[NamedFile]]
    skipped: list[Path]


def find_pairs(*folders: Path) -> Pairing:
    """Pair the radiographs and masks in all `folders`, in any known layout.

    Ids are file stems; where several radiographs have the same, their folders are put in front. A radiograph that
    occurs twice with the same content is used once, and reported.

    Raises:
        UsageError: a folder does not exist, there are no radiographs or no masks, or there is no pair.
    """
    found = [_list_files(folder) for folder in folders]
    pairings = [_pair(files, folder) for files, folder in zip(found, folders, strict=True)]
    if not any(pairing.pairs for pairing in pairings) and len(folders) > 1:  # radiographs and masks apart
        found = [_join(found)]
        pairings = [_pair(found[0], folders[0])]
    images, masks = (any(getattr(files, kind) for files in found) for kind in ("images", "masks"))
    names = ", ".join(map(str, folders))
    if not (images and masks):
        missing = "masks" if images else "radiographs" if masks else "radiographs and no masks"
        raise UsageError(f"{names}: has none of the known data set layouts: there are no {missing}", _KNOWN)
    unpaired = [sentence for pairing in pairings for sentence in pairing.unpaired]
    layout = " and ".join(dict.fromkeys(pairing.layout for pairing in pairings if pairing.pairs))
    pairs, duplicates = _name_pairs([pair for pairing in pairings for pair in pairing.pairs])
    if not pairs:
        raise UsageError(f"{names}: no radiograph has a mask of the same name", f"For example: {unpaired[0]}")
    skipped = tuple(path for files in found for path in files.skipped)
    return Pairing(layout, pairs, [*unpaired, *duplicates], skipped)


def find_radiographs(*folders: Path) -> Pairing:
    """The radiographs in all `folders`, without their masks, if there are any.

    Raises:
        UsageError: a folder does not exist, or there are no radiographs.
    """
    found = [_list_files(folder) for folder in folders]
    pairs, repeated = [], []
    for files, folder in zip(found, folders, strict=True):
        images = sorted(files.images.items())
        origins = _find_origins([image for _, (image, *_) in images], folder)
        pairs += [
            Pair(key, Path(image.path), (), origin) for (key, (image, *_)), origin in zip(images, origins, strict=True)
        ]
        repeated += [_describe_duplicate(other, image) for _, (image, *others) in images for other in others]
    if not pairs:
        raise UsageError(f"{', '.join(map(str, folders))}: there are no radiographs", "Give a folder of radiographs.")
    named, duplicates = _name_pairs(pairs)
    skipped = tuple(path for files in found for path in files.skipped)
    return Pairing("radiographs without masks", named, [*repeated, *duplicates], skipped)


def remove_names(pairing: Pairing) -> Pairing:
    """The same pairs without names: `set 1` instead of the name of a folder, a count instead of the unpaired files."""
    named = dict.fromkeys(pair.origin for pair in pairing.pairs if pair.origin not in _ORIGINS)
    numbers = {origin: f"set {number}" for number, origin in enumerate(named, start=1)}
    pairs = [replace(pair, origin=numbers.get(pair.origin, pair.origin)) for pair in pairing.pairs]
    return replace(pairing, pairs=pairs, unpaired=[count_unpaired(pairing)] if pairing.unpaired else [])


def count_unpaired(pairing: Pairing) -> str:
    """The number of files without a pair, in words."""
    return f"{pluralize(len(pairing.unpaired), 'file')} without a partner or duplicated"


def _list_files(folder: Path) -> _Files:
    """The files below the folder, without prepared sets."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", suggest_path(folder, "Give the folder of a data set."))
    named = [parse_name(path, folder) for path in sorted(walk_files(folder, enter=lambda path: not is_prepared(path)))]
    bare = {(file.path.parent, file.path.stem) for file in named if not file.is_marked}
    images: dict[str, list[NamedFile]] = {}
    masks: dict[str, list[NamedFile]] = {}
    skipped = []
    for file in named:
        # Beside a.png, a_mask.png is its mask, wherever both are; elsewhere the folder decides.
        beside = file.is_marked and (file.kind == "unknown" or (file.path.parent, file.stem) in bare)
        if file.kind == "other":
            continue
        if (beside or file.kind == "mask") and is_mask(Path(file.path)):
            masks.setdefault(file.key, []).append(file)
        elif file.kind != "mask" and is_image(Path(file.path)):
            images.setdefault(file.image_key, []).append(file)
        else:
            skipped.append(Path(file.path))
    return _Files(images, masks, skipped)


def _join(files: Sequence[_Files]) -> _Files:
    images: dict[str, list[NamedFile]] = {}
    masks: dict[str, list[NamedFile]] = {}
    for one in files:
        for joined, own in ((images, one.images), (masks, one.masks)):
            for key, values in own.items():
                joined.setdefault(key, []).extend(values)
    return _Files(images, masks, [path for one in files for path in one.skipped])


def _pair(files: _Files, folder: Path) -> Pairing:
    """The pairs of one folder, and what remains. Their ids are those of `image_key`."""
    matches = match_keys(files.images, files.masks)
    masks_of: dict[str, list[NamedFile]] = {}
    for mask_key, image_key in matches.partners.items():
        masks_of[image_key] = files.masks[mask_key]
    masks_each = 1 if any(mask.side == LUNGS for own in files.masks.values() for mask in own) else 2
    pairs, unpaired, titles = [], [], []
    for key, (image, *others) in sorted(files.images.items()):
        unpaired += [_describe_duplicate(other, image) for other in others]
        own = masks_of.get(key, [])
        if chosen := _choose_masks(own):
            masks, heart = tuple(Path(mask.path) for mask in chosen), _choose_heart(own)
            pairs.append(Pair(key, Path(image.path), masks, "", image.split, heart))
            titles.append(_title(image, chosen))
            if (hearts := sum(mask.side == HEART for mask in own)) > 1:
                unpaired.append(f"{image.path}: has {hearts} masks of the heart, of which none is used")
        else:
            count = pluralize(sum(mask.side != HEART for mask in own), "mask file")
            unpaired.append(f"{image.path}: has {count} of the same name, not {masks_each}")
    lonely = sorted(files.masks.keys() - matches.partners.keys())
    unpaired += [f"{mask.path}: has no radiograph of the same name" for key in lonely for mask in files.masks[key]]
    note = f", {matches.affix.describe('radiographs', 'masks')}" if matches.affix else ""
    origins = _find_origins([files.images[pair.id][0] for pair in pairs], folder)
    pairs = [replace(pair, origin=origin) for pair, origin in zip(pairs, origins, strict=True)]
    return Pairing(" and ".join(dict.fromkeys(titles)) + note, pairs, unpaired)


def _choose_masks(masks: Sequence[NamedFile]) -> list[NamedFile]:
    """The mask of both lungs, if there is one, otherwise that of each lung; empty if there are fewer or more."""
    by_side = {side: [mask for mask in masks if mask.side == side] for side in (LUNGS, LEFT, RIGHT)}
    counts = {side: len(own) for side, own in by_side.items()}
    if counts[LUNGS] == 1:
        return by_side[LUNGS]
    return by_side[LEFT] + by_side[RIGHT] if counts == {LUNGS: 0, LEFT: 1, RIGHT: 1} else []


def _choose_heart(masks: Sequence[NamedFile]) -> Path | None:
    """The mask of the heart; None without one, or with several."""
    hearts = [Path(mask.path) for mask in masks if mask.side == HEART]
    return hearts[0] if len(hearts) == 1 else None


def _title(image: NamedFile, masks: Sequence[NamedFile]) -> str:
    if image.path.suffix.lower() == _JSRT_SUFFIX:
        return "JSRT + SCR"
    files = (image, *masks)
    folders = [file.contents.split("/") for file in files]
    while all(len(names) > 1 for names in folders) and len({names[0] for names in folders}) == 1:
        folders = [names[1:] for names in folders]  # the folder of the whole set, such as Lung Segmentation/
    named = ["/".join(names) for names in folders]
    names = (f"{name}/" if name else _example_name(file) for name, file in zip(named, files, strict=True))
    title = " + ".join(names)
    return _TITLES.get(title, title)


def _example_name(file: NamedFile) -> str:
    """How the files of a folder are named, with x for what differs."""
    return file.path.name.replace(file.stem, "x") if file.stem else file.path.name


def _find_origins(images: Sequence[NamedFile], folder: Path) -> list[str]:
    """The public data set of each radiograph; else its folders, as far as they differ; else the name of the root.

    Folders that hold one radiograph each are those of patients, not origins.
    """
    common = set(images[0].groups).intersection(*(image.groups for image in images)) if images else set()
    own = ["-".join(name for name in image.groups if name not in common) for image in images]
    root = folder.resolve().name
    if 2 * len(set(own)) > len(own):
        own = [""] * len(own)
    return [_public_origin(image) or name or root for image, name in zip(images, own, strict=True)]


def _public_origin(image: NamedFile) -> str:
    return next((name for name, pattern in _ORIGINS.items() if pattern.fullmatch(image.path.stem)), "")


def _name_pairs(pairs: Iterable[Pair]) -> tuple[list[Pair], list[str]]:
    """The pairs with short unique ids, sorted by them, each content once, and a sentence for each duplicate."""
    by_stem: dict[str, list[Pair]] = {}
    duplicates = []
    for pair in pairs:
        namesakes = by_stem.setdefault(pair.id.rsplit("/", 1)[-1], [])
        if used := next((other for other in namesakes if _same_content(pair.image, other.image)), None):
            duplicates.append(f"{pair.image}: has the same name and content as {used.image}, which is used")
        else:
            namesakes.append(pair)
    named: dict[str, Pair] = {}
    for stem, namesakes in by_stem.items():
        for pair in namesakes:
            names = (stem,) if len(namesakes) == 1 else _long_names(pair)
            name = next(short for name in names if (short := _id(name)) not in named)
            named[name] = replace(pair, id=name)
    return [named[name] for name in sorted(named)], duplicates


def _same_content(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:  # the reader reports it
        return False


def _long_names(pair: Pair) -> Iterator[str]:
    """Possible ids of a pair whose stem is not unique, the best first."""
    path = pair.id.replace("/", "-")
    if path != pair.id:
        yield path
    yield f"{pair.origin}-{path}"
    yield from (f"{pair.origin}-{path}-{number}" for number in itertools.count(2))


def _id(name: str) -> str:
    """The name in printable characters, short enough for a file name."""
    return shorten_file_name(f"{printable(name)}.png").removesuffix(".png")


def _describe_duplicate(image: NamedFile, used: NamedFile) -> str:
    return f"{image.path}: has the same name as {used.path}, which is used"

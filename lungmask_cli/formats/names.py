"""What the path of a file says: if it is a radiograph or a mask, of what, and which files belong together."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Literal

from lungmask_cli.formats.nifti import NIFTI_SUFFIXES
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT

Kind = Literal["image", "mask", "other", "unknown"]
KNOWN_SUFFIXES = IMAGE_SUFFIXES | NIFTI_SUFFIXES

# Words are compared in small letters, without spaces, hyphens and underscores.
_MASK = "(?:mask|label|seg|segmentation|annotation|groundtruth|gt|truth|target|pred|prediction)s?"
_MASKS = f"(?:{_MASK})+(?:(?:of)?(?:the)?lungs?)?(?:images?|files?)?"  # such as mask images
_OF_MASK = "(?:lungs?|cxr|chest|xray|manual|binary|reference)*"
_IMAGE = "(?:image|img|cxr|xray|radiograph|picture|scan|input|dicom|dcm)s?"
_OF_IMAGE = r"(?:all\d*|lungs?|chest|original|cxr|xray)*"
_SIDE = r"(?P<side>left|right)"
_HEARTS = f"(?:{_MASK})?(?P<heart>heart)s?(?:{_MASK})?"
_PART = "(?P<part>tr|ts|val)?"  # nnU-Net: imagesTr, labelsTs
_FOLDERS: dict[Kind, re.Pattern[str]] = {
    "other": re.compile(
        "(?:left|right)?clavicles?|(?:left|right)hearts?|infectionmasks?|overlays|probabilities|dicomseg"
    ),
    "mask": re.compile(
        f"{_OF_MASK}(?:(?:{_MASK})?{_SIDE}(?:lungs?)?(?:{_MASK})?|{_MASKS}|lungs|{_HEARTS})(?:png)?{_PART}"
    ),
    "image": re.compile(f"{_OF_IMAGE}{_IMAGE}(?:png)?{_PART}"),
}
_SEPARATOR = "[ _.-]"
_NAME_OF_MASK = f"(?:lungs?{_SEPARATOR}?)?{_MASK}"
_NAME_OF_LUNG = f"(?:lung{_SEPARATOR}?)?(?:{_MASK}{_SEPARATOR}?)?{_SIDE}(?:{_SEPARATOR}?lung)?(?:{_SEPARATOR}?{_MASK})?"
_NAME_OF_HEART = f"(?:{_MASK}{_SEPARATOR})?(?P<heart>heart)(?:{_SEPARATOR}{_MASK})?"
_ENDINGS = f"{_NAME_OF_MASK}|lungs?|{_NAME_OF_HEART}|(?=.*lung|.*mask){_NAME_OF_LUNG}"
_ENDING = re.compile(f"{_SEPARATOR}(?:{_ENDINGS})$", re.IGNORECASE)
_BEGINNING = re.compile(f"^{_NAME_OF_MASK}[ _-]", re.IGNORECASE)
_JOINTS = ("_", "-", ".", " ")  # between a name and its affix
_NAMES_FOR_AFFIX, _SHORTEST_WORD = 5, 3
# What people call the parts of a split, in small letters.
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_FOLDER_SPLITS = {**SPLIT_WORDS, "tr": "train", "ts": "test"}


@dataclass(frozen=True)
class NamedFile:
    """What the path of a file says.

    Args:
        path: the file.
        folders: the folders between the root and the file, without those that say what is in them, such as `masks/`.
        stem: the name without the suffix of an image or mask, and without `_mask` and the like; empty if nothing
            remains, as of `mask.png` in the folder of a patient.
        kind: what the folders say, or else the name: `unknown` if they say nothing, `other` for other organs and such.
        side: what a mask is of: `LUNGS`, `RIGHT`, `LEFT` or `HEART`.
        is_marked: whether the name itself says that the file is a mask.
        contents: the folders that say what is in them, joined by `/`.
    """

    path: PurePath
    folders: tuple[str, ...]
    stem: str
    kind: Kind
    side: str
    is_marked: bool
    contents: str

    @property
    def key(self) -> str:
        """The folders and the stem, joined by `/`: for a mask the same as `image_key` of its radiograph."""
        return "/".join(filter(None, (*self.folders, self.stem)))

    @property
    def image_key(self) -> str:
        """The key of a radiograph, which has the whole name, because only masks are marked, or none, as `image.png`."""
        return "/".join((*self.folders, remove_suffix(self.path.name))) if self.stem else self.key

    @property
    def split(self) -> str:
        """The split that a folder names: `train`, `val` or `test`; otherwise empty."""
        names = (_FOLDER_SPLITS.get(folder.lower(), "") for folder in reversed(self.folders))
        return next(filter(None, names), "")

    @property
    def groups(self) -> tuple[str, ...]:
        """The folders that do not name a split."""
        return tuple(folder for folder in self.folders if folder.lower() not in _FOLDER_SPLITS)


def remove_suffix(name: str) -> str:
    """The file name without the suffix of an image or mask; other suffixes are parts of the name."""
    small = name.lower()
    endings = [suffix for suffix in KNOWN_SUFFIXES if small.endswith(suffix) and len(name) > len(suffix)]
    return name[: len(name) - len(max(endings, key=len, default=""))]


def parse_name(path: PurePath, root: PurePath) -> NamedFile:
    """What the path of a file below the folder `root` says."""
    kind: Kind = "unknown"
    side, folders, contents = LUNGS, [], []
    for folder in path.relative_to(root).parts[:-1]:
        if (found := _parse_words(folder)) is None:
            folders.append(folder)
            continue
        own_kind, match = found
        kind = kind if kind == "other" else own_kind
        side = _side(match) or side
        contents.append(folder)
        folders += filter(None, [match.groupdict().get("part")])
    stem = remove_suffix(path.name)
    whole = _parse_words(stem) if folders else None
    ending, beginning = _ENDING.search(stem), _BEGINNING.search(stem)
    if whole and whole[0] != "other":  # such as mask.png in the folder of a patient
        kind, bare, side = (kind if kind == "other" else whole[0]), "", _side(whole[1]) or side
    elif ending and ending.start():
        bare, side = stem[: ending.start()], _side(ending) or side
    elif beginning and beginning.end() < len(stem):
        bare = stem[beginning.end() :]
    else:
        bare = stem
    is_marked = bare != stem and not (whole and whole[0] == "image")
    return NamedFile(path, tuple(folders), bare, kind, side, is_marked, "/".join(contents))


def describes_contents(folder: str) -> bool:
    """Whether the name of a folder says what is in it, such as `images` or `left lung`."""
    return _parse_words(folder) is not None


def _parse_words(name: str) -> tuple[Kind, re.Match[str]] | None:
    """What a whole name says, such as that of the folder `left_lung`; None if it says nothing."""
    word = re.sub(_SEPARATOR, "", name.lower())
    return next(((kind, match) for kind, pattern in _FOLDERS.items() if (match := pattern.fullmatch(word))), None)


def _side(match: re.Match[str]) -> str:
    if match.groupdict().get("heart"):
        return HEART
    return {"right": RIGHT, "left": LEFT}.get((match.groupdict().get("side") or "").lower(), "")


@dataclass(frozen=True)
class Affix:
    """A beginning or ending that the names on one side have, and those of their partners have not.

    Args:
        text: the beginning or ending.
        at_end: whether it is an ending.
        on_others: whether the names of the others have it.
    """

    text: str
    at_end: bool
    on_others: bool

    def describe(self, name: str, name_of_others: str) -> str:
        """A sentence that says what was left out, with the names of both sides."""
        where, owner = "end" if self.at_end else "beginning", name_of_others if self.on_others else name
        return f"paired without {self.text!r} at the {where} of the names in {owner}"

    @property
    def is_likely(self) -> bool:
        """Whether it is a word of some length, or is separated from the name."""
        joint = self.text[:1] if self.at_end else self.text[-1:]
        return joint in _JOINTS or (self.text.isalpha() and len(self.text) >= _SHORTEST_WORD)

    def add_to(self, name: str) -> str:
        """The name with the affix."""
        return name + self.text if self.at_end else self.text + name


@dataclass(frozen=True)
class Matches:
    """Which keys belong together.

    Args:
        partners: for a key of the others, the key of its partner.
        affix: what some of these names have and their partners have not; None if they are the same.
    """

    partners: dict[str, str]
    affix: Affix | None = None


def match_keys(keys: Collection[str], others: Collection[str]) -> Matches:
    """Match the keys of radiographs or masks with other keys: each gets at most one partner.

    Equal keys match. So do keys that differ in letter case or in their upper folders, if the last parts are unique on
    both sides and not both folders occur on both sides; and keys of which one side has the same additional beginning or
    ending.
    """
    partners = {key: key for key in others if key in keys}
    both = set(map(_folder, keys)) & set(map(_folder, others))

    def may_match(key: str, other: str) -> bool:
        return _folder(key) == _folder(other) or not {_folder(key), _folder(other)} <= both

    simplifications: list[Callable[[str], str]] = [str.casefold, *(partial(_last_parts, count=n) for n in (3, 2, 1))]
    for simplify in simplifications:
        counts, other_counts = Counter(map(simplify, keys)), Counter(map(simplify, others))
        by_name = {simplify(key): key for key in _unmatched(keys, partners.values()) if counts[simplify(key)] == 1}
        for other in _unmatched(others, partners):
            key = by_name.get(simplify(other))
            if key is not None and other_counts[simplify(other)] == 1 and may_match(key, other):
                partners[other] = key
    remaining = _unmatched(keys, partners.values()), _unmatched(others, partners)
    if len(partners) >= min(map(len, remaining)):  # names agree as they are
        return Matches(partners)
    for simplify in (simplifications[0], simplifications[-1]):
        more = _match_affix(_unique(remaining[0], simplify), _unique(remaining[1], simplify), may_match)
        if more.partners:
            return Matches(partners | more.partners, more.affix)
    return Matches(partners)


def _unmatched(keys: Collection[str], matched: Collection[str]) -> list[str]:
    known = set(matched)
    return sorted(key for key in keys if key not in known)


def _last_parts(key: str, count: int) -> str:
    return "/".join(key.casefold().split("/")[-count:])


def _folder(key: str) -> str:
    return key.rpartition("/")[0].casefold()


def _unique(keys: Collection[str], simplify: Callable[[str], str]) -> dict[str, str]:
    """The keys by what `simplify` makes of them, where that is unique."""
    counts = Counter(map(simplify, keys))
    return {simplify(key): key for key in keys if counts[simplify(key)] == 1}


def _match_affix(keys: Mapping[str, str], others: Mapping[str, str], may_match: Callable[[str, str], bool]) -> Matches:
    """Match keys by name with others whose names differ by one affix; none if two affixes match as many."""
    results = []
    for affix in _find_affixes(keys, others):
        shorter, longer = (keys, others) if affix.on_others else (others, keys)
        found = ((shorter[name], longer[affix.add_to(name)]) for name in shorter if affix.add_to(name) in longer)
        pairs = ((key, other) if affix.on_others else (other, key) for key, other in found)
        partners = {other: key for key, other in pairs if may_match(key, other)}
        if 2 * len(partners) >= min(len(keys), len(others)):
            results.append(Matches(partners, affix))
    results.sort(key=lambda result: -len(result.partners))
    if not results or (len(results) > 1 and len(results[0].partners) == len(results[1].partners)):
        return Matches({})
    return results[0]


def _find_affixes(keys: Collection[str], others: Collection[str]) -> set[Affix]:
    """What some name of one side has beyond a name of the other: a word, or something beside a separator."""
    affixes = set()
    for shorter, longer, on_others in ((keys, others, True), (others, keys, False)):
        for name in sorted(shorter)[:_NAMES_FOR_AFFIX]:
            affixes |= {Affix(other[len(name) :], True, on_others) for other in longer if other.startswith(name)}
            affixes |= {Affix(other[: -len(name)], False, on_others) for other in longer if other.endswith(name)}
    return {affix for affix in affixes if affix.is_likely}

"""Training, validation and test parts of a data set: from a CSV file, or drawn at random with a seed."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungmask_cli.errors import UsageError, suggest
from lungmask_cli.files import csv_rows

TRAIN, VAL, TEST, UNUSED = "train", "val", "test", "unused"
SPLITS = (TRAIN, VAL, TEST, UNUSED)


@dataclass(frozen=True)
class Ratios:
    """The ratios of train, val and test, in any unit: 160/40/40 and 4/1/1 are the same."""

    train: float
    val: float
    test: float


PAPER_RATIOS = Ratios(160, 40, 40)


def parse_ratios(text: str) -> Ratios | None:
    """Parse text such as `160/40/40`; None if the text does not have this form.

    Raises:
        UsageError: the first ratio is 0, so that there would be no training images.
    """
    number = r"(\d+\.?\d*|\.\d+)"
    match = re.fullmatch(f"{number}/{number}/{number}", text, re.ASCII)
    if match is None:
        return None
    ratios = Ratios(*map(float, match.groups()))
    if ratios.train <= 0:
        raise UsageError(f"--split {text}: the first ratio, for training, must be above 0", "For example: 160/40/40.")
    return ratios


def draw_split(ids: Sequence[str], ratios: Ratios, seed: int) -> dict[str, str]:
    """A random split of `ids` that depends on the seed, but not on their order or on the machine.

    Each part with a ratio above 0 gets at least one image, as long as one remains for training: three images are split
    into one for each part, two into one for training and one for validation, and a single image is for training.
    """
    shuffled = [sorted(ids)[i] for i in np.random.default_rng(seed).permutation(len(ids))]
    total = ratios.train + ratios.val + ratios.test
    val = _part_size(len(ids), ratios.val / total, reserved=1)
    test = _part_size(len(ids), ratios.test / total, reserved=1 + val)
    parts = [VAL] * val + [TEST] * test + [TRAIN] * (len(ids) - val - test)
    return dict(zip(shuffled, parts, strict=True))


def _part_size(count: int, fraction: float, reserved: int) -> int:
    if fraction <= 0:
        return 0
    return max(0, min(max(1, round(count * fraction)), count - reserved))


def read_split(path: Path, column: str | None) -> dict[str, str]:
    """Read a split from a CSV file. Its first column holds ids, `column` holds train, val, test or unused.

    Without `column`, the column `split` is used, or the second column if there are only two.

    Raises:
        UsageError: the file cannot be read, lacks the column, or has another word in it.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv_rows(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{path}: cannot be read as a CSV file of splits: {error}", "Check the path given to --split."
        ) from error
    names = list(rows[0]) if rows else []
    if len(names) < 2:
        raise UsageError(f"{path}: contains no splits", "The first row names the columns: an id column, then splits.")
    column = _choose_column(path, names, column)
    split = {}
    for row in rows:
        part = (row[column] or UNUSED).strip().lower()
        if part not in SPLITS:
            raise UsageError(f"{path}: {row[names[0]]} is in split {part!r}", f"Known: {', '.join(SPLITS)}.")
        split[row[names[0]]] = part
    return split


def _choose_column(path: Path, names: list[str], column: str | None) -> str:
    if column is None and ("split" in names or len(names) == 2):
        return "split" if "split" in names else names[1]
    if column is None:
        raise UsageError(
            f"{path}: contains several splits", f"Choose one: --split {path}:{names[1]} (of {', '.join(names[1:])})."
        )
    if column not in names[1:]:
        raise UsageError(f"{path}: has no column {column!r}", suggest(column, names[1:], "Columns"))
    return column


def resolve_split(ids: Sequence[str], option: str | None, seed: int) -> tuple[dict[str, str], str]:
    """The split that `--split` describes, and its description for the manifest.

    Args:
        ids: the ids of the images.
        option: `TRAIN/VAL/TEST` ratios, `FILE.csv` or `FILE.csv:COLUMN`; None for the paper's ratios. Ids that are not
            in the file are `unused`.
        seed: seed of a random split.

    Raises:
        UsageError: the option has neither form, or the file contains none of the ids.
    """
    ratios = PAPER_RATIOS if option is None else parse_ratios(option)
    if ratios is not None:
        return draw_split(ids, ratios, seed), f"drawn {ratios.train:g}/{ratios.val:g}/{ratios.test:g}, seed {seed}"
    assert option is not None
    name, column = option, None
    if not Path(option).is_file() and ":" in option:
        name, column = option.rsplit(":", 1)
    if not Path(name).is_file():
        raise UsageError(
            f"--split {option}: is neither ratios nor a CSV file", "For example: 160/40/40, or splits.csv:COLUMN."
        )
    known = read_split(Path(name), column)
    if not set(ids) & set(known):
        raise UsageError(
            f"{name}: contains none of the images",
            f"An id in the file is {next(iter(known))}, an id of the images is {ids[0]}.",
        )
    return {key: known.get(key, UNUSED) for key in ids}, f"{Path(name).name}{':' + column if column else ''}"


def split_by_folders(
    ids: Sequence[str], folders: Mapping[str, str], option: str | None, seed: int
) -> tuple[dict[str, str], str]:
    """As `resolve_split`; without an option, images in folders that name a split have that split.

    The other images are split at random. Without validation images, a fifth of `train` becomes `val`. The folders do
    not count unless they name `train` and another split.

    Args:
        ids: the ids of the images.
        folders: the split of those that are in such a folder.
        option: as in `resolve_split`.
        seed: seed of a random split.
    """
    if option is not None or not {TRAIN} < set(folders.values()):
        return resolve_split(ids, option, seed)
    rest = [key for key in ids if key not in folders]
    known = {**draw_split(rest, PAPER_RATIOS, seed), **folders}
    split = hold_out_validation(known, seed)
    others = ["by folders"]
    others += [f"{len(rest)} others drawn 160/40/40, seed {seed}"] if rest else []
    others += [f"a fifth of train drawn as val, seed {seed}"] if split != known else []
    return {key: split[key] for key in ids}, "; ".join(others)


def hold_out_validation(split: dict[str, str], seed: int) -> dict[str, str]:
    """Move a fifth of `train` to `val`, if `val` is empty and there is more than one training image."""
    train = sorted(key for key, part in split.items() if part == TRAIN)
    if VAL in split.values() or len(train) < 2:
        return dict(split)
    held_out = draw_split(train, Ratios(4, 1, 0), seed)
    return {key: held_out.get(key, part) for key, part in split.items()}


def draw_folds(origins: Mapping[str, str], count: int, seed: int) -> list[dict[str, str]]:
    """The random splits of a cross-validation: each image is in `test` of one fold, each origin is spread evenly.

    In each fold, a fifth of the other images is `val`.

    Args:
        origins: the data set that each id comes from.
        count: the number of folds.
        seed: the splits depend on it, but not on the order of the ids or on the machine.

    Raises:
        UsageError: fewer than two folds, or more folds than images.
    """
    if not 2 <= count <= len(origins):
        raise UsageError(f"--folds {count}: {len(origins)} images can be in 2 to {len(origins)} folds")
    rng = np.random.default_rng(seed)
    shuffled: list[str] = []
    for origin in sorted(set(origins.values())):
        ids = sorted(key for key in origins if origins[key] == origin)
        shuffled += [ids[index] for index in rng.permutation(len(ids))]
    fold_of = {key: index % count for index, key in enumerate(shuffled)}
    return [
        hold_out_validation({key: TEST if fold_of[key] == fold else TRAIN for key in sorted(origins)}, seed)
        for fold in range(count)
    ]

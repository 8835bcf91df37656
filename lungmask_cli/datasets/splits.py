"""Which radiograph trains, which chooses, which tests: from a CSV file, or drawn with a seed."""

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
    """Shares of train, val and test, in any unit: 160/40/40 and 4/1/1 are the same."""

    train: float
    val: float
    test: float


PAPER_RATIOS = Ratios(160, 40, 40)


def parse_ratios(text: str) -> Ratios | None:
    """`160/40/40` as ratios, or None where the text is not of that form.

    Raises:
        UsageError: nothing would be left to train on.
    """
    if not re.fullmatch(r"[0-9.]+/[0-9.]+/[0-9.]+", text):
        return None
    try:
        ratios = Ratios(*(float(part) for part in text.split("/")))
    except ValueError:
        return None
    if ratios.train <= 0:
        raise UsageError(f"--split {text}: the first share, for training, must be above 0", "For example: 160/40/40.")
    return ratios


def draw_split(ids: Sequence[str], ratios: Ratios, seed: int) -> dict[str, str]:
    """A seeded split of `ids` that depends on neither their order nor the machine.

    Each part with a share above 0 gets at least one image, as long as one is left for training: of three images one
    goes to each, of two one trains and one validates, a single one trains.
    """
    shuffled = [sorted(ids)[i] for i in np.random.default_rng(seed).permutation(len(ids))]
    total = ratios.train + ratios.val + ratios.test
    val = _share(len(ids), ratios.val / total, spare=1)
    test = _share(len(ids), ratios.test / total, spare=1 + val)
    parts = [VAL] * val + [TEST] * test + [TRAIN] * (len(ids) - val - test)
    return dict(zip(shuffled, parts, strict=True))


def _share(count: int, fraction: float, spare: int) -> int:
    if fraction <= 0:
        return 0
    return max(0, min(max(1, round(count * fraction)), count - spare))


def read_split(path: Path, column: str | None) -> dict[str, str]:
    """The split in a CSV file: its first column holds ids, `column` holds train, val, test or unused.

    Without `column` the file's column `split` is taken, or its second column where there are just two.

    Raises:
        UsageError: the file cannot be read, lacks the column, or holds another word there.
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
        raise UsageError(f"{path}: holds no splits", "The first row names the columns: an id column, then splits.")
    column = _choose_column(path, names, column)
    split = {}
    for row in rows:
        word = (row[column] or UNUSED).strip().lower()
        if word not in SPLITS:
            raise UsageError(f"{path}: {row[names[0]]} is in split {word!r}", f"Known: {', '.join(SPLITS)}.")
        split[row[names[0]]] = word
    return split


def _choose_column(path: Path, names: list[str], wanted: str | None) -> str:
    if wanted is None and "split" in names:
        return "split"
    if wanted is None and len(names) == 2:
        return names[1]
    if wanted is None:
        raise UsageError(
            f"{path}: holds several splits", f"Choose one: --split {path}:{names[1]} (of {', '.join(names[1:])})."
        )
    if wanted not in names[1:]:
        raise UsageError(f"{path}: has no column {wanted!r}", suggest(wanted, names[1:], "Columns"))
    return wanted


def resolve_split(ids: Sequence[str], option: str | None, seed: int) -> tuple[dict[str, str], str]:
    """The split that `--split` asks for, and a description of it for the manifest.

    Args:
        ids: the images' ids.
        option: `TRAIN/VAL/TEST` shares, `FILE.csv` or `FILE.csv:COLUMN`; None for the paper's shares. Ids that the
            file does not name are `unused`.
        seed: of the draw.

    Raises:
        UsageError: the option is neither, or the file names none of the images.
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
            f"--split {option}: is neither shares nor a CSV file", "For example: 160/40/40, or splits.csv:COLUMN."
        )
    known = read_split(Path(name), column)
    if not set(ids) & set(known):
        raise UsageError(
            f"{name}: names none of the images", f"Its ids look like {next(iter(known))}, the images' like {ids[0]}."
        )
    return {key: known.get(key, UNUSED) for key in ids}, f"{Path(name).name}{':' + column if column else ''}"


def hold_out_validation(split: dict[str, str], seed: int) -> dict[str, str]:
    """The split with a fifth of `train` moved to `val`, where it has no `val` and more than one image to train on."""
    train = sorted(key for key, part in split.items() if part == TRAIN)
    if VAL in split.values() or len(train) < 2:
        return dict(split)
    drawn = draw_split(train, Ratios(4, 1, 0), seed)
    return {key: drawn.get(key, part) for key, part in split.items()}


def draw_folds(origins: Mapping[str, str], count: int, seed: int) -> list[dict[str, str]]:
    """The splits of a cross-validation: each image is in `test` of one, each origin spread evenly over all.

    Of the other images a fifth is `val`.

    Args:
        origins: the data set that each id comes from.
        count: of folds.
        seed: of the draw, which depends on neither the order of the ids nor the machine.

    Raises:
        UsageError: fewer than two folds, or more than there are images.
    """
    if not 2 <= count <= len(origins):
        raise UsageError(f"--folds {count}: {len(origins)} images can be in 2 to {len(origins)} folds")
    rng = np.random.default_rng(seed)
    shuffled: list[str] = []
    for origin in sorted(set(origins.values())):
        ids = sorted(key for key in origins if origins[key] == origin)
        shuffled += [ids[place] for place in rng.permutation(len(ids))]
    dealt = {key: place % count for place, key in enumerate(shuffled)}
    return [
        hold_out_validation({key: TEST if dealt[key] == fold else TRAIN for key in sorted(origins)}, seed)
        for fold in range(count)
    ]

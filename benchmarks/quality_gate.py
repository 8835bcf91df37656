"""Fit the quality gate of `lungmask_cli/inference/quality.py`, and evaluate it.

    python benchmarks/quality_gate.py fit DATA ... --split FILE.csv [--weights general jsrt tiny] [--seed 0]
    python benchmarks/quality_gate.py test [--as-is DATA ...] [--changed DATA ... --split FILE.csv:COLUMN --part test]
        [--not-chest FOLDER ...] [--weights general ...] [--seed 0] [--json FILE]

DATA is a folder that `lungmask preprocess` accepts, whose masks have the size of their images.

`fit` writes `lungmask_cli/inference/quality.json`. The PCA of lungs and chest radiographs is fitted to the `train`
pairs, and the expected Dice to masks of the `val` radiographs, unchanged and corrupted (`robustness.py`,
`failures.py`), and of pictures that are not frontal chest radiographs, whose masks count as Dice 0. It prints the
results of the gate on radiographs that it was not fitted to, in five folds.

`test` assesses all of --as-is; the --part of --changed, unchanged and corrupted; the files in --not-chest; and
photographs, noise and synthetic pictures. The random numbers differ from those of `fit`.
"""

import argparse
import json
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from failures import FIT, TEST, UNSEEN, Case, changed, crop_middle, noise, photographs, synthetic, without_lungs
from numpy.typing import NDArray
from quality_fit import Numbers, Row, fit_gate, fit_pca, pca_numbers
from robustness import to_image
from scipy.stats import rankdata, spearmanr

from lungmask_cli.config import AugmentationConfig
from lungmask_cli.datasets.layouts import Pair, find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.errors import ImageError
from lungmask_cli.files import file_sha256
from lungmask_cli.formats.masks import read_masks
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.formats.raster import read_values
from lungmask_cli.imaging.geometry import WHOLE, Letterbox
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.radiograph import Radiograph
from lungmask_cli.imaging.sides import split_sides
from lungmask_cli.inference import quality
from lungmask_cli.inference.quality import LEAST_SCORE, Quality, parse_gate
from lungmask_cli.inference.segmenter import Segmenter
from lungmask_cli.inference.signs import (
    GRID,
    PcaDistance,
    measure_signs,
    picture_thumbnail,
    resample_to_grid,
    shape_thumbnail,
)
from lungmask_cli.inference.two_pass import Pass, Prediction, as_mask
from lungmask_cli.models.manifest import find_weights

QUALITY_JSON = Path(quality.__file__).with_name("quality.json")
AS_IT_IS, NOT_CHEST = "as it is", "no chest radiograph"
FOLDS = 5
COPIES = 4  # augmented copies of each training radiograph
AUGMENTATION = AugmentationConfig(
    rotation_degrees=10,
    scale=0.15,
    aspect=0.1,
    shift=0.05,
    gamma=0.5,
    border_probability=0.25,
    label_probability=0.2,
    opacity_probability=0.2,
)


@dataclass(frozen=True)
class Assessed:
    """The true Dice of a mask, and its assessment by the gate; `kind` is its row of the table."""

    kind: str
    chest: bool
    dice: float
    score: float
    reasons: tuple[str, ...]


def pairs_by_part(folders: list[Path], split: str | None) -> tuple[dict[str, list[Pair]], str]:
    """The pairs in each part of the split, and the split in words."""
    pairs = find_pairs(*folders).pairs
    chosen, method = resolve_split([pair.id for pair in pairs], split, seed=0)
    return {part: [pair for pair in pairs if chosen[pair.id] == part] for part in chosen.values()}, method


def read(pair: Pair) -> Case:
    values = read_values(pair.image).astype(np.float32)
    picture = (values - values.min()) / max(np.ptp(values), 1)
    return Case(AS_IT_IS, picture, np.any(read_masks(pair.masks), axis=0))


def dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_] | None) -> float:
    """0 also if the picture has no lungs, whatever the mask."""
    total = 0 if truth is None else mask.sum() + truth.sum()
    return float(2 * (mask & truth).sum() / total) if total else 0.0


def fitting_cases(pairs: list[Pair], count: int, seed: int) -> Iterator[tuple[str, Case]]:
    """The cases that the gate is fitted to, each with the name of its original picture."""
    for number, pair in enumerate(pairs):
        whole, rng = read(pair), np.random.default_rng((seed, 0, number))
        yield from ((pair.id, case) for case in changed(whole, number, FIT, count, rng))
        if number % 2 == 0:
            yield from ((pair.id, case) for case in without_lungs(whole, rng))
    rng = np.random.default_rng((seed, 1))
    for number in range(20):
        yield from ((f"drawn {number}", case) for case in synthetic(rng))
    for number, case in enumerate(photographs(FIT)):
        yield f"photograph {number}", case
        for turn in range(4):
            part = crop_middle(case.picture, case.picture > 1, rng)[0]
            yield f"photograph {number}", Case("part of a photograph", 1 - part if turn % 2 else part, None)


def fit_pcas(pairs: list[Pair], seed: int) -> tuple[PcaDistance, PcaDistance]:
    """The PCA of lungs and of chest radiographs, from reference masks and their surroundings."""
    from lungmask_cli.training.augmentation import augment  # imports Keras

    rng, shapes, pictures = np.random.default_rng((seed, 4)), [], []
    for pair in pairs:
        whole = read(pair)
        box = Letterbox(*whole.picture.shape, GRID)
        pair_on_grid = box.apply(normalize(Radiograph(whole.picture))), box.apply_mask(whole.lungs).astype(np.float32)
        for image, mask in (pair_on_grid, *(augment(*pair_on_grid, AUGMENTATION, rng) for _ in range(COPIES))):
            lungs = mask > 0.5
            prediction = Prediction(Letterbox(GRID, GRID, GRID), image, (Pass(WHOLE, mask),))
            on_grid = resample_to_grid(prediction, lungs, lungs)
            if lungs.any():
                shapes.append(shape_thumbnail(on_grid))
                pictures.append(picture_thumbnail(on_grid))
    return fit_pca(np.array(shapes)), fit_pca(np.array(pictures))


def measure_all(
    segmenter: Segmenter, cases: Iterable[tuple[str, Case]], pcas: tuple[PcaDistance, PcaDistance]
) -> tuple[list[Row], list[Row]]:
    """The measurements of all masks without their localization pass, and of those with one."""
    single_pass, multi_pass = [], []
    for group, case in cases:
        whole = segmenter.segment_radiograph(Radiograph(np.asarray(to_image(case.picture)))).prediction
        kinds = [(single_pass, replace(whole, localization_passes=()))]
        if whole.localization_passes:
            kinds.append((multi_pass, whole))
        for rows, prediction in kinds:
            lungs = as_mask(prediction)
            on_grid = resample_to_grid(prediction, *split_sides(lungs))
            if on_grid.lungs.any():
                measured = dice(lungs, case.lungs), measure_signs(on_grid, *pcas)
                rows.append(Row(group, case.name, case.lungs is not None, *measured))
    return single_pass, multi_pass


def cross_validate(single_pass: list[Row], multi_pass: list[Row], pcas: Numbers) -> list[Assessed]:
    """The assessment of each mask by a gate that was fitted without its radiograph."""
    groups = sorted({row.group for row in single_pass})
    fold = dict(zip(groups, np.random.default_rng(0).permutation(len(groups)) % FOLDS, strict=True))
    assessed = []
    for number in range(FOLDS):
        kept = ([row for row in rows if fold[row.group] != number] for rows in (single_pass, multi_pass))
        gate = parse_gate({**fit_gate(*kept), **pcas})
        for row in (row for row in multi_pass if fold[row.group] == number):
            kind = ("unchanged" if row.case == AS_IT_IS else "corrupted") if row.chest else NOT_CHEST
            assessed.append(Assessed(kind, row.chest, row.dice, *gate.evaluate(row.signs)))
    return assessed


def fit(folders: list[Path], split: str, weights: list[str], count: int, seed: int) -> None:
    parts, method = pairs_by_part(folders, split)
    pcas = fit_pcas(parts["train"], seed)
    numbers = dict(zip(("shapes", "pictures"), map(pca_numbers, pcas), strict=True))
    single_pass: list[Row] = []
    multi_pass: list[Row] = []
    for name in weights:
        rows = measure_all(Segmenter(name, device="cpu"), fitting_cases(parts["val"], count, seed), pcas)
        single_pass += rows[0]
        multi_pass += rows[1]
        print(f"{name}: {len(rows[0])} masks, {len(rows[1])} of them in two passes", flush=True)
    assessed = cross_validate(single_pass, multi_pass, numbers)
    print(f"\nRadiographs that the gate was not fitted to, {FOLDS} folds\n\n{table(assessed)}")
    record = {
        **{part: f"{len(parts[part])} radiographs of {names_of(parts[part])}" for part in ("train", "val")},
        "split": method,
        "masks": len(single_pass),
        "weights": {Path(name).name: file_sha256(find_weights(name)) for name in weights},
        "seed": seed,
        "command": f"python benchmarks/quality_gate.py fit DATA ... --count {count}",
        "licence": "research and education, non-commercial, as the data",
    }
    QUALITY_JSON.write_text(
        json.dumps({**record, **fit_gate(single_pass, multi_pass), **numbers}) + "\n", encoding="utf-8"
    )
    print(QUALITY_JSON)


def names_of(pairs: list[Pair]) -> str:
    return " and ".join(sorted({pair.origin for pair in pairs}))


def testing_cases(as_is: list[Pair], to_change: list[Pair], count: int, seed: int) -> Iterator[tuple[str, Case]]:
    """The cases that the gate is tested on, each with its row of the table."""
    for pair in as_is:
        yield f"{pair.origin}, unchanged", read(pair)
    for number, pair in enumerate(to_change):
        rng = np.random.default_rng((seed, 2, number))
        for case in changed(read(pair), number, TEST, count, rng):
            how = "unchanged" if case.name == AS_IT_IS else "corrupted"
            yield f"{pair.origin}, {how}{' in other ways' if case.name in UNSEEN else ''}", case
    rng = np.random.default_rng((seed, 3))
    drawn = (case for _ in range(10) for case in (*noise(rng), *synthetic(rng)))
    yield from ((case.name, case) for case in (*photographs(TEST), *drawn))


def assess_files(segmenter: Segmenter, folders: list[Path]) -> Iterator[Assessed]:
    """The assessment of files that are not frontal chest radiographs; unreadable files are left out."""
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        try:
            quality_of_file = segmenter.segment_radiograph(read_radiograph(path)).quality
        except ImageError as error:
            print(f"left out: {error}")
            continue
        print(f"{path.name}: {describe(quality_of_file)}")
        yield Assessed("files", False, 0.0, quality_of_file.score, quality_of_file.reasons)


def describe(result: Quality) -> str:
    return f"{result.flag}, {result.score:.3f}, {'; '.join(result.reasons)}"


def assess_cases(segmenter: Segmenter, cases: Iterable[tuple[str, Case]]) -> Iterator[Assessed]:
    for kind, case in cases:
        result = segmenter.segment_radiograph(Radiograph(np.asarray(to_image(case.picture))))
        score, reasons = result.quality.score, result.quality.reasons
        yield Assessed(kind, case.lungs is not None, dice(result.lungs, case.lungs), score, reasons)


def area_under_curve(bad: NDArray[np.float64], good: NDArray[np.float64]) -> float:
    """How often a bad mask has a lower score than a good one; ties count half."""
    if not len(bad) or not len(good):
        return float("nan")
    ranks = rankdata(-np.concatenate([bad, good]))[: len(bad)]
    return float((ranks.sum() - len(bad) * (len(bad) + 1) / 2) / (len(bad) * len(good)))


def figures_of(assessed: list[Assessed]) -> dict[str, float]:
    dices, scores = np.array([one.dice for one in assessed]), np.array([one.score for one in assessed])
    flagged, bad = np.array([bool(one.reasons) for one in assessed]), dices < LEAST_SCORE
    varied = np.ptp(dices) > 0 and np.ptp(scores) > 0
    return {
        "masks": len(assessed),
        "mean_dice": float(dices.mean()),
        "mean_score": float(scores.mean()),
        "mean_absolute_difference": float(np.abs(dices - scores).mean()),
        "rank_correlation": float(spearmanr(scores, dices)[0]) if varied else float("nan"),
        "below": int(bad.sum()),
        "below_flagged": int((flagged & bad).sum()),
        "others_flagged": int((flagged & ~bad).sum()),
        "auroc_below": area_under_curve(scores[bad], scores[~bad]),
        "low_without_reason": sum(one.score < LEAST_SCORE and not one.reasons for one in assessed),
    }


def all_figures(assessed: list[Assessed]) -> dict[str, dict[str, float]]:
    """The figures of each kind, of all radiographs, of all other pictures, and of everything."""
    groups = {
        kind: [one for one in assessed if one.kind == kind] for kind in dict.fromkeys(one.kind for one in assessed)
    }
    groups["all radiographs"] = [one for one in assessed if one.chest]
    groups["all that is none"] = [one for one in assessed if not one.chest]
    groups["all"] = assessed
    return {kind: figures_of(members) for kind, members in groups.items() if members}


def table(assessed: list[Assessed]) -> str:
    head = "| | masks | mean Dice | mean score | mean absolute difference | rank correlation | AUROC, Dice < 0.9 |"
    lines = [f"{head} Dice < 0.9: flagged | others: flagged |", f"|{'---|' * 9}"]
    for kind, found in all_figures(assessed).items():
        others = found["masks"] - found["below"]
        lines.append(
            f"| {kind} | {found['masks']} | {found['mean_dice']:.4f} | {found['mean_score']:.4f} | "
            f"{found['mean_absolute_difference']:.3f} | {found['rank_correlation']:.3f} | {found['auroc_below']:.3f} | "
            f"{found['below_flagged']} of {found['below']} | {found['others_flagged']} of {others} |"
        )
    return "\n".join(lines).replace("nan", "")


def test(options: argparse.Namespace) -> None:
    as_is = find_pairs(*options.as_is).pairs if options.as_is else []
    to_change, method = [], "none"
    if options.changed:
        parts, method = pairs_by_part(options.changed, options.split)
        to_change = parts[options.part]
    figures: dict[str, object] = {"part": f"{options.part} of {method}", "seed": options.seed, "count": options.count}
    figures["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    for name in options.weights:
        segmenter = Segmenter(name, device="cpu")
        assessed = list(assess_files(segmenter, options.not_chest))
        assessed += assess_cases(segmenter, testing_cases(as_is, to_change, options.count, options.seed))
        figures[Path(name).name] = all_figures(assessed)
        print(f"\n{name}\n\n{table(assessed)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fitting, testing = commands.add_parser("fit"), commands.add_parser("test")
    fitting.add_argument("data", type=Path, nargs="+")
    fitting.add_argument("--split", required=True, help="as in lungmask preprocess")
    testing.add_argument("--as-is", type=Path, nargs="+", default=[], metavar="DATA")
    testing.add_argument("--changed", type=Path, nargs="+", default=[], metavar="DATA")
    testing.add_argument("--split", help="of --changed, as in lungmask preprocess")
    testing.add_argument("--part", default="test")
    testing.add_argument("--not-chest", type=Path, nargs="+", default=[], metavar="FOLDER")
    testing.add_argument("--json", type=Path, help="also write the figures to this file")
    for command, weights, count in ((fitting, ["general", "jsrt", "tiny"], 4), (testing, ["general"], 6)):
        command.add_argument("--weights", nargs="+", default=weights)
        command.add_argument("--count", type=int, default=count, help="changes of either kind to each radiograph")
        command.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.command == "fit":
        fit(options.data, options.split, options.weights, options.count, options.seed)
    else:
        test(options)


if __name__ == "__main__":
    main()

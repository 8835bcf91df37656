"""Fit the quality gate of `lungmask_cli/inference/quality.py`, and evaluate it.

    python benchmarks/quality_gate.py fit DATA ... [--as-is DATA ...] --split FILE.csv [--weights general jsrt tiny]
        [--bad-share 0.075] [--seed 0] [--keep FOLDER]
    python benchmarks/quality_gate.py test [--as-is DATA ...] [--changed DATA ... --split FILE.csv:COLUMN --part test]
        [--not-chest FOLDER ...] [--weights general ...] [--seed 0] [--json FILE]

DATA is a folder that `lungmask preprocess` accepts, whose masks have the size of their images. --runtime onnx is
faster, and gives the same figures.

`fit` writes `lungmask_cli/inference/quality.json`. The PCA of lungs and chest radiographs is fitted to the `train`
pairs, and the expected Dice to masks of the `val` radiographs, unchanged and corrupted (`robustness.py`,
`failures.py`), of the `val` radiographs of --as-is, which are not corrupted, and of pictures that are not frontal chest
radiographs, whose masks count as Dice 0. It prints the results of the gate on radiographs that it was not fitted to: in
five folds, and with one origin after the other left out. A column `group` of the split divides a data set into origins,
such as illnesses. At the limit of the score, --bad-share of the masks are below 0.9. --keep keeps the measurements, so
that another fit to the same masks takes a minute.

`test` assesses all of --as-is; the --part of --changed, unchanged and corrupted; the files in --not-chest; and
photographs, noise and synthetic pictures. The random numbers differ from those of `fit`.
"""

import argparse
import csv
import functools
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from failures import FIT, TEST, UNSEEN, Case, changed, crop_middle, noise, photographs, synthetic, without_lungs
from numpy.typing import NDArray
from quality_fit import AS_IT_IS, Numbers, Row, Rows, fit_gate, fit_pca, pca_numbers
from robustness import to_image
from scipy.stats import rankdata, spearmanr

from lungmask_cli.config import AugmentationConfig
from lungmask_cli.datasets.layouts import Pair, find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.errors import ImageError
from lungmask_cli.files import file_sha256
from lungmask_cli.formats.masks import read_masks
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.components import encode_runs
from lungmask_cli.imaging.geometry import WHOLE, Letterbox
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.radiograph import Radiograph
from lungmask_cli.imaging.sides import split_runs
from lungmask_cli.inference import quality
from lungmask_cli.inference.quality import LEAST_DICE, Gate, Quality, parse_gate
from lungmask_cli.inference.segmenter import Segmenter
from lungmask_cli.inference.signs import (
    GRID,
    PcaDistance,
    measure_signs,
    picture_thumbnail,
    resample_to_grid,
    shape_thumbnail,
)
from lungmask_cli.inference.two_pass import Pass, Prediction, find_lungs
from lungmask_cli.models.manifest import find_weights

QUALITY_JSON = Path(quality.__file__).with_name("quality.json")
NOT_CHEST = "no chest radiograph"
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


def read_groups(split: str) -> dict[str, str]:
    """The group of each id, where the file of the split has such a column."""
    with Path(split).open(encoding="utf-8") as file:
        return {row["id"]: row["group"] for row in csv.DictReader(file) if row.get("group")}


def read(pair: Pair) -> Case:
    values = read_radiograph(pair.image).pixels.astype(np.float32)
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
            on_grid = resample_to_grid(prediction, *[encode_runs(lungs)] * 2)
            if lungs.any():
                shapes.append(shape_thumbnail(on_grid))
                pictures.append(picture_thumbnail(on_grid))
    return fit_pca(np.array(shapes)), fit_pca(np.array(pictures))


def measure_all(
    segmenter: Segmenter,
    cases: Iterable[tuple[str, Case]],
    origins: Mapping[str, str],
    pcas: tuple[PcaDistance, PcaDistance],
) -> Rows:
    """The measurements of the masks of all cases; those without an origin are no radiographs."""
    measured = Rows([], [])
    for group, case in cases:
        whole = segmenter.segment_radiograph(Radiograph(np.asarray(to_image(case.picture)))).prediction
        kinds = [(measured.single_pass, replace(whole, localization_passes=()))]
        if whole.localization_passes:
            kinds.append((measured.multi_pass, whole))
        for rows, prediction in kinds:
            lungs = find_lungs(prediction)
            on_grid = resample_to_grid(prediction, *split_runs(lungs))
            if on_grid.lungs.any():
                signs = measure_signs(on_grid, *pcas)
                chest = case.lungs is not None
                facts = Path(segmenter.weight_names[0]).name, group, origins.get(group, ""), case.name
                rows.append(Row(*facts, chest, dice(lungs.paint(), case.lungs), signs))
    return measured


def measure_or_read(keep: Path | None, name: str, facts: object, measure: Callable[[], Rows]) -> Rows:
    """The measurements in the folder `keep` if they were made with the same facts; otherwise new ones, kept there."""
    if keep is None:
        return measure()
    path = keep / f"{name}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]}.json"
    if not path.exists():
        keep.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(measure())), encoding="utf-8")
    read = json.loads(path.read_text(encoding="utf-8"))
    return Rows(**{passes: [Row(**row) for row in rows] for passes, rows in read.items()})


def split_folds(rows: Rows) -> list[set[str]]:
    """The radiographs of each fold, at random."""
    groups = sorted({row.group for row in rows.single_pass})
    return [set(fold) for fold in np.array_split(np.random.default_rng(0).permutation(groups), FOLDS)]


def split_origins(rows: Rows) -> list[set[str]]:
    """The radiographs of each origin."""
    origins = sorted({row.origin for row in rows.single_pass} - {""})
    return [{row.group for row in rows.single_pass if row.origin == origin} for origin in origins]


def cross_validate(
    changed: Rows, unchanged: Rows, pcas: Numbers, bad_share: float, folds: list[set[str]]
) -> list[Assessed]:
    """The assessment of each mask of each fold by a gate that was fitted without this fold."""
    assessed = []
    for fold in folds:
        gate = parse_gate({**fit_gate(changed.without(fold), unchanged.without(fold), bad_share), **pcas})
        assessed += [assess_row(gate, row) for row in (changed + unchanged).of(fold).multi_pass]
    return assessed


def assess_row(gate: Gate, row: Row) -> Assessed:
    how = "unchanged" if row.case == AS_IT_IS else "corrupted"
    kind = f"{row.weights}, {row.origin}, {how}" if row.chest else NOT_CHEST
    return Assessed(kind, row.chest, row.dice, *gate.evaluate(row.signs))


def measure_for_fit(
    name: str, val: list[Pair], as_is: list[Pair], pcas: tuple[PcaDistance, PcaDistance], options: argparse.Namespace
) -> tuple[Rows, Rows]:
    """The measurements of the masks that one of the weights predicts: of `val` and others, and of `as_is`."""
    groups = read_groups(options.split)

    def measure(kind: str, pairs: list[Pair], cases: Iterable[tuple[str, Case]]) -> Rows:
        origins = {pair.id: groups.get(pair.id, pair.origin) for pair in pairs}
        facts = [file_sha256(find_weights(name)), *map(pca_numbers, pcas), origins, options.count, options.seed]
        segmenter = functools.partial(Segmenter, name, device="cpu", runtime=options.runtime)
        key = f"{Path(name).name} {kind}"
        return measure_or_read(options.keep, key, facts, lambda: measure_all(segmenter(), cases, origins, pcas))

    changed = measure("changed", val, fitting_cases(val, options.count, options.seed))
    unchanged = measure("unchanged", as_is, ((pair.id, read(pair)) for pair in as_is))
    both = changed + unchanged
    print(f"{name}: {len(both.single_pass)} masks, {len(both.multi_pass)} of them in two passes", flush=True)
    return changed, unchanged


def fit(options: argparse.Namespace) -> None:
    parts, method = pairs_by_part(options.data, options.split)
    as_is = pairs_by_part(options.as_is, options.split)[0]["val"] if options.as_is else []
    pcas = fit_pcas(parts["train"], options.seed)
    numbers = dict(zip(("shapes", "pictures"), map(pca_numbers, pcas), strict=True))
    changed, unchanged = Rows([], []), Rows([], [])
    for name in options.weights:
        measured = measure_for_fit(name, parts["val"], as_is, pcas, options)
        changed, unchanged = changed + measured[0], unchanged + measured[1]
    for title, folds in (
        (f"Radiographs that the gate was not fitted to, {FOLDS} folds", split_folds(changed + unchanged)),
        ("Origins that the gate was not fitted to", split_origins(changed + unchanged)),
    ):
        print(f"\n{title}\n\n{table(cross_validate(changed, unchanged, numbers, options.bad_share, folds))}")
    record = {
        "train": describe_pairs(parts["train"]),
        "val": describe_pairs(parts["val"]),
        "val_as_is": describe_pairs(as_is),
        "split": method,
        "masks": len((changed + unchanged).single_pass),
        "weights": {Path(name).name: file_sha256(find_weights(name)) for name in options.weights},
        "seed": options.seed,
        "command": f"python benchmarks/quality_gate.py fit DATA ... --as-is DATA ... --count {options.count} "
        f"--bad-share {options.bad_share:g}",
        "licence": "research and education, non-commercial, as the data",
    }
    fitted = fit_gate(changed, unchanged, options.bad_share)
    QUALITY_JSON.write_text(json.dumps({**record, **fitted, **numbers}) + "\n", encoding="utf-8")
    print(QUALITY_JSON)


def describe_pairs(pairs: list[Pair]) -> str:
    return f"{len(pairs)} radiographs of {' and '.join(sorted({pair.origin for pair in pairs})) or 'no set'}"


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
    flagged, bad = np.array([bool(one.reasons) for one in assessed]), dices < LEAST_DICE
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
        "low_without_reason": sum(one.score < LEAST_DICE and not one.reasons for one in assessed),
    }


def all_figures(assessed: list[Assessed]) -> dict[str, dict[str, float]]:
    """The figures of each kind, of all unchanged radiographs, of all radiographs, of all other pictures, and of all."""
    groups = {
        kind: [one for one in assessed if one.kind == kind] for kind in dict.fromkeys(one.kind for one in assessed)
    }
    groups["all unchanged radiographs"] = [one for one in assessed if one.chest and one.kind.endswith("unchanged")]
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
        segmenter = Segmenter(name, device="cpu", runtime=options.runtime)
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
    fitting.add_argument("--split", required=True, help="as in lungmask preprocess, a file")
    fitting.add_argument(
        "--bad-share", type=float, default=0.075, help="of masks at the limit of the score, how many are below 0.9"
    )
    fitting.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the measurements, and use those kept there")
    testing.add_argument("--changed", type=Path, nargs="+", default=[], metavar="DATA")
    testing.add_argument("--split", help="of --changed, as in lungmask preprocess")
    testing.add_argument("--part", default="test")
    testing.add_argument("--not-chest", type=Path, nargs="+", default=[], metavar="FOLDER")
    testing.add_argument("--json", type=Path, help="also write the figures to this file")
    for command, weights, count in ((fitting, ["general", "jsrt", "tiny"], 4), (testing, ["general"], 6)):
        command.add_argument("--as-is", type=Path, nargs="+", default=[], metavar="DATA")
        command.add_argument("--weights", nargs="+", default=weights)
        command.add_argument("--runtime", choices=("keras", "onnx"), default="keras")
        command.add_argument("--count", type=int, default=count, help="changes of either kind to each radiograph")
        command.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.command == "fit":
        fit(options)
    else:
        test(options)


if __name__ == "__main__":
    main()

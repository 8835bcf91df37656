"""Fit and evaluate the classifier of `lungmask_cli/imaging/polarity.py`.

    python benchmarks/polarity.py fit PREPARED [--seed 0]
    python benchmarks/polarity.py measure DATA ... [--split FILE.csv:COLUMN --part test]

`fit` fits a logistic regression to the `train` radiographs of a prepared set, each unchanged and with ten random
augmentations of position, shape, contrast and borders, and writes it to `lungmask_cli/imaging/polarity.json`. It prints
the share of the `val` radiographs, unchanged and augmented, that are misclassified as inverted.

`measure` inverts every second radiograph of data sets that `lungmask preprocess` accepts, and counts those that
`has_dark_bones`, which `segment` and `preprocess` use, misclassifies.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lungmask_cli.config import AugmentationConfig
from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.prepared import PreparedSet, read_prepared
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging import polarity
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.polarity import has_dark_bones, make_thumbnail, polarity_score

WEIGHTS = Path(polarity.__file__).with_name("polarity.json")
COPIES = 10
WEIGHT_DECAY = 0.01
AUGMENTATION = AugmentationConfig(
    flip_probability=0.5,
    rotation_degrees=15,
    scale=0.25,
    aspect=0.2,
    shift=0.12,
    gamma=0.6,
    border_probability=0.5,
    label_probability=0.3,
)


def make_thumbnails(prepared: PreparedSet, part: str, copies: int, rng: np.random.Generator) -> NDArray[np.float32]:
    from lungmask_cli.training.augmentation import augment

    vectors = []
    for entry in prepared.entries_in(part):
        pair = prepared.read_pair(entry)
        vectors.append(make_thumbnail(pair[0]))
        vectors += [make_thumbnail(augment(*pair, AUGMENTATION, rng)[0]) for _ in range(copies)]
    return np.array(vectors)


def fit_weights(thumbnails: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logistic regression without a bias, from thumbnails that all have bright bones: (count, 256) -> (256,)."""

    def loss(weights: NDArray) -> tuple[float, NDArray]:
        odds = thumbnails @ weights
        slope = -(thumbnails / (1 + np.exp(odds))[:, None]).mean(0)
        return np.logaddexp(0, -odds).mean() + WEIGHT_DECAY / 2 * weights @ weights, slope + WEIGHT_DECAY * weights

    return minimize(loss, np.zeros(thumbnails.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x


def fit(folder: Path, seed: int) -> None:
    prepared = read_prepared(folder)
    rng = np.random.default_rng(seed)
    weights = fit_weights(make_thumbnails(prepared, "train", COPIES, rng)).round(4)
    for copies in (0, COPIES):
        scores = make_thumbnails(prepared, "val", copies, rng) @ weights
        print(
            f"val, {len(scores)} thumbnails, {copies} augmented copies of each: {np.mean(scores < 0):.4f} wrong, ",
            end="",
        )
        print(f"least score {scores.min():.2f}, median {np.median(scores):.2f}")
    origins = sorted({entry.origin for entry in prepared.entries_in("train")})
    manifest = {
        "data": f"{len(prepared.entries_in('train'))} radiographs of {' and '.join(origins)}",
        "manifest_sha256": prepared.manifest_sha256(),
        "split": prepared.split_method,
        "seed": seed,
        "command": "python benchmarks/polarity.py fit PREPARED",
        "licence": "research and education, non-commercial, as the data",
        "weights": weights.tolist(),
    }
    WEIGHTS.write_text(json.dumps(manifest) + "\n", encoding="utf-8")
    print(WEIGHTS)


def measure(folders: list[Path], split: str | None, part: str) -> None:
    pairs = find_pairs(*folders).pairs
    chosen = resolve_split([pair.id for pair in pairs], split, 0)[0] if split else {pair.id: part for pair in pairs}
    pairs = [pair for pair in pairs if chosen[pair.id] == part]
    errors, scores = [], []
    for number, pair in enumerate(pairs):
        image = normalize(read_radiograph(pair.image))
        inverted = number % 2 == 1
        image = 1 - image if inverted else image
        scores.append(polarity_score(image) * (-1 if inverted else 1))
        if has_dark_bones(image) != inverted:
            errors.append(pair.id)
    print(
        f"{len(pairs)} radiographs of {', '.join(sorted({pair.origin for pair in pairs}))}, every second one inverted"
    )
    print(f"wrong: {len(errors)} ({len(errors) / len(pairs):.2%}) {' '.join(errors)}")
    print(f"scores for the right polarity: least {min(scores):.2f}, median {np.median(scores):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fitting = commands.add_parser("fit")
    fitting.add_argument("prepared", type=Path)
    fitting.add_argument("--seed", type=int, default=0)
    measuring = commands.add_parser("measure")
    measuring.add_argument("data", type=Path, nargs="+")
    measuring.add_argument("--split", help="as in lungmask preprocess")
    measuring.add_argument("--part", default="test")
    options = parser.parse_args()
    if options.command == "fit":
        fit(options.prepared, options.seed)
    else:
        measure(options.data, options.split, options.part)


if __name__ == "__main__":
    main()

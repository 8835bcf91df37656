"""How often the 95 % interval of `lungmask score` covers the true mean.

    python benchmarks/interval_coverage.py [DICE.csv ...] [--studies 1000] [--images 40] [--seed 0]

Studies of 40 images each are simulated: from a normal and three skewed distributions, from ten patients with four
images each, and from the Dice in each given table of `lungmask score`, drawn with replacement. An interval is computed
for each study and compared with the known true mean. The mean width of the intervals is also printed.
"""

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.scoring.statistics import bootstrap_intervals

Floats = NDArray[np.float64]
Draw = Callable[[tuple[int, int]], Floats]


def populations(random: np.random.Generator, tables: list[Path]) -> dict[str, tuple[Draw, float]]:
    """The simulated distributions by name, each with its true mean."""
    known: dict[str, tuple[Draw, float]] = {
        "normal, SD 0.01": (lambda shape: random.normal(0.97, 0.01, shape), 0.97),
        "beta(60, 2), skewness -1.3": (lambda shape: random.beta(60, 2, shape), 60 / 62),
        "beta(40, 1.2), skewness -1.7": (lambda shape: random.beta(40, 1.2, shape), 40 / 41.2),
        "gamma(2), like HD95, skewness 1.4": (lambda shape: random.gamma(2, 2, shape), 4.0),
    }
    for table in tables:
        with table.open(newline="") as file:
            dices = np.array([float(row["dice"]) for row in csv.DictReader(file) if row["dice"]])
        known[f"the {len(dices)} Dice of {table.stem}"] = (
            (lambda shape, dices=dices: random.choice(dices, shape)),
            (float(dices.mean())),
        )
    return known


def coverage(values: Floats, units: NDArray[np.intp], mean: float, seed: int) -> dict[str, float]:
    """`values` (images, studies): the share of studies whose interval covers the mean, and the mean width."""
    intervals = np.array(bootstrap_intervals(values, units, seed))
    covered = (intervals[:, 0] <= mean) & (mean <= intervals[:, 1])
    return {
        "covered": round(float(covered.mean()), 4),
        "below the mean": round(float((intervals[:, 1] < mean).mean()), 4),
        "above the mean": round(float((mean < intervals[:, 0]).mean()), 4),
        "mean width": round(float(np.diff(intervals, axis=1).mean()), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="*")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    shape, alone = (options.images, options.studies), np.arange(options.images)
    figures = {
        name: coverage(draw(shape), alone, mean, options.seed)
        for name, (draw, mean) in populations(random, options.tables).items()
    }
    patients = alone // 4
    levels = random.normal(0.97, 0.01, (patients.max() + 1, options.studies))[patients]
    figures["ten patients of four images, normal"] = coverage(
        levels + random.normal(0, 0.005, shape), patients, 0.97, options.seed
    )
    print(json.dumps({"studies": options.studies, "images": options.images, "seed": options.seed, **figures}, indent=2))


if __name__ == "__main__":
    main()

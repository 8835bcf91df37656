"""The size of the first look of networks that draw twice, and whether it counts: mean Dice, and the worst image.

    python benchmarks/first_look.py DATA ... --split FILE.csv [--part val] [--weights general] [--sizes 192 256 320 384]
        [--changed]

DATA are folders that `lungmask preprocess` accepts, whose masks have the size of their images. `second` counts the
second look alone, as `lungmask segment` does; `mean` that of both. --changed takes the severest of each corruption of
`robustness.py` in place of the radiographs as they are.
"""

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from robustness import CORRUPTIONS, moved, to_image

from lungmask_cli.datasets.layouts import Pair, find_pairs
from lungmask_cli.datasets.splits import resolve_split
from lungmask_cli.formats.masks import read_masks
from lungmask_cli.formats.raster import read_values
from lungmask_cli.imaging.polarity import to_network_input
from lungmask_cli.imaging.radiograph import Mask, Radiograph
from lungmask_cli.inference.two_pass import as_mask, content, predict
from lungmask_cli.models.load import KERAS, load_network, start_runtime
from lungmask_cli.models.manifest import find_weights
from lungmask_cli.scoring.overlap import overlap


def cases(pair: Pair, number: int, changed: bool) -> Iterator[tuple[Radiograph, Mask]]:
    values, lungs = read_values(pair.image), np.any(read_masks(pair.masks), axis=0)
    if not changed:
        yield Radiograph(values), lungs
        return
    picture = (values - values.min()) / np.float32(max(np.ptp(values), 1))
    for corruption in CORRUPTIONS:
        severity = corruption.severities[-1]
        seen = corruption.change(picture.astype(np.float32), lungs, severity, np.random.default_rng(number))
        yield Radiograph(np.asarray(to_image(seen))), moved(lungs, corruption, severity)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--split", required=True)
    parser.add_argument("--part", default="val")
    parser.add_argument("--weights", default="general")
    parser.add_argument("--sizes", type=int, nargs="+", default=[192, 256, 320, 384])
    parser.add_argument("--changed", action="store_true")
    options = parser.parse_args()
    start_runtime(KERAS, "cpu")
    network = load_network(find_weights(options.weights))
    print("| data | images | first look, px | counted | Dice | worst |\n" + "|---|---|---|---|---|---|")
    for folder in options.data:
        pairs = find_pairs(folder).pairs
        split, _ = resolve_split([pair.id for pair in pairs], options.split, seed=0)
        chosen = [pair for pair in pairs if split[pair.id] == options.part]
        dices: dict[tuple[int, str], list[float]] = {}
        for number, pair in enumerate(chosen):
            for radiograph, lungs in cases(pair, number, options.changed):
                image, _ = to_network_input(radiograph, shape=content([network], *radiograph.shape))
                for size in options.sizes:
                    drawn = predict([replace(network, localization_size=size)], image, radiograph.shape)
                    both = replace(drawn, looks=(*drawn.searches, *drawn.looks))
                    for how, prediction in (("second", drawn), ("mean", both)):
                        dices.setdefault((size, how), []).append(overlap(as_mask(prediction), lungs).dice)
        for (size, how), found in dices.items():
            print(
                f"| {folder.name} | {len(chosen)} | {size} | {how} | {statistics.mean(found):.4f} | {min(found):.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""The image size of the localization pass: mean Dice, and the worst image, without this pass and averaged with it.

    python benchmarks/localization_size.py DATA ... --split FILE.csv [--part val] [--weights general]
        [--sizes 192 256 320 384] [--changed]

DATA are folders that `lungmask preprocess` accepts, whose masks have the size of their images. `refinement` is the
prediction of the refinement pass alone, as in `lungmask segment`; `mean` is the mean of both passes. --changed uses the
most severe level of each corruption of `robustness.py` instead of the unchanged radiographs.
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
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.polarity import to_network_input
from lungmask_cli.imaging.radiograph import Mask, Radiograph
from lungmask_cli.inference.two_pass import as_mask, input_shape, predict
from lungmask_cli.models.load import KERAS, load_network, start_runtime
from lungmask_cli.models.manifest import find_weights
from lungmask_cli.scoring.overlap import overlap


def cases(pair: Pair, number: int, changed: bool) -> Iterator[tuple[Radiograph, Mask]]:
    values, lungs = read_radiograph(pair.image).pixels, np.any(read_masks(pair.masks), axis=0)
    if not changed:
        yield Radiograph(values), lungs
        return
    picture = (values - values.min()) / np.float32(max(np.ptp(values), 1))
    for corruption in CORRUPTIONS:
        severity = corruption.severities[-1]
        corrupted = corruption.change(picture.astype(np.float32), lungs, severity, np.random.default_rng(number))
        yield Radiograph(np.asarray(to_image(corrupted))), moved(lungs, corruption, severity)


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
    print("| data | images | localization pass, px | passes | Dice | worst |\n" + "|---|---|---|---|---|---|")
    for folder in options.data:
        pairs = find_pairs(folder).pairs
        split, _ = resolve_split([pair.id for pair in pairs], options.split, seed=0)
        chosen = [pair for pair in pairs if split[pair.id] == options.part]
        dices: dict[tuple[int, str], list[float]] = {}
        for number, pair in enumerate(chosen):
            for radiograph, lungs in cases(pair, number, options.changed):
                image, _ = to_network_input(radiograph, shape=input_shape([network], *radiograph.shape))
                for size in options.sizes:
                    refined = predict([replace(network, localization_size=size)], image, radiograph.shape)
                    both = replace(refined, passes=(*refined.localization_passes, *refined.passes))
                    for passes, prediction in (("refinement", refined), ("mean", both)):
                        dices.setdefault((size, passes), []).append(overlap(as_mask(prediction), lungs).dice)
        for (size, passes), some in dices.items():
            mean, worst = f"{statistics.mean(some):.4f}", f"{min(some):.4f}"
            print(f"| {folder.name} | {len(chosen)} | {size} | {passes} | {mean} | {worst} |", flush=True)


if __name__ == "__main__":
    main()

"""Accuracy against the network's time: one point for each of the weights, as a table and a picture.

    python benchmarks/speed_curve.py DATA [--split FILE.csv --part val] [--weights general RUN ...] [-o curve.png]
        [--cores 2] [--calls 40] [--runtime onnx]

The network's time is the median time of its passes for one radiograph, one or two as in `lungmask segment`. The total
time also includes the steps from an image in memory, at the size that the network needs, to its probabilities. Five
predictions before the measurement are not counted, and nothing else should run on these cores. The Dice is that of
`accuracy.py`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import accuracy

from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.splits import resolve_split

WARM_UP = 5


class Stopwatch:
    """A predictor that measures its time."""

    def __init__(self, predict: Callable[[Any], Any]) -> None:
        self.seconds = 0.0
        self._predict = predict

    def __call__(self, images: Any) -> Any:
        started = time.perf_counter()
        predicted = self._predict(images)
        self.seconds += time.perf_counter() - started
        return predicted


def milliseconds(weights: str, radiograph: Path, calls: int, runtime: str) -> dict[str, Any]:
    """The median times for one radiograph, in the network and in total, with the network's size and parameters."""
    from lungmask_cli.formats.radiographs import read_radiograph
    from lungmask_cli.imaging.polarity import to_network_input
    from lungmask_cli.inference.two_pass import input_shape, predict
    from lungmask_cli.models.load import load_network, start_runtime
    from lungmask_cli.models.manifest import find_weights
    from lungmask_cli.models.weights import load_model

    start_runtime(runtime, "cpu")
    path = find_weights(weights)
    network = load_network(path, runtime)
    pixels = read_radiograph(radiograph)
    image, _ = to_network_input(pixels, shape=input_shape([network], *pixels.shape))
    stopwatch = Stopwatch(network.predict)
    timed = replace(network, predict=stopwatch)
    times, whole = [], []
    for _ in range(WARM_UP + calls):
        stopwatch.seconds = 0.0
        started = time.perf_counter()
        predict([timed], image)
        whole.append(time.perf_counter() - started)
        times.append(stopwatch.seconds)
    return {
        "weights": Path(weights).name,
        "passes": "two" if network.zoom else "one",
        "size": network.image_size,
        "parameters": load_model(path).generator.count_params(),
        "milliseconds": statistics.median(times[WARM_UP:]) * 1000,
        "whole_milliseconds": statistics.median(whole[WARM_UP:]) * 1000,
    }


def measure_alone(weights: str, radiograph: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The times, measured in a separate process on the requested number of cores."""
    command = [
        sys.executable,
        __file__,
        str(options.data),
        "--weights",
        weights,
        "--calls",
        str(options.calls),
        "--runtime",
        options.runtime,
        "--time",
        str(radiograph),
    ]
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    )
    times: dict[str, Any] = json.loads(done.stdout)
    return times


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="network time of one radiograph, ms", ylabel="mean Dice")
    for row in rows:
        axes.scatter(row["milliseconds"], row["dice"], color="#1f77b4")
        axes.annotate(
            f"{row['weights']}, {row['size']} px",
            (row["milliseconds"], row["dice"]),
            xytext=(5, 4),
            textcoords="offset points",
        )
    axes.margins(x=0.3, y=0.1)
    axes.set_xlim(left=0)
    figure.savefig(path, dpi=120)


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| weights | px | passes | parameters | network ms | total ms | Dice | worst image |", "|" + "---|" * 8]
    for row in rows:
        cells = [row["weights"], str(row["size"]), row["passes"], f"{row['parameters']:,}"]
        cells += [f"{row['milliseconds']:.0f}", f"{row['whole_milliseconds']:.0f}"]
        cells += [f"{row['dice']:.4f}", f"{row['worst_dice']:.4f} ({row['worst_image']})"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", help="as in lungmask preprocess")
    parser.add_argument("--part", default="val")
    parser.add_argument("--weights", nargs="+", default=["general", "jsrt"])
    parser.add_argument("-o", "--output", type=Path, default=Path("curve.png"))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--runtime", default="onnx", help="the runtime whose times are measured")
    parser.add_argument("--time", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time:
        print(json.dumps(milliseconds(options.weights[0], options.time, options.calls, options.runtime)))
        return
    pairing = find_pairs(options.data)
    names = [pair.id for pair in pairing.pairs]
    split = resolve_split(names, options.split, seed=0)[0] if options.split else dict.fromkeys(names, options.part)
    chosen = {name for name in names if split[name] == options.part}
    radiograph = next(pair.image for pair in pairing.pairs if pair.id in chosen)
    rows = [measure_alone(weights, radiograph, options) for weights in options.weights]
    for row, weights in zip(rows, options.weights, strict=True):
        figures = accuracy.measure(pairing, chosen, weights)
        row.update(dice=figures["mean_dice"], worst_dice=figures["worst_dice"], worst_image=figures["worst_image"])
    draw(rows, options.output)
    print(table(rows))


if __name__ == "__main__":
    main()

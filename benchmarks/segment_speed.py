"""The speed of `lungmask segment` and what limits it.

    python benchmarks/segment_speed.py IMAGES [--part speed|memory|start|scale] [--weights general] [--jobs N]
        [--rounds 3] [--before CHECKOUT] [--count 100000]

IMAGES is a folder of radiographs as PNG, such as those of JSRT with 512 x 512 pixels. `speed` makes copies of them: 247
of 512 x 512, 100 of 2048 x 2048 as JSRT's `.IMG`, 50 of 4020 x 4892 as PNG. In turn, it runs the command as it is, with
`--runtime keras`, and of the checkout of an earlier version in CHECKOUT; the median of several rounds is reported, with
the largest resident size. The plain loop loads, predicts with Keras, and saves, one image after the other.

No command can be faster than its cores divided by the CPU seconds of an image in the network, in decoding and in
encoding, each measured alone, in one thread. The share of this bound that the command reaches is given from the first
mask to the last. `memory` compares the largest resident sizes of batches of 100 and of 2,000 images, and `start` the
time to the mask of a single image with that of importing TensorFlow. `scale` segments COUNT links to the images, with
gallery and report, and then resumes the finished batch; for this, IMAGES may have any format.
"""

import argparse
import csv
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.formats.jsrt import SIDE
from lungmask_cli.formats.png import write_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.polarity import to_network_input
from lungmask_cli.inference.segmenter import Segmenter
from lungmask_cli.inference.two_pass import input_shape, predict
from lungmask_cli.processes import available_cores

SETS = {"512": (247, (512, 512)), "2048 .IMG": (100, (SIDE, SIDE)), "4020 x 4892": (50, (4892, 4020))}
# Different radiographs among the copies; the rest are links to these.
DIFFERENT = 20
LINKED = 100  # at most, in --part scale
HERE = Path(__file__).parent.parent


def write_copy(source: Path, target: Path, shape: tuple[int, int]) -> None:
    picture = Image.open(source).convert("L")
    height, width = shape
    if target.suffix == ".IMG":
        grey = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.uint16)
        (4095 - grey * 16).astype(">u2").tofile(target)
    elif picture.size == (width, height):
        target.write_bytes(source.read_bytes())
    else:
        picture.resize((width, height), Image.Resampling.BICUBIC).save(target)


def lay_out(images: Sequence[Path], folder: Path, name: str) -> list[Path]:
    count, shape = SETS[name]
    suffix = ".IMG" if "IMG" in name else ".png"
    folder.mkdir()
    paths = [folder / f"{number:04d}{suffix}" for number in range(count)]
    for path, image in zip(paths[:DIFFERENT], itertools.cycle(images), strict=False):
        write_copy(image, path, shape)
    for number, path in enumerate(paths[DIFFERENT:]):
        path.hardlink_to(paths[number % DIFFERENT])
    return paths


def cpu_milliseconds(work: Callable[[Any], Any], items: Iterable[Any]) -> float:
    """CPU milliseconds of this thread for each item; the median."""
    times = []
    for item in items:
        started = time.thread_time()
        work(item)
        times.append(time.thread_time() - started)
    return 1000 * statistics.median(times)


class InputRecorder:
    """Replaces the predictor of a network: the same, and keeps its inputs."""

    def __init__(self, predict: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self.inputs: list[NDArray[np.float32]] = []
        self._predict = predict

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.inputs.append(images)
        return self._predict(images)


def network_inputs(segmenter: Segmenter, paths: Sequence[Path]) -> list[list[NDArray[np.float32]]]:
    """The inputs of the network for each radiograph, one for each of its passes."""
    (network,) = segmenter.networks
    inputs = []
    for path in paths:
        radiograph = read_radiograph(path)
        recorder = InputRecorder(network.predict)
        networks = (replace(network, predict=recorder),)
        image, _ = to_network_input(radiograph, shape=input_shape(networks, *radiograph.shape))
        predict(networks, image, radiograph.shape)
        inputs.append(recorder.inputs)
    return inputs


def plain_loop(segmenter: Segmenter, weights: str, paths: Sequence[Path], folder: Path) -> float:
    """Images per second of load, `predict`, save, with Keras's own `predict` and no refinement pass.

    The first image, for which TensorFlow builds a graph, is not counted.
    """
    from lungmask_cli.models.manifest import find_weights
    from lungmask_cli.models.weights import load_model

    model = load_model(find_weights(weights)).generator
    side, ended = segmenter.networks[0].image_size, []
    for path in paths:
        radiograph = read_radiograph(path)
        height, width = radiograph.shape
        pixels = radiograph.pixels.astype(np.float32)
        pixels = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1)
        small = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
        probability = model.predict(small[None, ..., None], verbose=0)[0, ..., 0]
        large = Image.fromarray(probability).resize((width, height), Image.Resampling.BILINEAR)
        Image.fromarray((np.asarray(large) > 0.5).astype(np.uint8) * np.uint8(255)).save(folder / f"{path.stem}.png")
        ended.append(time.perf_counter())
    return (len(paths) - 1) / (ended[-1] - ended[0])


def segment_command(images: Path, out: Path, options: argparse.Namespace, *more: str) -> list[str]:
    command = [sys.executable, "-m", "lungmask_cli", "segment", images, "-o", out, "--weights", options.weights]
    return [*map(str, command), "--device", "cpu", "--jobs", str(options.jobs), *more]


def run_measured(command: Sequence[str], checkout: Path) -> tuple[float, float]:
    """Seconds and largest resident size in MiB of a command of the package in `checkout`."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    wrapped = [sys.executable, "-c", code, *command]
    # `python -m` looks for the package in the current folder first.
    done = subprocess.run(wrapped, check=True, capture_output=True, text=True, env=environment, cwd=checkout)
    return time.perf_counter() - started, int(done.stdout) / 1024


def run_command(folder: Path, out: Path, options: argparse.Namespace, checkout: Path, *more: str) -> dict[str, float]:
    """Images per second of the whole command and without its start-up and end, and MiB."""
    seconds, memory = run_measured(segment_command(folder, out, options, *more), checkout)
    times = sorted(path.stat().st_mtime_ns for path in out.glob("*.png"))
    steady = (len(times) - options.jobs) * 1e9 / (times[-1] - times[options.jobs - 1])
    return {"seconds": seconds, "whole": len(times) / seconds, "first to last": steady, "MiB": memory}


def measure_set(
    name: str, images: Sequence[Path], root: Path, segmenter: Segmenter, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    folder = root / name.replace(" ", "")
    paths = lay_out(images, folder, name)
    (network,) = segmenter.networks
    mask = segmenter.segment(paths[0]).lungs
    kinds: dict[str, tuple[Path, tuple[str, ...]]] = {
        "default": (HERE, ()),
        "--runtime keras": (HERE, ("--runtime", "keras")),
        **({"before": (options.before, ())} if options.before else {}),
    }
    rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for number in range(options.rounds):
        for kind, (checkout, more) in kinds.items():
            out = root / f"out-{folder.name}-{kind.strip('-').replace(' ', '-')}-{number}"
            rounds[kind].append(run_command(folder, out, options, checkout, *more))
    some = paths[:DIFFERENT]
    parts = {
        "network": cpu_milliseconds(lambda inputs: list(map(network.predict, inputs)), network_inputs(segmenter, some)),
        "decoding": cpu_milliseconds(read_radiograph, some),
        "encoding": cpu_milliseconds(lambda path: write_mask(root / "recoded" / f"{path.stem}.png", mask), some),
        "all": cpu_milliseconds(lambda path: write_mask(root / "x.png", segmenter.segment(path).lungs), some),
    }
    loop = plain_loop(segmenter, options.weights, some, root)
    medians = {
        kind: {key: statistics.median(one[key] for one in found) for key in found[0]} for kind, found in rounds.items()
    }
    bound = available_cores() * 1000 / (parts["network"] + parts["decoding"] + parts["encoding"])
    medians["default"]["share of the bound"] = medians["default"]["first to last"] / bound
    return {**medians, "plain loop": {"whole": loop}, "CPU ms": parts}


def measure_speed(images: Sequence[Path], root: Path, options: argparse.Namespace) -> None:
    segmenter = Segmenter(options.weights, device="cpu", threads=1)
    for name in SETS:
        found = measure_set(name, images, root, segmenter, options)
        print(f"{SETS[name][0]} of {name}")
        for kind, figures in found.items():
            print(f"  {kind}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()), flush=True)


def measure_memory(images: Sequence[Path], root: Path, options: argparse.Namespace) -> None:
    largest = {}
    for count in (100, 2000):
        folder = root / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:04d}.png").hardlink_to(write_once(images[number % DIFFERENT], root))
        _, largest[count] = run_measured(segment_command(folder, root / f"out-{count}", options), HERE)
        print(f"{count} images: {largest[count]:.0f} MiB at most", flush=True)
    print(f"ratio {largest[2000] / largest[100]:.3f}")


def write_once(image: Path, root: Path) -> Path:
    kept = root / f"kept-{image.name}"
    if not kept.exists():
        kept.write_bytes(image.read_bytes())
    return kept


def measure_start(images: Sequence[Path], root: Path, options: argparse.Namespace) -> None:
    times: dict[str, list[float]] = {"import tensorflow": [], "first mask": []}
    for number in range(options.rounds + 1):
        out = root / str(number)
        for name, command in (
            ("import tensorflow", [sys.executable, "-c", "import tensorflow"]),
            ("first mask", segment_command(images[0], out, options)),
        ):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
        with (out / "segment.csv").open() as file:
            assert next(csv.DictReader(file))["status"] == "written"
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}  # the first fills caches
    print(json.dumps(medians), f"ratio {medians['first mask'] / medians['import tensorflow']:.2f}")


def measure_scale(images: Sequence[Path], root: Path, options: argparse.Namespace) -> None:
    folder, out = root / "links", root / "out"
    folder.mkdir()
    for number, image in zip(range(options.count), itertools.cycle(images), strict=False):
        (folder / f"{number:06d}{image.suffix}").symlink_to(image.absolute())
    extras = ("--gallery", str(root / "gallery.html"), "--report", str(root / "report.json"))
    for name, more in (("all", extras), ("resumed", ("--skip-existing",))):
        seconds, memory = run_measured(segment_command(folder, out, options, *more), HERE)
        print(f"{options.count} links to {len(images)} images, {name}: {seconds:.0f} s, {memory:.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--part", choices=("speed", "memory", "start", "scale"), default="speed")
    parser.add_argument("--weights", default="general")
    parser.add_argument("--before", type=Path, help="the checkout of an earlier version")
    parser.add_argument("--jobs", type=int, default=available_cores())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=100_000, help="the files of --part scale")
    options = parser.parse_args()
    if Path(options.weights).exists():  # the commands run in other folders
        options.weights = str(Path(options.weights).absolute())
    options.before = options.before and options.before.absolute()
    images = sorted(options.images.glob("*.png"))[:DIFFERENT]
    if options.part == "scale":
        images = sorted(path for path in options.images.iterdir() if path.is_file())[:LINKED]
    print(f"{platform.machine()}, {available_cores()} cores, {options.jobs} threads, weights {options.weights}")
    parts = {"speed": measure_speed, "memory": measure_memory, "start": measure_start, "scale": measure_scale}
    with tempfile.TemporaryDirectory() as folder:
        parts[options.part](images, Path(folder), options)


if __name__ == "__main__":
    main()

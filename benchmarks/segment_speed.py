"""The speed of `lungmask segment`, of the network alone, of decoding and encoding alone, and of a plain loop.

    python benchmarks/segment_speed.py IMAGES [--part speed|memory|start] [--weights general] [--jobs N] [--rounds 3]

IMAGES is a folder of radiographs as PNG, such as those of JSRT with 512 x 512 pixels. `speed` makes copies of them: 500
of 512 x 512, 100 of 2048 x 2048 as JSRT's `.IMG`, 50 of 4020 x 4892 as PNG. All rates are measured in one process
with the same number of threads, in turn; the median of several rounds is reported. The rate of the command is given
from its first mask to its last, and including its start-up. `memory` compares the largest resident sizes of batches of
100 and of 2,000 images, and `start` the time to the mask of a single image with that of importing TensorFlow.
"""

import argparse
import csv
import itertools
import json
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

from lungmask_cli.batch.jobs import Job, plan_jobs
from lungmask_cli.formats.jsrt import SIDE
from lungmask_cli.formats.png import write_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.polarity import to_network_input
from lungmask_cli.inference.segmenter import Segmenter
from lungmask_cli.inference.two_pass import input_shape, predict
from lungmask_cli.processes import available_cores, map_in_threads

SETS = {"512": (500, (512, 512)), "2048 .IMG": (100, (SIDE, SIDE)), "4020 x 4892": (50, (4892, 4020))}
# Different radiographs among the copies; the rest are links to these.
DIFFERENT = 20


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


def rate(work: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def run_all(function: Callable[[Any], Any], items: Iterable[Any], threads: int) -> None:
    for _ in map_in_threads(function, items, threads):
        pass


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


def plain_loop(segmenter: Segmenter, weights: str, paths: Sequence[Path], folder: Path) -> None:
    """Load, `predict`, save, one after the other, with Keras's own `predict` and no refinement pass."""
    from lungmask_cli.models.manifest import find_weights
    from lungmask_cli.models.weights import load_model

    model = load_model(find_weights(weights)).generator
    side = segmenter.networks[0].image_size
    for path in paths:
        radiograph = read_radiograph(path)
        height, width = radiograph.shape
        pixels = radiograph.pixels.astype(np.float32)
        pixels = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1)
        small = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
        probability = model.predict(small[None, ..., None], verbose=0)[0, ..., 0]
        large = Image.fromarray(probability).resize((width, height), Image.Resampling.BILINEAR)
        Image.fromarray((np.asarray(large) > 0.5).astype(np.uint8) * np.uint8(255)).save(folder / f"{path.stem}.png")


def segment_command(images: Path, out: Path, options: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "lungmask_cli", "segment", images, "-o", out, "--weights", options.weights]
    return [*map(str, command), "--device", "cpu", "--jobs", str(options.jobs), "--runtime", options.runtime]


def command_rates(folder: Path, out: Path, options: argparse.Namespace, count: int) -> tuple[float, float]:
    """Images per second of the whole command, and without its start-up and end."""
    started = time.perf_counter()
    subprocess.run(segment_command(folder, out, options), check=True, capture_output=True)
    whole = count / (time.perf_counter() - started)
    times = sorted(path.stat().st_mtime_ns for path in out.glob("*.png"))
    assert len(times) == count
    return whole, (count - options.jobs) * 1e9 / (times[-1] - times[options.jobs - 1])


def measure_set(
    name: str, images: Sequence[Path], root: Path, segmenter: Segmenter, options: argparse.Namespace
) -> dict[str, Any]:
    folder, threads = root / name.replace(" ", ""), options.jobs
    paths = lay_out(images, folder, name)
    count = len(paths)
    inputs = network_inputs(segmenter, paths[:DIFFERENT])
    (network,) = segmenter.networks
    mask = segmenter.segment(paths[0]).lungs

    def predict_again(number: int) -> None:
        for batch in inputs[number % DIFFERENT]:
            network.predict(batch)

    def recode(job: Job) -> None:
        read_radiograph(job.source)
        write_mask(root / "recoded" / job.mask, mask)

    jobs = plan_jobs([(path, Path(path.name)) for path in paths], root / "recoded")
    rounds: dict[str, list[float]] = {
        key: [] for key in ("command", "from first to last", "network", "files", "plain loop")
    }
    for number in range(options.rounds):
        whole, steady = command_rates(folder, root / f"out-{folder.name}-{number}", options, count)
        rounds["command"].append(whole)
        rounds["from first to last"].append(steady)
        rounds["network"].append(rate(lambda: run_all(predict_again, range(count), threads), count))
        rounds["files"].append(rate(lambda: run_all(recode, jobs, threads), count))
    (root / "plain").mkdir(exist_ok=True)
    some = paths[: max(count // 5, 10)]
    rounds["plain loop"].append(rate(lambda: plain_loop(segmenter, options.weights, some, root / "plain"), len(some)))
    return {"set": name, "images": count, **{key: statistics.median(values) for key, values in rounds.items()}}


def measure_speed(images: Sequence[Path], root: Path, options: argparse.Namespace) -> None:
    segmenter = Segmenter(options.weights, device="cpu", runtime=options.runtime, threads=options.jobs)
    heads = ["images", "whole command", "first to last mask", "network alone", "decoding + encoding alone"]
    heads += ["slower of the two", "ratio"]
    print("| " + " | ".join([*heads, "plain loop"]) + " |")
    print("|" + "---|" * 8)
    for name in SETS:
        row = measure_set(name, images, root, segmenter, options)
        bound = min(row["network"], row["files"])
        cells = [
            f"{row['images']} of {name}",
            *(f"{row[key]:.1f}" for key in ("command", "from first to last", "network", "files")),
        ]
        cells += [f"{bound:.1f}", f"{row['from first to last'] / bound:.2f}", f"{row['plain loop']:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def measure_memory(images: Sequence[Path], root: Path, options: argparse.Namespace) -> None:
    largest = {}
    for count in (100, 2000):
        folder = root / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:04d}.png").hardlink_to(write_once(images[number % DIFFERENT], root))
        code = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        command = [sys.executable, "-c", code, *segment_command(folder, root / f"out-{count}", options)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        largest[count] = int(done.stdout) / 1024
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--part", choices=("speed", "memory", "start"), default="speed")
    parser.add_argument("--weights", default="general")
    parser.add_argument("--runtime", default="keras")
    parser.add_argument("--jobs", type=int, default=available_cores())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    images = sorted(options.images.glob("*.png"))[:DIFFERENT]
    print(f"{platform.machine()}, {available_cores()} cores, {options.jobs} threads, weights {options.weights}")
    part = {"speed": measure_speed, "memory": measure_memory, "start": measure_start}[options.part]
    with tempfile.TemporaryDirectory() as folder:
        part(images, Path(folder), options)


if __name__ == "__main__":
    main()

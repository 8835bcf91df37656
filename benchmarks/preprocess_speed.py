"""`lungmask preprocess` beside a bare NumPy + Pillow loop that does the same reads, resizes and writes.

    python benchmarks/preprocess_speed.py JSRT [RUNS]

JSRT holds the `.IMG` files and SCR's masks as published. Both work with two processes, in turn. The bare loop knows the
files' names and sizes, stretches from the least to the largest value, and does nothing else: no percentiles, polarity,
letterbox, sums, manifest or error handling. Its PNG files are written once with Pillow's compression and once with that
of `lungmask`, which makes them no larger. Printed are the seconds of each run, the ratio of the medians, and the most
memory that a process took.
"""

import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from lungmask_cli.formats.png import GREY_PNG

SIZE, PROCESSES = 512, 2


def bare_pair(files: tuple[Path, Path, Path], output: Path, compression: dict[str, int]) -> None:
    image_file, left_file, right_file = files
    image = 4095 - np.fromfile(image_file, ">u2").reshape(2048, 2048).astype(np.float32)
    small = np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    stretched = (small - small.min()) / (small.max() - small.min())
    name = f"{image_file.stem}.png"
    picture = Image.fromarray(np.round(stretched * 65535).astype(np.uint16))
    picture.save(output / "images" / name, **compression)
    lungs = np.maximum(np.asarray(Image.open(left_file)), np.asarray(Image.open(right_file)))
    mask = np.asarray(Image.fromarray(lungs).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) >= 128
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(output / "masks" / name, **compression)


def bare(source: Path, output: Path, compression: dict[str, int]) -> None:
    for folder in ("images", "masks"):
        (output / folder).mkdir(parents=True)
    sides = [{path.stem: path for path in source.rglob(f"masks/{side} lung/*.gif")} for side in ("left", "right")]
    files = [(path, sides[0][path.stem], sides[1][path.stem]) for path in sorted(source.rglob("*.IMG"))]
    with multiprocessing.Pool(PROCESSES) as pool:
        pool.map(partial(bare_pair, output=output, compression=compression), files, chunksize=4)


def lungmask(source: Path, output: Path) -> None:
    command = [sys.executable, "-m", "lungmask_cli", "preprocess", source, "-o", output, "--jobs", str(PROCESSES)]
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    source = Path(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    contestants = {
        "bare loop, Pillow's compression": partial(bare, compression={}),
        "bare loop, the same compression": partial(bare, compression=GREY_PNG),
        "lungmask preprocess": lungmask,
    }
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs + 1):
        for name, run in contestants.items():
            with tempfile.TemporaryDirectory() as temporary:
                started = time.perf_counter()
                run(source, Path(temporary, "out"))
                taken[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}  # the first reads from disk
    for name, times in taken.items():
        runs_text = " ".join(f"{seconds:.2f}" for seconds in times[1:])
        print(
            f"{name}: median {medians[name]:.2f} s ({runs_text}), {medians[name] / medians['lungmask preprocess']:.2f}x"
        )
    print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()

"""The speed of `lungmask preprocess`, compared with a plain NumPy + Pillow loop that does the same reads and writes.

    python benchmarks/preprocess_speed.py JSRT [RUNS]

JSRT contains the `.IMG` files and SCR's masks as published. Both use two processes, and run in turn. The plain loop has
the names and sizes of the files built in. It scales from the smallest to the largest value, and omits percentiles,
polarity, letterbox, checksums, manifest and error handling. It writes its PNG files once with Pillow's compression and
once with the fastest of Pillow's that does not make them larger. The output is the time of each run, the ratio of the
medians, and the peak memory of a process.
"""

import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

SIZE, PROCESSES = 512, 2
FAST = {"compress_level": 1, "compress_type": zlib.Z_RLE}


def plain_pair(files: tuple[Path, Path, Path], output: Path, compression: dict[str, int]) -> None:
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


def plain(source: Path, output: Path, compression: dict[str, int]) -> None:
    for folder in ("images", "masks"):
        (output / folder).mkdir(parents=True)
    sides = [{path.stem: path for path in source.rglob(f"masks/{side} lung/*.gif")} for side in ("left", "right")]
    files = [(path, sides[0][path.stem], sides[1][path.stem]) for path in sorted(source.rglob("*.IMG"))]
    with multiprocessing.Pool(PROCESSES) as pool:
        pool.map(partial(plain_pair, output=output, compression=compression), files, chunksize=4)


def lungmask(source: Path, output: Path) -> None:
    command = [sys.executable, "-m", "lungmask_cli", "preprocess", source, "-o", output, "--jobs", str(PROCESSES)]
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    source = Path(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    contestants = {
        "plain loop, Pillow's compression": partial(plain, compression={}),
        "plain loop, fast compression": partial(plain, compression=FAST),
        "lungmask preprocess": lungmask,
    }
    times_of: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs + 1):
        for name, run in contestants.items():
            with tempfile.TemporaryDirectory() as temporary:
                started = time.perf_counter()
                run(source, Path(temporary, "out"))
                times_of[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times[1:]) for name, times in times_of.items()}  # the first run reads from disk
    for name, times in times_of.items():
        runs_text = " ".join(f"{seconds:.2f}" for seconds in times[1:])
        print(
            f"{name}: median {medians[name]:.2f} s ({runs_text}), {medians[name] / medians['lungmask preprocess']:.2f}x"
        )
    print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()

"""How long the help takes beside importing Typer and rich, and `lungmask score` beside importing TensorFlow.

    python benchmarks/startup.py [RUNS]

All are measured in turn, as whole processes; the first round warms the file cache and does not count.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

LIBRARIES, TENSORFLOW = "import typer, rich", "import tensorflow"


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(np.full((512, 512), 255, np.uint8)).save(Path(folder, "a.png"))
        score = ["-m", "lungmask_cli", "score", folder, folder]
        commands = {
            LIBRARIES: (["-c", LIBRARIES], LIBRARIES),
            "lungmask --help": (["-m", "lungmask_cli", "--help"], LIBRARIES),
            "lungmask score --help": (["-m", "lungmask_cli", "score", "--help"], LIBRARIES),
            TENSORFLOW: (["-c", TENSORFLOW], TENSORFLOW),
            "lungmask score --metrics dice": ([*score, "--metrics", "dice"], TENSORFLOW),
            "lungmask score": (score, TENSORFLOW),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs + 1):
            for name, (arguments, _) in commands.items():
                times[name].append(seconds(arguments))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, (_, reference) in commands.items():
        print(f"{name}: {medians[name]:.3f} s, {medians[name] / medians[reference]:.2f} of `{reference}`")


if __name__ == "__main__":
    main()

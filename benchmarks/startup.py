"""How long `lungmask --help` and `lungmask score` take beside importing TensorFlow, measured in turn in one run.

python benchmarks/startup.py [RUNS]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as temporary:
        mask = Path(temporary, "a.png")
        Image.fromarray(np.full((512, 512), 255, np.uint8)).save(mask)
        commands = {
            "import tensorflow": ["-c", "import tensorflow"],
            "lungmask --help": ["-m", "lungmask_cli", "--help"],
            "lungmask score --metrics dice": ["-m", "lungmask_cli", "score", temporary, temporary, "--metrics", "dice"],
            "lungmask score": ["-m", "lungmask_cli", "score", temporary, temporary],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs + 1):
            for name, arguments in commands.items():
                taken[name].append(seconds(arguments))
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}  # the first was the warm-up
    for name, median in medians.items():
        print(f"{name}: {median:.3f} s, {median / medians['import tensorflow']:.3f} of importing TensorFlow")


if __name__ == "__main__":
    main()

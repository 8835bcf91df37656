"""A run of `lungmask train` that is killed at random moments and resumed, compared with an uninterrupted run.

    python benchmarks/kill_training.py [--kills 20] [--seed 0] DATA [-- OPTIONS OF lungmask train]

DATA is what `lungmask train` accepts. Both runs must end with the same weights, bit for bit, and the same metrics;
otherwise the exit code is 1. Without options, a small network is trained for 60 epochs.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

SMALL = ("--image-size", "64", "--epochs", "60", "--batch-size", "4", "--device", "cpu")


def lungmask(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lungmask_cli", "train", *map(str, arguments)]


def run(command: list[str], log: Path) -> None:
    with log.open("a") as file:
        subprocess.run(command, check=True, stdout=file, stderr=file)


def killed_after(command: list[str], seconds: float, log: Path) -> bool:
    """Whether the command was still running when it was killed with SIGKILL."""
    with log.open("a") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return False
        process.kill()
        return True


def command_for(folder: Path, data: Path, options: list[str]) -> list[str]:
    """The command that resumes the run in the folder, or starts it if there is none."""
    return lungmask("--resume", folder) if (folder / "run.json").exists() else lungmask(data, "-o", folder, *options)


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    arrays: dict[str, NDArray[np.float32]] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: arrays.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return arrays


def same(one: Path, other: Path) -> bool:
    """Whether both runs have the same weights and metrics."""
    for name in ("best.weights.h5", "last.weights.h5"):
        first, second = read_weights(one / name), read_weights(other / name)
        if first.keys() != second.keys() or not all(np.array_equal(first[key], second[key]) for key in first):
            return False
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in ("metrics.csv", "test_dice.csv"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", default=SMALL)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        uninterrupted, killed, log = (Path(temporary) / name for name in ("uninterrupted", "killed", "log.txt"))
        started = time.monotonic()
        run(lungmask(options.data, "-o", uninterrupted, *options.options), log)
        whole = time.monotonic() - started
        random, kills = np.random.default_rng(options.seed), 0
        while kills < options.kills:
            if not killed_after(command_for(killed, options.data, options.options), random.uniform(0, whole / 5), log):
                break
            kills += 1
        run(command_for(killed, options.data, options.options), log)
        equal = same(uninterrupted, killed)
        epochs = len((killed / "metrics.csv").read_text().splitlines()) - 1
    print(
        f"{kills} times killed in {epochs} epochs: weights and metrics are {'identical' if equal else 'NOT identical'}"
    )
    sys.exit(not equal or kills < options.kills)


if __name__ == "__main__":
    main()

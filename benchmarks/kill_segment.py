"""`lungmask segment`, killed at random times and resumed, compared with an uninterrupted run.

    python benchmarks/kill_segment.py IMAGES [--kills 30] [--count 300] [--seed 0] [-- OPTIONS OF lungmask segment]

IMAGES is a folder of radiographs as PNG, to which --count links are made. A run is started, killed with SIGKILL at a
random time within the duration of an uninterrupted run, resumed with --skip-existing, killed again, and so on; after
the last kill it may finish. Then both folders must contain the same files with the same bytes, except for the column
`seconds`, each radiograph must have one row, and no partial file may remain; otherwise the exit code is 1.
"""

import argparse
import contextlib
import csv
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from accuracy import split_arguments


def lay_out(images: Path, folder: Path, count: int) -> None:
    folder.mkdir()
    sources = sorted(images.glob("*.png"))
    for number in range(count):
        source = sources[number % len(sources)]
        first = folder / f"{number % len(sources):04d}.png"
        if number < len(sources):
            first.write_bytes(source.read_bytes())
        else:
            (folder / f"{number:04d}.png").hardlink_to(first)


def killed_after(command: list[str], seconds: float) -> bool:
    """Whether the command was still running when it was killed with SIGKILL."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return False
        process.kill()
        return True


def content(folder: Path) -> dict[str, object]:
    files: dict[str, object] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "segment.csv"
    }
    with (folder / "segment.csv").open(newline="") as file:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    return {**files, "segment.csv": rows}


def partial(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".partial")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    own, others = split_arguments()
    options = parser.parse_args(own)
    times = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        lay_out(options.images, root / "images", options.count)
        command = [sys.executable, "-m", "lungmask_cli", "segment", str(root / "images"), *others, "-o"]
        started = time.perf_counter()
        subprocess.run([*command, str(root / "whole")], check=True, capture_output=True)
        seconds = time.perf_counter() - started
        kills, leftovers = 0, []
        while kills < options.kills:
            resume = [*command, str(root / "killed"), "--skip-existing"]
            if killed_after(resume, times.uniform(0, seconds)):
                kills += 1
                leftovers.append(len(partial(root / "killed")) if (root / "killed").exists() else 0)
                continue
            # The run finished before the kill: the remaining kills are for the next one.
            if content(root / "killed") != content(root / "whole"):
                break
            (root / "killed").rename(root / f"done-{kills}")
        subprocess.run([*command, str(root / "killed"), "--skip-existing"], check=True, capture_output=True)
        same = content(root / "killed") == content(root / "whole")
        print(
            f"{kills} times killed in runs of {options.count} images: files and rows are "
            f"{'the same' if same else 'NOT the same'}; {max(leftovers, default=0)} partial files after kills at most, "
            f"{len(partial(root / 'killed'))} in the end"
        )
        sys.exit(0 if same and not partial(root / "killed") else 1)


if __name__ == "__main__":
    main()

"""`run.json`: what a run was started with, enough to start it again and to go on."""

import json
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lungmask_cli
from lungmask_cli.errors import UsageError
from lungmask_cli.files import write_json
from lungmask_cli.networks.backend import Hardware
from lungmask_cli.versions import installed_versions

RECORD, CONFIG, SPLIT, CHECKPOINT = "run.json", "config.toml", "split.csv", "checkpoint.npz"
METRICS, SUMMARY, TEST_DICE = "metrics.csv", "summary.json", "test_dice.csv"
_PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy", "pillow", "scipy")


@dataclass(frozen=True)
class Source:
    """Where the data of a run come from, and how they were prepared.

    Args:
        data: folders, absolute.
        size: least side of the prepared squares in pixels.
        polarity: dark bones were made bright.
        max_pixels: larger images were refused.
    """

    data: tuple[str, ...]
    size: int
    polarity: bool
    max_pixels: int


@dataclass(frozen=True)
class Record:
    """The part of `run.json` that a run goes on with.

    Args:
        source: of the data.
        split_method: how the split was made, in words.
        manifest_sha256: of the prepared data.
        hardware: as it was asked for.
        init: the weight file that it started from; empty for none.
        memory_gb: images that would take more were read from disk in each epoch.
        folds: of a cross-validation; 0 for a single run.
    """

    source: Source
    split_method: str = ""
    manifest_sha256: str = ""
    hardware: Hardware = field(default_factory=Hardware)
    init: str = ""
    memory_gb: float = 4.0
    folds: int = 0


def refuse_other_run(folder: Path) -> None:
    """See that a new run would not overwrite another one.

    Raises:
        UsageError: the folder holds a run.
    """
    if any((folder / name).exists() for name in (RECORD, CHECKPOINT)):
        raise UsageError(
            f"{folder}: holds another run",
            f"Go on with it: lungmask train --resume {folder}; or give another folder with -o.",
        )


def write_record(folder: Path, record: Record) -> None:
    """Write `run.json`, with the versions of everything that computes and the commit of the program."""
    facts: dict[str, Any] = {
        **asdict(record),
        "lungmask": lungmask_cli.__version__,
        "git": _git_state(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": installed_versions(_PACKAGES),
    }
    write_json(folder / RECORD, facts)


def read_record(folder: Path) -> Record:
    """The record of a run that was started with `lungmask train`.

    Raises:
        UsageError: there is none, or it is broken.
    """
    path = folder / RECORD
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        source = Source(**{**facts["source"], "data": tuple(facts["source"]["data"])})
        names = ("split_method", "manifest_sha256", "init", "memory_gb", "folds")
        hardware = Hardware(**facts["hardware"])
        return Record(source=source, hardware=hardware, **{name: facts[name] for name in names})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: is not the folder of a run that can go on ({error})", "See runs/.") from error


def _git_state() -> str:
    """The commit that the program runs from, with `+changes` where files differ; empty outside of a checkout."""
    place = Path(lungmask_cli.__file__).parent
    if not (place.parent / ".git").exists():
        return ""
    try:
        commit, changes = (
            subprocess.run(["git", *command], cwd=place, capture_output=True, text=True, check=True, timeout=10).stdout
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.SubprocessError):  # without git, the version must do
        return ""
    return commit.strip() + ("+changes" if changes.strip() else "")

"""The plan of a training run. It is written to `run.json` and `config.toml`, from which `--resume` reads it again."""

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lungmask_cli
from lungmask_cli.config import MAX_PIXELS, TrainConfig, read_toml
from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_text, write_json, write_text
from lungmask_cli.models.manifest import shipped_weights
from lungmask_cli.networks.backend import Hardware
from lungmask_cli.networks.presets import find_preset
from lungmask_cli.versions import installed_versions

if TYPE_CHECKING:
    from lungmask_cli.datasets.prepared import Entry, PreparedSet

PLAN, CONFIG, SPLIT, CHECKPOINT = "run.json", "config.toml", "split.csv", "checkpoint.npz"
METRICS, SUMMARY, TEST_DICE = "metrics.csv", "summary.json", "test_dice.csv"
_PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy", "pillow", "scipy")
_CHECKSUMS = ("image_sha256", "mask_sha256", "heart_sha256")  # of an entry
_HARDWARE = ("device", "devices", "deterministic")


@dataclass(frozen=True)
class RunPlan:
    """All settings of one run of `lungmask train`.

    Args:
        config: the resolved configuration.
        folder: the run folder.
        data: the data folders, absolute.
        unlabelled: the folders of radiographs without masks, absolute.
        size: the side of the prepared squares in pixels, if the data have to be prepared.
        polarity: invert radiographs whose bones are dark, when the data are prepared.
        max_pixels: larger images are refused when the data are prepared.
        labels: the option `--labels`, for the masks when the data are prepared.
        threshold: the option `--threshold`, for the same.
        split: the option `--split`; None for the split of a prepared set, or the default.
        folds: the number of folds of a cross-validation; 0 for a single run.
        init: the weight file to start from; empty for random weights.
        hardware: the device, as requested.
        memory_gb: images that would take more memory are read from disk in each epoch.
        tensorboard: also write logs for TensorBoard into RUN/tensorboard.
        resume: continue the run in the folder after its last finished epoch.
        split_method: how the split was made, in words; empty before the data are prepared.
        manifest_sha256: the checksum of the prepared data; empty before the data are prepared.
        unlabelled_sha256: likewise, of the radiographs without masks; empty if there are none.
    """

    config: TrainConfig
    folder: Path
    data: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    size: int = 512
    polarity: bool = True
    max_pixels: int = MAX_PIXELS
    labels: str | None = None
    threshold: float | None = None
    split: str | None = None
    folds: int = 0
    init: str = ""
    hardware: Hardware = field(default_factory=Hardware)
    memory_gb: float = 4.0
    tensorboard: bool = False
    resume: bool = False
    split_method: str = ""
    manifest_sha256: str = ""
    unlabelled_sha256: str = ""

    def with_data(self, prepared: "PreparedSet", unlabelled: "PreparedSet | None" = None) -> "RunPlan":
        """The plan with the split and the checksums of its prepared data.

        Raises:
            UsageError: the run is resumed, and the data are not those that it was started with.
        """
        checksum, other = prepared.manifest_sha256(), unlabelled.manifest_sha256() if unlabelled else ""
        if not self.resume:
            method = prepared.split_method
            return replace(self, split_method=method, manifest_sha256=checksum, unlabelled_sha256=other)
        if checksum != self.manifest_sha256:
            raise UsageError(
                f"{self.folder}: its images have changed since it was started{_describe_change(self.folder, prepared)}",
                "Restore them, give the prepared set that it was started with, or start a new run.",
            )
        if other != self.unlabelled_sha256:
            raise UsageError(
                f"{self.folder}: its radiographs without masks have changed since it was started",
                "Restore them, say with --unlabelled where they are now, or start a new run.",
            )
        return self


def refuse_other_run(folder: Path) -> None:
    """Check that a new run would not overwrite another one.

    Raises:
        UsageError: the folder contains a run.
    """
    if any((folder / name).exists() for name in (PLAN, CHECKPOINT)):
        raise UsageError(
            f"{folder}: contains another run",
            f"Resume it with: lungmask train --resume {folder}; or give another folder with -o.",
        )


def _describe_change(folder: Path, prepared: "PreparedSet") -> str:
    """How the data differ from those of the run in the folder, with the first example of each difference."""
    from lungmask_cli.formats.tables import read_table  # loads NumPy, which `train --help` does without

    before = {row["id"]: row for row in read_table(folder / SPLIT).rows}
    after = {entry.id: dict(zip(_CHECKSUMS, _checksums(entry), strict=True)) for entry in prepared.entries}
    differences = {
        "missing": [key for key in before if key not in after],
        "added": [key for key in after if key not in before],
        "changed": [
            key
            for key in before
            if any(before[key].get(name, value) != value for name, value in after.get(key, {}).items())
        ],
    }
    if _CHECKSUMS[0] not in next(iter(before.values()), {}):  # of an earlier version
        del differences["changed"]
    parts = [f"{len(keys)} {word}, such as {keys[0]}" for word, keys in differences.items() if keys]
    return f": {', '.join(parts)}" if parts else ""


def write_plan(plan: RunPlan, prepared: "PreparedSet", splits: Mapping[str, Mapping[str, str]]) -> None:
    """Write `config.toml`, `split.csv` and, last, `run.json`, with the versions of the packages and of the program.

    Args:
        plan: the plan.
        prepared: its data, of which `split.csv` has the checksums, too.
        splits: the part of each id by the name of its column.
    """
    write_text(plan.folder / CONFIG, plan.config.to_toml())
    parts = ((e.id, *(split[e.id] for split in splits.values()), *_checksums(e)) for e in prepared.entries)
    write_text(plan.folder / SPLIT, csv_text(("id", *splits, *_CHECKSUMS), parts))
    facts: dict[str, Any] = {
        "source": {
            "data": plan.data,
            "unlabelled": plan.unlabelled,
            "size": plan.size,
            "polarity": plan.polarity,
            "max_pixels": plan.max_pixels,
            "labels": plan.labels,
            "threshold": plan.threshold,
        },
        "split_method": plan.split_method,
        "manifest_sha256": plan.manifest_sha256,
        "unlabelled_sha256": plan.unlabelled_sha256,
        "hardware": {name: getattr(plan.hardware, name) for name in _HARDWARE},
        "init": plan.init,
        "memory_gb": plan.memory_gb,
        "folds": plan.folds,
        "lungmask": lungmask_cli.__version__,
        "git": _git_state(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": installed_versions(_PACKAGES),
    }
    write_json(plan.folder / PLAN, facts)


def _checksums(entry: "Entry") -> Iterator[str]:
    return (getattr(entry, name) for name in _CHECKSUMS)


def record_data(plan: RunPlan) -> None:
    """Write into `run.json` of a resumed run where its data are now."""
    facts = json.loads((plan.folder / PLAN).read_text(encoding="utf-8"))
    source = {**facts["source"], "data": plan.data, "unlabelled": plan.unlabelled}
    write_json(plan.folder / PLAN, {**facts, "source": source})


def read_plan(folder: Path, data: tuple[str, ...] = (), unlabelled: tuple[str, ...] = ()) -> RunPlan:
    """The plan of a run that was started with `lungmask train`, to resume it.

    Args:
        folder: the run folder.
        data: where its data are by now; empty if they have not moved.
        unlabelled: likewise, of its radiographs without masks.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    try:
        facts = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        source, hardware = facts["source"], facts["hardware"]
        settings = read_toml(folder / CONFIG)
        return RunPlan(
            config=find_preset(str(settings.get("preset"))).config.merged(settings),
            folder=folder,
            data=data or tuple(source["data"]),
            unlabelled=unlabelled or tuple(source.get("unlabelled", ())),
            size=source["size"],
            polarity=source["polarity"],
            max_pixels=source["max_pixels"],
            labels=source.get("labels"),  # runs of earlier versions have none
            threshold=source.get("threshold"),
            split=None if facts["folds"] else f"{folder / SPLIT}:split",
            hardware=Hardware(**{name: hardware[name] for name in _HARDWARE}),
            resume=True,
            init=_find_init(facts["init"], facts["lungmask"]),
            unlabelled_sha256=facts.get("unlabelled_sha256", ""),
            **{name: facts[name] for name in ("split_method", "manifest_sha256", "memory_gb", "folds")},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: is not the folder of a run that can be resumed ({error})", "See runs/.") from error


def _find_init(init: str, version: str) -> str:
    """The weights that a run starts from; those that ship with its version may be in another folder by now."""
    if init and not Path(init).exists() and version == lungmask_cli.__version__:
        return next((str(path) for path in shipped_weights().values() if path.name == Path(init).name), init)
    return init


def _git_state() -> str:
    """The commit of the program, with `+changes` if files differ from it; empty outside of a checkout."""
    package = Path(lungmask_cli.__file__).parent
    if not (package.parent / ".git").exists():
        return ""
    try:
        commit, changes = (
            subprocess.check_output(["git", *command], cwd=package, stderr=subprocess.DEVNULL, text=True, timeout=10)
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.SubprocessError):  # git is not installed; the version has to do
        return ""
    return commit.strip() + ("+changes" if changes.strip() else "")

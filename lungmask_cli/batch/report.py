"""What a batch was made with, and what came of it, for those who must say so later."""

import platform
from collections import Counter
from collections.abc import Iterable
from typing import Any

import lungmask_cli
from lungmask_cli.batch.journal import Cells
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.rows import FAILED, WRITTEN
from lungmask_cli.inference.quality import DOUBTFUL
from lungmask_cli.models.manifest import find_weights, read_weights_manifest
from lungmask_cli.versions import installed_versions

_PACKAGES = ("keras", "tensorflow", "onnxruntime", "numpy", "scipy", "pillow", "pydicom")


def record(settings: SegmentOptions) -> dict[str, Any]:
    """What decides what masks look like: version, weights and settings, without names of files.

    Raises:
        UsageError: there are no such weights.
    """
    paths = [find_weights(name) for name in settings.weights]
    return {
        "version": lungmask_cli.__version__,
        "weights": [{"name": path.name, "sha256": read_weights_manifest(path)["sha256"]} for path in paths],
        "runtime": settings.runtime,
        "tta": settings.augment,
        "cleanup": settings.cleanup,
        "polarity": settings.correct_polarity,
        "strict": settings.strict,
        "labels": settings.outputs.labels,
        "outputs": sorted(settings.outputs.extras),
        "hash_names": settings.hash_names,
    }


def report(settings: SegmentOptions, rows: Iterable[Cells], planned: int, kept: int, seconds: float) -> dict[str, Any]:
    """The record, what it ran on, the configuration of the weights, and the counts.

    Args:
        settings: of the batch.
        rows: all rows of the table.
        planned: how many radiographs there were.
        kept: how many of them were done by an earlier run.
        seconds: what this run took.
    """
    statuses: Counter[str] = Counter()
    doubtful = 0
    for row in rows:
        statuses[row["status"]] += 1
        doubtful += row["quality"] == DOUBTFUL
    done = statuses.total() - kept
    return {
        **record(settings),
        "configurations": [read_weights_manifest(find_weights(name))["config"] for name in settings.weights],
        "counts": {
            "radiographs": planned,
            "written": statuses[WRITTEN],
            "failed": statuses[FAILED],
            "doubtful": doubtful,
            "not_done": planned - statuses.total(),
            "kept_from_an_earlier_run": kept,
        },
        "seconds": round(seconds, 3),
        "images_per_second": round(done / seconds, 3) if seconds else None,
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": installed_versions(_PACKAGES),
    }

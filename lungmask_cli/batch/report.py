"""The settings and the report of a batch, as JSON documents."""

import platform
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import lungmask_cli
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.rows import FAILED, WRITTEN
from lungmask_cli.inference.quality import DOUBTFUL
from lungmask_cli.models.manifest import read_weights_manifest
from lungmask_cli.versions import installed_versions

_PACKAGES = ("keras", "tensorflow", "onnxruntime", "numpy", "scipy", "pillow", "pydicom")


def describe_settings(options: SegmentOptions) -> dict[str, Any]:
    """The settings that determine the masks: version, weights and options, without file names.

    Raises:
        UsageError: some weights do not exist.
    """
    inference, outputs = options.inference, options.outputs
    files = inference.weight_files()
    return {
        "version": lungmask_cli.__version__,
        "weights": [{"name": path.name, "sha256": read_weights_manifest(path)["sha256"]} for path in files],
        "runtime": inference.runtime,
        "tta": inference.tta,
        "cleanup": inference.cleanup,
        "polarity": inference.polarity,
        "strict": options.strict,
        "labels": outputs.labels,
        "outputs": sorted(outputs.extras),
        "hash_names": options.hash_names,
    }


def make_report(
    options: SegmentOptions, rows: Collection[Mapping[str, str]], planned: int, kept: int, seconds: float
) -> dict[str, Any]:
    """The settings, the configuration of the weights, the counts, and the machine and its software.

    `rows` is the table. Of the `planned` radiographs, `kept` were done by an earlier run. This run took `seconds`.
    """
    statuses = Counter(row["status"] for row in rows)
    return {
        **describe_settings(options),
        "configurations": [read_weights_manifest(path)["config"] for path in options.inference.weight_files()],
        "counts": {
            "radiographs": planned,
            "written": statuses[WRITTEN],
            "failed": statuses[FAILED],
            "doubtful": sum(row["quality"] == DOUBTFUL for row in rows),
            "not_done": planned - len(rows),
            "kept_from_an_earlier_run": kept,
        },
        "seconds": round(seconds, 3),
        "images_per_second": round((len(rows) - kept) / seconds, 3) if seconds else None,
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": installed_versions(_PACKAGES),
    }

"""The settings of a batch. They load neither NumPy nor Keras, so that the command line starts quickly."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lungmask_cli.errors import UsageError
from lungmask_cli.inference.options import InferenceOptions

if TYPE_CHECKING:
    from lungmask_cli.batch.outputs import Outputs
    from lungmask_cli.scoring.pairing import MaskFiles

EngineName = Literal["local", "ray"]


class Existing(Enum):
    """What is done with results that exist already."""

    REFUSE = "refuse"
    SKIP = "skip"
    OVERWRITE = "overwrite"


def existing_mode(skip: bool, overwrite: bool) -> Existing:
    """The mode that the flags `--skip-existing` and `--overwrite` select.

    Raises:
        UsageError: both are given.
    """
    if skip and overwrite:
        raise UsageError("--skip-existing and --overwrite exclude each other", "Give one of them.")
    return Existing.SKIP if skip else Existing.OVERWRITE if overwrite else Existing.REFUSE


@dataclass(frozen=True)
class SegmentOptions:
    """The settings that determine the result for each radiograph. They can be sent to other processes and machines.

    Args:
        inference: how a radiograph is segmented.
        outputs: which files are written, and where.
        truth: reference masks to compare with.
        hash_names: name each mask by the first 16 digits of the SHA-256 of its radiograph, and write no file name.
        strict: a doubtful mask is a failure, and is not written.
    """

    inference: InferenceOptions
    outputs: "Outputs"
    truth: "MaskFiles | None" = field(default=None, repr=False)
    hash_names: bool = False
    strict: bool = False


@dataclass(frozen=True)
class RunOptions:
    """The settings of a run that do not change its masks.

    Args:
        existing: what is done with results that exist already.
        engine: the engine that processes the jobs.
        address: the address of the Ray cluster to join; None starts one on this machine.
        jobs: how many radiographs are processed in parallel; None for as many as suit the machine.
        gallery: the HTML page of all masks; None for no page.
        report: the JSON report; None for no report.

    Raises:
        UsageError: there is an address, but the engine is not Ray.
    """

    existing: Existing = Existing.REFUSE
    engine: EngineName = "local"
    address: str | None = None
    jobs: int | None = None
    gallery: Path | None = None
    report: Path | None = None

    def __post_init__(self) -> None:
        if self.address and self.engine != "ray":
            raise UsageError("--address is that of a Ray cluster", "Add --engine ray.")

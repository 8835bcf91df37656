"""The options of `lungmask score`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lungmask_cli.formats.mask_values import DEFAULT_MASKS, MaskOptions
from lungmask_cli.imaging.radiograph import Spacing
from lungmask_cli.scoring.metric_definitions import DEFAULT_METRICS
from lungmask_cli.scoring.pairing import OTHER, PREDICTED, TRUTH, Role

Missing = Literal["error", "zero"]


@dataclass(frozen=True)
class ScoreOptions:
    """All options of one comparison.

    Args:
        predicted: folder of predicted masks.
        truth: folder of reference masks.
        other: folder of a second method's masks, which are compared with the same reference masks.
        images: folder of radiographs.
        manifest: CSV file with patients, groups and pixel spacings; None for that of a prepared data set, if any.
        by: the column of the manifest that defines groups.
        patient: the column of the manifest that names patients; None for `patient` or `patient_id`.
        spacing: pixel spacing of all masks; None if it is taken from files.
        masks: what the numbers in mask files mean.
        metrics: names from `METRICS`.
        tolerance: of the normalised surface distance, in mm, or in pixels if the spacing is unknown.
        missing: a mask without a partner is a failure (`error`), or is compared with an empty mask (`zero`).
        seed: random seed of the bootstrap.
        table: the CSV file of all scores; None for standard output.
        summaries: files of the summary, in the format of their suffix.
        gallery: HTML page with a picture of every pair.
        plots: folder of plots.
        jobs: number of threads.
    """

    predicted: Path
    truth: Path
    other: Path | None = None
    images: Path | None = None
    manifest: Path | None = None
    by: str | None = None
    patient: str | None = None
    spacing: Spacing | None = None
    masks: MaskOptions = DEFAULT_MASKS
    metrics: tuple[str, ...] = DEFAULT_METRICS
    tolerance: float = 2.0
    missing: Missing = "error"
    seed: int = 0
    table: Path | None = None
    summaries: tuple[Path, ...] = ()
    gallery: Path | None = None
    plots: Path | None = None
    jobs: int = 1

    @property
    def folders(self) -> dict[Role, Path]:
        """The folders of masks by their role."""
        folders: dict[Role, Path] = {PREDICTED: self.predicted, TRUTH: self.truth}
        return folders if self.other is None else folders | {OTHER: self.other}

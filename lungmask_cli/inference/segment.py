"""Many radiographs through one model: masks and overlays on disk, and a row for every file whatever happens to it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.imaging.intensity import normalize
from lungmask_cli.imaging.overlay import draw_overlay
from lungmask_cli.imaging.radiograph import Mask, Radiograph
from lungmask_cli.imaging.raster import size_text
from lungmask_cli.imaging.read import read_radiograph
from lungmask_cli.imaging.write import csv_text, write_mask, write_picture
from lungmask_cli.inference.predict import predict_mask
from lungmask_cli.inference.weights import LoadedModel
from lungmask_cli.scoring.overlap import overlap
from lungmask_cli.scoring.pairing import OVERLAYS, MaskFiles

WRITTEN, FAILED = "written", "failed"
_COLUMNS = (
    "file",
    "mask",
    "status",
    "reason",
    "width",
    "height",
    "lung_area_px",
    "lung_area_cm2",
    "spacing_source",
    "dice",
    "seconds",
)


@dataclass(frozen=True)
class Job:
    """One radiograph and where its mask goes, relative to the output folder."""

    source: Path
    mask: Path


@dataclass(frozen=True)
class Row:
    """One line of `segment.csv`. What is unknown is None, and empty there.

    `lung_area_cm2` is known where the file gives its pixel spacing, `dice` where there is a hand-made mask of the same
    size; `reason` says why a file failed, or why there is no Dice where one was asked for. `hint`, what to do about
    it, is for the terminal alone.
    """

    file: str
    mask: str
    status: str
    reason: str
    width: int | None
    height: int | None
    lung_area_px: int | None
    lung_area_cm2: float | None
    spacing_source: str
    dice: float | None
    seconds: float
    hint: str = ""


def plan(images: Iterable[tuple[Path, Path]], output: Path) -> list[Job]:
    """Where each mask goes: same folder and stem as its radiograph, ending in `.png`.

    Where several radiographs of a folder share a stem, all but the first keep their old suffix as well: `a.dcm.png`.

    Raises:
        UsageError: a mask would overwrite a radiograph.
    """
    jobs: list[Job] = []
    taken: set[Path] = set()
    sources = set()
    for source, relative in images:
        mask = relative.with_suffix(".png")
        if mask in taken:
            mask = relative.with_name(f"{relative.name}.png")
        number = 2
        while mask in taken:  # files of one name from several inputs
            mask = relative.with_name(f"{relative.stem}-{number}.png")
            number += 1
        taken.add(mask)
        sources.add(source.resolve())
        jobs.append(Job(source, mask))
    for job in jobs:
        if (output / job.mask).resolve() in sources:
            raise UsageError(
                f"{output / job.mask}: is a radiograph that its mask would overwrite", "Choose another -o folder."
            )
    return jobs


@dataclass(frozen=True)
class Segmenter:
    """Draws masks into `output`.

    Args:
        model: the generator.
        output: the folder for masks.
        overlay: also write pictures into `output/overlays`.
        truth: hand-made masks to compare with.
        cleanup: fill holes and drop specks.
    """

    model: LoadedModel
    output: Path
    overlay: bool = False
    truth: MaskFiles | None = None
    cleanup: bool = True

    def run(self, jobs: Iterable[Job]) -> Iterator[Row]:
        """Segment one job after the other; a job that fails gives a row with the reason."""
        for job in jobs:
            started = time.perf_counter()
            try:
                yield self._segment(job, started)
            except ImageError as error:
                yield _failure(job, error, started)
            except OSError as error:  # the mask could not be written
                reason = f"{self.output / job.mask}: cannot be written: {error.strerror or error}"
                yield _failure(job, ImageError(reason, "Check the free space and the permissions."), started)

    def _segment(self, job: Job, started: float) -> Row:
        radiograph = read_radiograph(job.source)
        image = normalize(radiograph)
        mask = predict_mask(self.model, image, self.cleanup)
        truth, reason = self._read_truth(job, mask)
        write_mask(self.output / job.mask, mask)
        if self.overlay:
            write_picture(self.output / OVERLAYS / job.mask, draw_overlay(image, mask, truth))
        return Row(
            file=str(job.source),
            mask=str(job.mask),
            status=WRITTEN,
            reason=reason,
            width=mask.shape[1],
            height=mask.shape[0],
            lung_area_px=int(np.count_nonzero(mask)),
            lung_area_cm2=_area_cm2(mask, radiograph),
            spacing_source=radiograph.spacing_source,
            dice=None if truth is None else overlap(mask, truth).dice,
            seconds=time.perf_counter() - started,
        )

    def _read_truth(self, job: Job, mask: Mask) -> tuple[Mask | None, str]:
        """The hand-made mask, or None and why there is none to compare with; the drawn one is good either way."""
        if self.truth is None:
            return None, ""
        paths = self.truth.find(job.mask.with_suffix("").as_posix())
        if paths is None:
            return None, f"no Dice: {self.truth.folder} has no mask of this name"
        try:
            truth = self.truth.read(paths)
        except ImageError as error:
            return None, f"no Dice: {error.message}"
        if truth.shape != mask.shape:
            return None, f"no Dice: the radiograph has {size_text(mask)} pixels, {paths[0]} {size_text(truth)}"
        return truth, ""


def _area_cm2(mask: Mask, radiograph: Radiograph) -> float | None:
    if radiograph.spacing_mm is None:
        return None
    row_mm, column_mm = radiograph.spacing_mm
    return int(np.count_nonzero(mask)) * row_mm * column_mm / 100


def _failure(job: Job, error: ImageError, started: float) -> Row:
    seconds = time.perf_counter() - started
    return Row(str(job.source), "", FAILED, error.message, None, None, None, None, "", None, seconds, error.hint)


def to_csv(rows: list[Row]) -> str:
    """The rows as CSV text."""
    return csv_text(_COLUMNS, map(_cells, rows))


def _cells(row: Row) -> list[object]:
    cells = {name: getattr(row, name) for name in _COLUMNS}
    for name, decimals in (("lung_area_cm2", 2), ("dice", 8), ("seconds", 3)):
        if cells[name] is not None:
            cells[name] = f"{cells[name]:.{decimals}f}"
    return list(cells.values())

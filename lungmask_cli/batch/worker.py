"""Many radiographs through the same weights: files on disk, and a row for every radiograph whatever happens to it."""

import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungmask_cli.batch.jobs import Job, hashed
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.outputs import Subject
from lungmask_cli.batch.rows import WRITTEN, Row
from lungmask_cli.errors import ImageError, LungmaskError
from lungmask_cli.files import file_sha256
from lungmask_cli.formats.dicom.pixels import is_dicom
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.radiograph import Mask, format_size
from lungmask_cli.inference.segmenter import Segmentation, Segmenter
from lungmask_cli.scoring.overlap import overlap
from lungmask_cli.scoring.pairing import read_mask_files

# How many images a GPU draws at once, and as many threads that read and write for it.
GPU_THREADS = 16


@dataclass(frozen=True)
class Batch:
    """Does one job after the other, or several at once in as many threads.

    Args:
        settings: what to make.
        segmenter: what finds the lungs.
    """

    settings: SegmentOptions
    segmenter: Segmenter

    def run(self, job: Job) -> Row:
        """Segment one radiograph and write its files. Whatever goes wrong is in the row; nothing is raised."""
        started = time.perf_counter()
        shown, drawn = self.settings.shown(job), job.mask
        try:
            if self.settings.hash_names:
                shown = hashed(job)
                drawn = Path(f"{shown}.png")
            return self._segment(job, shown, drawn, started)
        except LungmaskError as error:
            return _failure(shown, error, started)
        except OSError as error:  # a file could not be written
            reason = f"{error.filename or self.settings.outputs.folder / drawn}: cannot be written: "
            reason += error.strerror or str(error)
            return _failure(shown, ImageError(reason, "Check the free space and the permissions."), started)
        except MemoryError:
            return _failure(shown, ImageError(f"{shown}: there is not enough memory", "Use fewer --jobs."), started)
        except Exception as error:  # a mistake of ours must not cost the other radiographs their masks
            return _failure(shown, _defect(shown, error), started)

    def _segment(self, job: Job, shown: str, drawn: Path, started: float) -> Row:
        try:
            radiograph = read_radiograph(job.source, self.settings.max_pixels)
        except ImageError as error:
            raise ImageError(error.message.replace(str(job.source), shown), error.hint) from error
        found = self.segmenter.segment_radiograph(radiograph)
        if self.settings.strict and found.quality.reasons:
            raise ImageError(
                f"{shown}: its mask is doubtful: {'; '.join(found.quality.reasons)}",
                "Look at the radiograph; without --strict the mask is written and flagged.",
            )
        truth, reason = self._read_truth(job, found.lungs)
        self.settings.outputs.write(drawn, found, radiograph, self._subject(job, shown, truth))
        return _row(shown, drawn, reason, found, truth, time.perf_counter() - started)

    def _subject(self, job: Job, shown: str, truth: Mask | None) -> Subject:
        if not self.settings.outputs.refers_to_sources:
            return Subject(shown, None, "", truth)
        weights = (str(network.manifest["sha256"]) for network in self.segmenter.networks)
        identity = "/".join((file_sha256(job.source), *weights))
        return Subject(shown, job.source if is_dicom(job.source) else None, identity, truth)

    def _read_truth(self, job: Job, mask: Mask) -> tuple[Mask | None, str]:
        """The hand-made mask, or None and why there is none to compare with; the drawn one is good either way."""
        if self.settings.truth is None:
            return None, ""
        paths = self.settings.truth.find(job.mask.with_suffix("").as_posix())
        if paths is None:
            return None, f"no Dice: {self.settings.truth.folder} has no mask of this name"
        hidden = self.settings.hash_names
        try:
            truth = read_mask_files(paths).lungs
        except ImageError as error:
            return None, "no Dice: its hand-made mask is broken" if hidden else f"no Dice: {error.message}"
        if truth.shape != mask.shape:
            named = "its hand-made mask" if hidden else next(iter(paths.values()))
            return None, f"no Dice: the radiograph has {format_size(mask)} pixels, {named} {format_size(truth)}"
        return truth, ""


def _row(shown: str, drawn: Path, reason: str, found: Segmentation, truth: Mask | None, seconds: float) -> Row:
    pixels = {
        "lung": int(np.count_nonzero(found.lungs)),
        "right": int(np.count_nonzero(found.right)),
        "left": int(np.count_nonzero(found.left)),
    }
    spacing = found.spacing
    areas: dict[str, int | float] = {f"{name}_area_px": count for name, count in pixels.items()}
    if spacing:
        row_mm, column_mm = spacing.mm
        areas |= {f"{name}_area_cm2": count * row_mm * column_mm / 100 for name, count in pixels.items()}
    return Row(
        file=shown,
        mask=str(drawn),
        status=WRITTEN,
        reason=reason,
        warnings=found.warnings,
        width=found.lungs.shape[1],
        height=found.lungs.shape[0],
        spacing_row_mm=spacing.row_mm if spacing else None,
        spacing_column_mm=spacing.column_mm if spacing else None,
        spacing_source=spacing.source if spacing else "",
        quality=found.quality.flag,
        quality_score=found.quality.score,
        confidence=found.quality.confidence,
        doubts=found.quality.reasons,
        dice=None if truth is None else overlap(found.lungs, truth).dice,
        seconds=seconds,
        **areas,  # type: ignore[arg-type]
    )


def _defect(shown: str, error: Exception) -> ImageError:
    """What is said of a mistake of ours: where it happened, but not its message, which may quote a header."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    problem = f"{shown}: could not be segmented ({type(error).__name__})"
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    return ImageError(problem, f"This is a defect of lungmask, in {place}: please report it.")


def _failure(shown: str, error: LungmaskError, started: float) -> Row:
    return Row(shown, reason=error.message, seconds=time.perf_counter() - started, hint=error.hint)

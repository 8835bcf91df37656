"""Processes one radiograph of a batch: it writes the files and returns a row, whatever goes wrong."""

import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from lungmask_cli.batch.jobs import Job
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.outputs import SourceInfo
from lungmask_cli.batch.rows import WRITTEN, Row
from lungmask_cli.errors import ImageError, LungmaskError
from lungmask_cli.files import file_sha256
from lungmask_cli.formats.dicom.pixels import is_dicom
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.radiograph import LungMask, Mask, format_size
from lungmask_cli.inference.segmenter import Segmentation, Segmenter
from lungmask_cli.scoring.checks import check_mask, check_orientation
from lungmask_cli.scoring.overlap import overlap
from lungmask_cli.scoring.pairing import DICOM_SEG, read_mask_files

# How many images a GPU predicts as one batch, and how many threads read and write for it.
GPU_THREADS = 16


class SegmentWorker:
    """Processes jobs, one after the other or in several threads.

    Args:
        options: the settings.
        threads: how many threads call it in parallel. Each uses one core, so that floating-point sums, and thus the
            masks, do not depend on the number of threads.

    Raises:
        UsageError: the weights, the device or the runtime are not available.
    """

    def __init__(self, options: SegmentOptions, threads: int) -> None:
        self._options = options
        self.segmenter = Segmenter(**vars(options.inference), threads=threads)

    def run(self, job: Job) -> Row:
        """Segment one radiograph and write its files. An error becomes part of the row; none is raised."""
        started = time.perf_counter()
        name, mask = job.display_name(self._options.hash_names), str(job.mask)
        try:
            name, mask = job.table_names(self._options.hash_names)
            return self._segment(job, name, Path(mask), started)
        except LungmaskError as error:
            failure: LungmaskError = error
        except OSError as error:  # a file could not be written
            path = error.filename or self._options.outputs.folder / mask
            reason = f"{path}: cannot be written: {error.strerror or error}"
            failure = ImageError(reason, "Check the free space and the permissions.")
        except MemoryError:
            failure = ImageError(f"{name}: there is not enough memory", "Use fewer --jobs.")
        except Exception as error:  # a defect of lungmask must not cost the other radiographs their masks
            failure = _describe_defect(name, error)
        return Row(name, reason=failure.message, seconds=time.perf_counter() - started, hint=failure.hint)

    def _segment(self, job: Job, name: str, mask: Path, started: float) -> Row:
        options = self._options
        try:
            radiograph = read_radiograph(job.source, options.inference.max_pixels)
        except ImageError as error:
            raise ImageError(error.message.replace(str(job.source), name), error.hint) from error
        segmentation = self.segmenter.segment_radiograph(radiograph)
        if options.strict and segmentation.quality.reasons:
            raise ImageError(
                f"{name}: its mask is doubtful: {'; '.join(segmentation.quality.reasons)}",
                "Look at the radiograph; without --strict the mask is written and flagged.",
            )
        truth, reason, warnings = self._read_truth(job, segmentation)
        options.outputs.write(mask, segmentation, radiograph, self._source_info(job, name, truth))
        row = Row(name, str(mask), WRITTEN, reason, (*segmentation.warnings, *warnings))
        return _make_row(row, segmentation, truth, started)

    def _source_info(self, job: Job, name: str, truth: Mask | None) -> SourceInfo:
        if DICOM_SEG not in self._options.outputs.extras:
            return SourceInfo(name, None, "", truth)
        weights = (str(network.manifest["sha256"]) for network in self.segmenter.networks)
        identity = "/".join((file_sha256(job.source), *weights))
        return SourceInfo(name, job.source if is_dicom(job.source) else None, identity, truth)

    def _read_truth(self, job: Job, segmentation: Segmentation) -> tuple[Mask | None, str, tuple[str, ...]]:
        """The reference mask or None, why there is no Dice, and warnings; the predicted mask is good either way."""
        truth_files, hidden = self._options.truth, self._options.hash_names
        if truth_files is None:
            return None, "", ()
        paths = truth_files.files.get(job.mask.with_suffix("").as_posix())
        if paths is None:
            return None, f"no Dice: {truth_files.folder} has no mask of this name", ()
        try:
            reference = read_mask_files(paths)
        except ImageError as error:
            # The options that the hint names are those of `score`; here, --labels concerns the output.
            reason = f"{error.message}. For lungmask score: {error.hint}"
            return None, "no Dice: its reference mask cannot be read" if hidden else f"no Dice: {reason}", ()
        truth, mask = reference.lungs, segmentation.lungs
        warnings = _check_reference(reference, mask)
        if truth.shape != mask.shape:
            name = "its reference mask" if hidden else next(iter(paths.values()))
            reason = f"no Dice: the radiograph has {format_size(mask)} pixels, {name} {format_size(truth)}"
            return None, reason, warnings
        return truth, "" if truth.any() or mask.any() else "no Dice: both masks are empty", warnings


def _check_reference(reference: LungMask, mask: Mask) -> tuple[str, ...]:
    """Why the reference mask may be meant in another sense than it was read."""
    turned = check_orientation(mask, reference.lungs) if reference.shape == mask.shape else ()
    return tuple(f"with the reference mask: {sentence}" for sentence in (*check_mask(reference), *turned))


def _make_row(row: Row, segmentation: Segmentation, truth: Mask | None, started: float) -> Row:
    """Complete the row of a mask that was written."""
    right, left = segmentation.right_runs.area, segmentation.left_runs.area
    spacing, quality = segmentation.spacing, segmentation.quality
    pixels = {"lung": right + left, "right": right, "left": left, "opacity": round(quality.opacity * (right + left))}
    if segmentation.heart_runs is not None:
        pixels["heart"] = segmentation.heart_runs.area
    height, width = segmentation.right_runs.shape
    measured: dict[str, Any] = {f"{side}_area_px": count for side, count in pixels.items()}
    if spacing:
        row_mm, column_mm = spacing.mm
        measured |= {f"{side}_area_cm2": count * row_mm * column_mm / 100 for side, count in pixels.items()}
        measured |= {"spacing_row_mm": row_mm, "spacing_column_mm": column_mm, "spacing_source": spacing.source}
    measured |= _measure_widths(segmentation)
    return replace(
        row,
        width=width,
        height=height,
        quality=quality.flag,
        quality_score=quality.score,
        confidence=quality.confidence,
        doubts=quality.reasons,
        dice=None if truth is None or row.reason else overlap(segmentation.lungs, truth).dice,
        seconds=time.perf_counter() - started,
        **measured,
    )


def _measure_widths(segmentation: Segmentation) -> dict[str, Any]:
    """The cells of the cardiothoracic ratio; none without one."""
    if (ratio := segmentation.cardiothoracic_ratio) is None:
        return {}
    widths = {"heart": ratio.heart.width, "thorax": ratio.thorax.width}
    cells: dict[str, Any] = {f"{name}_width_px": width for name, width in widths.items()}
    if segmentation.spacing:
        cells |= {f"{name}_width_mm": width * segmentation.spacing.column_mm for name, width in widths.items()}
    low, high = segmentation.ratio_interval or (None, None)
    names = ("cardiothoracic_ratio", "cardiothoracic_ratio_low", "cardiothoracic_ratio_high")
    return cells | dict(zip(names, (ratio.value, low, high), strict=True))


def _describe_defect(name: str, error: Exception) -> ImageError:
    """A failure by a defect of lungmask: where it happened, without the message, which may quote a header."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    location = f"{Path(frame.filename).name}, line {frame.lineno}"
    return ImageError(
        f"{name}: could not be segmented ({type(error).__name__})",
        f"This is a defect of lungmask, in {location}: please report it.",
    )

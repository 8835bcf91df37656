"""DICOM segmentations (PS3.3 A.51, C.8.20): lungs by their segments' codes or labels.

No text of the file is handed on or quoted: labels are compared with words, nothing else.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.dicom.header import find_spacing
from lungmask_cli.formats.dicom.pixels import (
    SUBPROCESS_SYNTAXES,
    decoded,
    pydicom_errors,
    read_dataset,
    transfer_syntax,
)
from lungmask_cli.formats.limits import check_size
from lungmask_cli.imaging.radiograph import LungMask, Mask, Spacing

_SEGMENTATION, _LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
# Codes of SNOMED CT and of the older SNOMED RT: organ, and the side in a code of its own.
_LUNG = frozenset({"39607008", "T-28000"})
_RIGHT_LUNG, _LEFT_LUNG = frozenset({"3341006", "T-28100"}), frozenset({"44029006", "T-28500"})
_RIGHT, _LEFT = frozenset({"24028007", "G-A100"}), frozenset({"7771000", "G-A101"})
# Body organ, anatomical structure, body structure: types that leave it to the region which one.
_ORGANS = frozenset({"113343008", "91723000", "123037004", "T-D0060", "T-D0005", "T-D000A"})
# What the label of a lung may say; a lung nodule is no lung.
_LUNG_WORDS = frozenset({
    "lung", "lungs", "right", "left", "both", "and", "the", "field", "fields", "mask", "masks", "segmentation",
    "upper", "middle", "lower", "lobe", "lobes",
})  # fmt: skip
_BOTH, _RIGHT_SIDE, _LEFT_SIDE = "both", "right", "left"
_HALF = 0.5
_MOST_FRAMES = 4  # of the largest size


def read_segmentation(path: Path, threshold: float | None = None, max_pixels: int = MAX_PIXELS) -> LungMask:
    """The lungs in a DICOM segmentation of one radiograph: binary, fractional or a label map.

    Args:
        path: the file.
        threshold: what share of the largest fraction is lung, in a fractional segmentation; half by default.
        max_pixels: larger images are refused.

    Raises:
        ImageError: the file is no segmentation, has no lung among its segments, or several planes of one.
    """
    with pydicom_errors(path):
        return _read(path, _HALF if threshold is None else threshold, max_pixels)


def _read(path: Path, threshold: float, max_pixels: int) -> LungMask:
    dataset = read_dataset(path, max_pixels)
    storage = str(dataset.get("SOPClassUID", ""))
    if storage not in (_SEGMENTATION, _LABEL_MAP):
        raise ImageError(f"{path}: is DICOM, but no segmentation", "Give masks, not radiographs.")
    frames = int(dataset.get("NumberOfFrames") or 1)
    height, width = int(dataset.Rows), int(dataset.Columns)
    check_size(path, width, height, max_pixels)
    if height * width * frames > _MOST_FRAMES * max_pixels:
        raise ImageError(f"{path}: {frames} frames of {width} x {height} pixels are too large", "Raise --max-pixels.")
    if frames > (1 if storage == _LABEL_MAP else max(1, len(dataset.SegmentSequence))):
        raise ImageError(f"{path}: segments {frames} planes", "Give segmentations of one radiograph each.")
    if transfer_syntax(dataset) in SUBPROCESS_SYNTAXES:
        raise ImageError(f"{path}: is compressed with lossless or 12-bit JPEG", "Export it uncompressed.")
    sides = _sides(dataset, path)
    masks: dict[str, Mask] = {}
    for number, mask in _segments(dataset, path, storage == _LABEL_MAP, threshold):
        if number in sides:
            side = sides[number]
            masks[side] = masks[side] | mask if side in masks else mask
    empty = np.zeros((height, width), bool)
    spacing = _spacing(dataset)
    if _BOTH in sides.values():
        return LungMask(np.logical_or.reduce([empty, *masks.values()]), None, None, spacing)
    right, left = masks.get(_RIGHT_SIDE, empty), masks.get(_LEFT_SIDE, empty)
    return LungMask(right | left, right, left, spacing)


def _sides(dataset: Any, path: Path) -> dict[int, str]:
    """The lung of each segment that is one; a single segment of no known kind is taken for both."""
    segments = [segment for segment in dataset.SegmentSequence if int(segment.SegmentNumber)]  # 0: background
    sides = {int(segment.SegmentNumber): side for segment in segments if (side := _side(segment))}
    if {_RIGHT_SIDE, _LEFT_SIDE} <= set(sides.values()):  # a segment of both says no more than these two
        sides = {number: side for number, side in sides.items() if side != _BOTH}
    if not sides and len(segments) == 1:
        return {int(segments[0].SegmentNumber): _BOTH}
    if not sides:
        raise ImageError(
            f"{path}: none of its {len(segments)} segments is a lung by code or label",
            "Label the segments lung, right lung or left lung.",
        )
    return sides


def _side(segment: Any) -> str:
    """Which lung the segment is, or an empty text."""
    kinds = [*(segment.get("SegmentedPropertyTypeCodeSequence") or [])]
    regions = [*(segment.get("AnatomicRegionSequence") or [])]
    kind_codes = {str(item.get("CodeValue", "")) for item in kinds}
    if kind_codes and not kind_codes & (_LUNG | _RIGHT_LUNG | _LEFT_LUNG | _ORGANS):
        regions = []  # where a finding is
    codes = {str(item.get("CodeValue", "")) for item in (*kinds, *regions)}
    modifiers = ("SegmentedPropertyTypeModifierCodeSequence", "AnatomicRegionModifierSequence")
    turned = {
        str(item.get("CodeValue", ""))
        for holder in (*kinds, *regions)
        for name in modifiers
        for item in holder.get(name) or []
    }
    words = _words(str(segment.get("SegmentLabel", "")))
    named = words & {"lung", "lungs"} and words <= _LUNG_WORDS
    if not (codes & (_LUNG | _RIGHT_LUNG | _LEFT_LUNG) or named):
        return ""
    right = bool(codes & _RIGHT_LUNG or turned & _RIGHT or "right" in words)
    left = bool(codes & _LEFT_LUNG or turned & _LEFT or "left" in words)
    return _BOTH if right == left else _RIGHT_SIDE if right else _LEFT_SIDE


def _words(label: str) -> set[str]:
    """The words of a label in small letters, those of `RightLung` too."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).lower()
    return set(re.findall(r"[a-z]+", apart))


def _segments(dataset: Any, path: Path, label_map: bool, threshold: float) -> Iterator[tuple[int, Mask]]:
    """The number and the mask of each segment that has a frame; frames without pixels may be left out of a file."""
    pixels = decoded(dataset, path)
    frames = pixels if pixels.ndim == 3 else pixels[None]
    if label_map:
        yield from ((int(number), frames[0] == number) for number in np.unique(frames[0]) if number)
        return
    fractional = str(dataset.get("SegmentationType", "")) == "FRACTIONAL"
    least = max(1, math.ceil(threshold * int(dataset.MaximumFractionalValue))) if fractional else 1
    numbers = _numbers(dataset, len(frames))
    if len(set(numbers)) < len(numbers):
        raise ImageError(f"{path}: segments several planes", "Give segmentations of one radiograph each.")
    for number, frame in zip(numbers, frames, strict=True):
        yield number, frame >= least


def _numbers(dataset: Any, count: int) -> list[int]:
    """The segment of each frame, which stands with the frame, or once for all of them."""
    shared = [*(dataset.get("SharedFunctionalGroupsSequence") or [])]
    groups = [*(dataset.get("PerFrameFunctionalGroupsSequence") or [])] or [{}] * count
    numbers = []
    for group in groups:
        holder = next(item for item in (group, *shared) if "SegmentIdentificationSequence" in item)
        numbers.append(int(holder["SegmentIdentificationSequence"].value[0].ReferencedSegmentNumber))
    return numbers


def _spacing(dataset: Any) -> Spacing | None:
    groups = [
        *(dataset.get("SharedFunctionalGroupsSequence") or []),
        *(dataset.get("PerFrameFunctionalGroupsSequence") or [])[:1],
    ]
    measures = [item for group in groups for item in group.get("PixelMeasuresSequence") or []]
    return next(filter(None, map(find_spacing, (*measures, dataset))), None)

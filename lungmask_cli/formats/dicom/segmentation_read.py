"""Read DICOM segmentations (PS3.3 A.51, C.8.20). Lungs are recognised by the codes or labels of their segments.

No text of the file is returned or quoted: segment labels are only compared with known words.
"""

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.checks import check_size
from lungmask_cli.formats.dicom.elements import Header, set_element
from lungmask_cli.formats.dicom.header import find_spacing
from lungmask_cli.formats.dicom.pixel_format import (
    complete_pixel_format,
    read_frame_count,
    read_size,
    require_integer,
)
from lungmask_cli.formats.dicom.pixels import (
    SUBPROCESS_SYNTAXES,
    decode_pixels,
    pydicom_errors,
    read_dataset,
    transfer_syntax,
)
from lungmask_cli.imaging.radiograph import HEART, LEFT, LUNGS, RIGHT, LungMask, Mask, Spacing

_SEGMENTATION, _LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
# Codes of SNOMED CT and of the older SNOMED RT: the lung, right and left lung, and the side as a modifier.
_LUNG = frozenset({"39607008", "T-28000"})
_RIGHT_LUNG, _LEFT_LUNG = frozenset({"3341006", "T-28100"}), frozenset({"44029006", "T-28500"})
_RIGHT_MODIFIER, _LEFT_MODIFIER = frozenset({"24028007", "G-A100"}), frozenset({"7771000", "G-A101"})
_HEART = frozenset({"80891009", "T-32000"})
# Body organ, anatomical structure, body structure: types that leave the organ to the anatomic region.
_ORGANS = frozenset({"113343008", "91723000", "123037004", "T-D0060", "T-D0005", "T-D000A"})
# All words that the label of a lung may contain; a lung nodule is not a lung.
_LUNG_WORDS = frozenset({
    "lung", "lungs", "right", "left", "both", "and", "the", "field", "fields", "mask", "masks", "segmentation",
    "upper", "middle", "lower", "lobe", "lobes",
})  # fmt: skip
_HEART_WORDS = frozenset({"heart", "the", "whole", "mask", "segmentation"})
_HINT = "Export the segmentation again."
_MAX_FULL_FRAMES = 4  # frames of the largest size


def read_segmentation(path: Path, threshold: float | None = None, max_pixels: int = MAX_PIXELS) -> LungMask:
    """The lungs, and the heart, in a DICOM segmentation of one radiograph: binary, fractional or a label map.

    Args:
        path: the file.
        threshold: of a fractional segmentation, as a share of the largest fraction; 0.5 by default.
        max_pixels: larger images are rejected.

    Raises:
        ImageError: the file is not a segmentation, no segment is a lung, or there are several planes.
    """
    with pydicom_errors(path):
        header = Header(read_dataset(path, max_pixels))
        _require_segmentation(header, path, max_pixels)
        pixels, _ = decode_pixels(header, complete_pixel_format(header, path), path)
        frames = pixels if pixels.ndim == 3 else pixels[None]
        return _merge_segments(header, frames, path, 0.5 if threshold is None else threshold)


def _require_segmentation(header: Header, path: Path, max_pixels: int) -> None:
    storage = header.text("SOPClassUID")
    if storage not in (_SEGMENTATION, _LABEL_MAP):
        raise ImageError(f"{path}: is DICOM, but not a segmentation", "Give masks, not radiographs.")
    segments = header.items("SegmentSequence")
    if not segments:
        raise ImageError(f"{path}: the element SegmentSequence is missing or wrong", _HINT)
    if header.number("NumberOfFrames") is None:  # which the number of their groups implies
        groups = header.items("PerFrameFunctionalGroupsSequence")
        set_element(header.dataset, "NumberOfFrames", max(1, len(groups)))
    frames, (height, width) = read_frame_count(header), read_size(header.dataset, path)
    check_size(path, width, height, max_pixels)
    if height * width * frames > _MAX_FULL_FRAMES * max_pixels:
        raise ImageError(f"{path}: {frames} frames of {width} x {height} pixels are too large", "Raise --max-pixels.")
    if frames > (1 if storage == _LABEL_MAP else len(segments)):
        raise ImageError(f"{path}: segments {frames} planes", "Give segmentations of one radiograph each.")
    if transfer_syntax(header.dataset) in SUBPROCESS_SYNTAXES:
        raise ImageError(f"{path}: is compressed with lossless or 12-bit JPEG", "Export it uncompressed.")


def _merge_segments(header: Header, frames: NDArray[Any], path: Path, threshold: float) -> LungMask:
    sides = _find_sides(header, path)
    masks = dict.fromkeys((LUNGS, RIGHT, LEFT, HEART), np.zeros(frames.shape[1:], np.bool_))
    for number, mask in _read_segments(header, frames, path, threshold):
        if side := sides.get(number):
            masks[side] = masks[side] | mask
    lungs, spacing = masks[LUNGS] | masks[RIGHT] | masks[LEFT], _find_spacing(header)
    heart = masks[HEART] if HEART in sides.values() else None
    if LUNGS in sides.values():
        return LungMask(lungs, None, None, spacing, heart=heart)
    return LungMask(lungs, masks[RIGHT], masks[LEFT], spacing, heart=heart)


def _find_sides(header: Header, path: Path) -> dict[int, str]:
    """`RIGHT`, `LEFT` or `LUNGS` for each segment that is a lung, `HEART` for the heart.

    A single unknown segment is taken for both lungs.
    """
    numbered = {require_integer(item, "SegmentNumber", path): item for item in header.items("SegmentSequence")}
    numbered.pop(0, None)  # background
    sides = {number: side for number, segment in numbered.items() if (side := _find_side(Header(segment)))}
    if {RIGHT, LEFT} <= set(sides.values()):  # a segment of both lungs then adds nothing
        sides = {number: side for number, side in sides.items() if side != LUNGS}
    if not sides and len(numbered) == 1:
        return dict.fromkeys(numbered, LUNGS)
    if not set(sides.values()) - {HEART}:
        raise ImageError(
            f"{path}: none of its {len(numbered)} segments is a lung by code or label",
            "Label the segments lung, right lung or left lung.",
        )
    return sides


def _find_side(segment: Header) -> str:
    """`RIGHT`, `LEFT` or `LUNGS` (both) if the segment is a lung, `HEART` if it is the heart, else an empty text."""
    types = segment.items("SegmentedPropertyTypeCodeSequence")
    regions = segment.items("AnatomicRegionSequence")
    type_codes = _codes(types)
    if type_codes and not type_codes & (_LUNG | _RIGHT_LUNG | _LEFT_LUNG | _HEART | _ORGANS):
        regions = []  # the segment is a finding, and the region its location
    codes = type_codes | _codes(regions)
    modifiers = ("SegmentedPropertyTypeModifierCodeSequence", "AnatomicRegionModifierSequence")
    sides = _codes(item for coded in (*types, *regions) for name in modifiers for item in Header(coded).items(name))
    words = _split_words(segment)
    if codes & _HEART or ("heart" in words and words <= _HEART_WORDS):
        return HEART
    named = words & {"lung", "lungs"} and words <= _LUNG_WORDS
    if not (codes & (_LUNG | _RIGHT_LUNG | _LEFT_LUNG) or named):
        return ""
    right = bool(codes & _RIGHT_LUNG or sides & _RIGHT_MODIFIER or "right" in words)
    left = bool(codes & _LEFT_LUNG or sides & _LEFT_MODIFIER or "left" in words)
    return LUNGS if right == left else RIGHT if right else LEFT


def _codes(items: Iterable[Any]) -> set[str]:
    return {Header(item).text("CodeValue") for item in items}


def _split_words(segment: Header) -> set[str]:
    """The words of the segment's label, in small letters; `RightLung` is two words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", segment.text("SegmentLabel", keep_case=True))
    return set(re.findall(r"[a-z]+", spaced.lower()))


def _read_segments(header: Header, frames: NDArray[Any], path: Path, threshold: float) -> Iterator[tuple[int, Mask]]:
    """The number and the mask of each segment that has a frame; segments without pixels may have none."""
    if header.text("SOPClassUID") == _LABEL_MAP:
        yield from ((int(number), frames[0] == number) for number in np.unique(frames[0]) if number)
        return
    least = _least_lung_value(header, frames, path, threshold)
    numbers = _segment_numbers(header, len(frames), path)
    if len(set(numbers)) < len(numbers):
        raise ImageError(f"{path}: segments several planes", "Give segmentations of one radiograph each.")
    for number, frame in zip(numbers, frames, strict=True):
        yield number, frame >= least


def _least_lung_value(header: Header, frames: NDArray[Any], path: Path, threshold: float) -> int:
    """The least value of a binary or fractional segmentation that is lung."""
    kind = header.text("SegmentationType")
    if kind == "FRACTIONAL":
        return max(1, math.ceil(threshold * require_integer(header.dataset, "MaximumFractionalValue", path)))
    if kind != "BINARY" and frames.max() > 1:
        raise ImageError(f"{path}: the element SegmentationType is missing or wrong", _HINT)
    return 1


def _segment_numbers(header: Header, count: int, path: Path) -> list[int]:
    """The segment number of each frame, from the frame's own functional groups or the shared ones."""
    shared = header.items("SharedFunctionalGroupsSequence")
    groups = header.items("PerFrameFunctionalGroupsSequence") or [None] * count
    if len(groups) != count:
        raise ImageError(f"{path}: the element PerFrameFunctionalGroupsSequence does not fit NumberOfFrames", _HINT)
    return [_segment_number(header, [item for item in (group, *shared) if item], count, path) for group in groups]


def _segment_number(header: Header, groups: list[Any], count: int, path: Path) -> int:
    """The segment number in the first of the functional groups that holds one; a single frame of one needs none."""
    segments = header.items("SegmentSequence")
    found = [item for group in groups for item in Header(group).items("SegmentIdentificationSequence")]
    if not found and count == len(segments) == 1:
        return require_integer(segments[0], "SegmentNumber", path)
    if not found:
        raise ImageError(f"{path}: the element SegmentIdentificationSequence is missing", _HINT)
    return require_integer(found[0], "ReferencedSegmentNumber", path)


def _find_spacing(header: Header) -> Spacing | None:
    groups = [
        *header.items("SharedFunctionalGroupsSequence"),
        *header.items("PerFrameFunctionalGroupsSequence")[:1],
    ]
    measures = [Header(item) for group in groups for item in Header(group).items("PixelMeasuresSequence")]
    return next(filter(None, map(find_spacing, (*measures, header))), None)

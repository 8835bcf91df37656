"""The files that a batch writes for each radiograph."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.files import write_text
from lungmask_cli.formats.coco import make_coco, merge_coco
from lungmask_cli.formats.png import write_grey16, write_labels, write_mask, write_picture
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.overlay import draw_overlay, draw_ratio
from lungmask_cli.imaging.radiograph import HEART, Mask, Radiograph
from lungmask_cli.inference.segmenter import Segmentation
from lungmask_cli.scoring.pairing import DICOM_SEG, OVERLAYS, PROBABILITIES

CONTOURS = "contours"
# The optional files: their folder below the output folder, and their suffix.
EXTRAS: Mapping[str, str] = {
    HEART: ".png",
    PROBABILITIES: ".png",
    OVERLAYS: ".png",
    CONTOURS: ".json",
    DICOM_SEG: ".dcm",
}


@dataclass(frozen=True)
class SourceInfo:
    """What the output files say about their radiograph.

    Args:
        name: the name of the radiograph.
        source: its DICOM file, to which a DICOM segmentation refers; None for other files.
        identity: a text that identifies the radiograph and the weights.
        truth: the reference mask of its lungs, (H, W) bool; None if there is none.
    """

    name: str
    source: Path | None
    identity: str
    truth: Mask | None


@dataclass(frozen=True)
class Outputs:
    """The files that are written, and their folder.

    Args:
        folder: the output folder; masks have the same folder structure as the input.
        labels: masks are 0, 1 for the right and 2 for the left lung, and 3 for the heart; otherwise 0 and 255.
        extras: the `EXTRAS` that are written as well, each into a folder of its name.
    """

    folder: Path
    labels: bool = False
    extras: frozenset[str] = frozenset()

    def paths(self, mask: Path) -> Iterator[Path]:
        """All files of one radiograph, the mask last; `mask` is relative to the output folder."""
        for extra in sorted(self.extras):
            yield self.extra_path(extra, mask)
        yield self.folder / mask

    def write(self, mask: Path, segmentation: Segmentation, radiograph: Radiograph, source_info: SourceInfo) -> None:
        """Write all files; the mask last, so that where there is a mask, the other files are complete."""
        for extra in sorted(self.extras):
            path = self.extra_path(extra, mask)
            if extra == HEART:
                assert segmentation.heart is not None  # it is segmented if it is to be written
                write_mask(path, segmentation.heart)
            elif extra == PROBABILITIES:
                write_grey16(path, segmentation.probability)
            elif extra == OVERLAYS:
                shown = radiograph.inverted() if segmentation.inverted else radiograph
                picture = draw_overlay(normalize(shown), segmentation.lungs, source_info.truth, segmentation.heart)
                write_picture(path, draw_ratio(picture, segmentation.cardiothoracic_ratio))
            elif extra == CONTOURS:
                masks = (segmentation.right, segmentation.left, segmentation.heart)
                write_text(path, json.dumps(make_coco(source_info.name, *masks)))
            else:
                _write_dicom_seg(path, segmentation, source_info)
        if self.labels:
            write_labels(self.folder / mask, segmentation.right, segmentation.left, segmentation.heart)
        else:
            write_mask(self.folder / mask, segmentation.lungs)

    def join_contours(self, masks: Iterable[Path]) -> None:
        """Join the contours of all these masks in one COCO file."""
        merge_coco((self.extra_path(CONTOURS, mask) for mask in masks), self.folder / f"{CONTOURS}.json")

    def extra_path(self, extra: str, mask: Path) -> Path:
        """The optional file of one radiograph; `mask` is relative to the output folder."""
        return self.folder / extra / mask.with_suffix(EXTRAS[extra])


def _write_dicom_seg(path: Path, segmentation: Segmentation, info: SourceInfo) -> None:
    from lungmask_cli.formats.dicom.segmentation_write import write_segmentation

    lungs = (segmentation.right, segmentation.left)
    write_segmentation(path, *lungs, info.source, info.identity, segmentation.spacing, segmentation.heart)

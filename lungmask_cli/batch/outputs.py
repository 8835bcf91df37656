"""What a batch leaves behind for each radiograph, and where."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.files import write_text
from lungmask_cli.formats.coco import make_coco, merge_coco
from lungmask_cli.formats.png import write_grey16, write_labels, write_mask, write_picture
from lungmask_cli.imaging.normalization import normalize
from lungmask_cli.imaging.overlay import draw_overlay
from lungmask_cli.imaging.radiograph import Mask, Radiograph
from lungmask_cli.inference.segmenter import Segmentation
from lungmask_cli.scoring.pairing import DICOM_SEG, OVERLAYS, PROBABILITIES

CONTOURS = "contours"
# What may be asked for beside the mask: the folder below the output folder, and how its files end.
EXTRAS: Mapping[str, str] = {PROBABILITIES: ".png", OVERLAYS: ".png", CONTOURS: ".json", DICOM_SEG: ".dcm"}


@dataclass(frozen=True)
class Outputs:
    """Which files are written, and into which folder.

    Args:
        folder: masks lie in it as the radiographs lie in their inputs.
        labels: masks are 0, 1 for the right and 2 for the left lung; else 0 and 255.
        extras: those of `EXTRAS` that are written as well, each into a folder of its name.
    """

    folder: Path
    labels: bool = False
    extras: frozenset[str] = frozenset()

    @property
    def refers_to_sources(self) -> bool:
        """Whether outputs name the file that they were drawn on."""
        return DICOM_SEG in self.extras

    def paths(self, mask: Path) -> Iterator[Path]:
        """All files of one radiograph; those of the mask, whose path below the folder is given, come last."""
        for extra in sorted(self.extras):
            yield self.folder / extra / mask.with_suffix(EXTRAS[extra])
        yield self.folder / mask

    def write(self, mask: Path, found: Segmentation, radiograph: Radiograph, subject: "Subject") -> None:
        """Write all of them; the mask last, so that what has one has all."""
        for extra in sorted(self.extras):
            path = self.folder / extra / mask.with_suffix(EXTRAS[extra])
            if extra == PROBABILITIES:
                write_grey16(path, found.probability)
            elif extra == OVERLAYS:
                shown = radiograph.inverted() if found.inverted else radiograph
                write_picture(path, draw_overlay(normalize(shown), found.lungs, subject.truth))
            elif extra == CONTOURS:
                write_text(path, json.dumps(make_coco(subject.name, found.right, found.left)))
            else:
                from lungmask_cli.formats.dicom.segmentation_write import write_segmentation

                write_segmentation(path, found.right, found.left, subject.source, subject.identity, found.spacing)
        if self.labels:
            write_labels(self.folder / mask, found.right, found.left)
        else:
            write_mask(self.folder / mask, found.lungs)

    def join_contours(self, masks: Iterable[Path]) -> None:
        """One COCO file of those of all these masks."""
        parts = (self.folder / CONTOURS / mask.with_suffix(EXTRAS[CONTOURS]) for mask in masks)
        merge_coco(parts, self.folder / f"{CONTOURS}.json")


@dataclass(frozen=True)
class Subject:
    """What is said of a radiograph in its outputs.

    Args:
        name: what the radiograph is called.
        source: the DICOM file that it is, which a DICOM segmentation refers to; None for all others.
        identity: a text that tells radiograph and weights from all others.
        truth: a hand-made mask of its lungs, (H, W) bool; None where there is none.
    """

    name: str
    source: Path | None
    identity: str
    truth: Mask | None

"""`lungmask segment`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungmask_cli.cli.options import HARDWARE, Device, HashNames, MaxPixels, Polarity
from lungmask_cli.cli.segment_run import Pages, Where, run_batch, show_plan
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import UsageError
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from lungmask_cli.batch.outputs import Outputs
    from lungmask_cli.scoring.pairing import MaskFiles

_FILES, _AGAIN, _HOW = "What is written", "What is there already", "How lungs are found"


def _flag(name: str, text: str, panel: str) -> object:
    return typer.Option(name, help=text, rich_help_panel=panel)


Inputs = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Radiographs, and folders of them: PNG, JPEG, TIFF, BMP, GIF, DICOM, JSRT .IMG.",
        metavar="INPUT",
        readable=False,  # an unreadable file gets its row like every other broken one
        show_default=False,
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The folder for masks and segment.csv.", metavar="OUT")]
FileList = Annotated[
    list[Path] | None,
    typer.Option(
        "--list",
        help="A text file with a path per line, or a CSV with a column `file`; may be repeated.",
        metavar="FILE",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="Weights that ship, by name; a .weights.h5 file; or a run folder. Of several, the mean counts.",
        show_default=DEFAULT_WEIGHTS,
        rich_help_panel=_HOW,
    ),
]
Labels = Annotated[bool, _flag("--labels", "Masks of 0, 1 (right lung) and 2 (left lung), not 0 and 255.", _FILES)]
Probabilities = Annotated[bool, _flag("--probabilities", "Also 16-bit PNG in OUT/probabilities.", _FILES)]
Overlay = Annotated[bool, _flag("--overlay", "Also pictures of the mask on the radiograph, in OUT/overlays.", _FILES)]
Contours = Annotated[bool, _flag("--contours", "Also COCO polygons: OUT/contours.json.", _FILES)]
DicomSeg = Annotated[
    bool, _flag("--dicom-seg", "Also DICOM segmentations in OUT/dicom_seg, with the patient's data in them.", _FILES)
]
Gallery = Annotated[
    Path | None,
    typer.Option(help="Also one HTML page with a picture of every mask.", metavar="FILE.html", rich_help_panel=_FILES),
]
Report = Annotated[
    Path | None,
    typer.Option(
        help="Also versions, weights, settings and counts as JSON.", metavar="FILE.json", rich_help_panel=_FILES
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option(help="Folder of hand-made masks: adds the Dice of each image.", metavar="DIR", rich_help_panel=_FILES),
]
SkipExisting = Annotated[bool, _flag("--skip-existing", "Go on where an earlier run into OUT was ended.", _AGAIN)]
Overwrite = Annotated[bool, _flag("--overwrite", "Do all of them again.", _AGAIN)]
DryRun = Annotated[
    bool, _flag("--dry-run", "Print which files would be written, and from what, as CSV, and stop.", _AGAIN)
]
Cleanup = Annotated[bool, typer.Option(help="Fill holes and keep the two largest parts.", rich_help_panel=_HOW)]
Tta = Annotated[
    bool, _flag("--tta", "Test-time augmentation: look more often, at slightly different parts. Slower.", _HOW)
]
Strict = Annotated[bool, _flag("--strict", "A doubtful mask is a failure, and is not written.", _HOW)]
Runtime = Annotated[
    str,
    typer.Option(help="keras, or onnx, which is faster on CPUs and needs the extra [fast].", rich_help_panel=HARDWARE),
]
EngineName = Annotated[
    str, typer.Option(help="local, or ray: a cluster; needs the extra [ray].", rich_help_panel=HARDWARE)
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster to join, or auto. Without it, one is started here.", rich_help_panel=HARDWARE
    ),
]
AtOnce = Annotated[
    int | None,
    typer.Option(help="Radiographs worked at at once. Default: one per core.", min=1, rich_help_panel=HARDWARE),
]


def segment(
    output: Output,
    inputs: Inputs = None,
    file_list: FileList = None,
    labels: Labels = False,
    probabilities: Probabilities = False,
    overlay: Overlay = False,
    contours: Contours = False,
    dicom_seg: DicomSeg = False,
    gallery: Gallery = None,
    report: Report = None,
    truth: Truth = None,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    weights: Weights = None,
    tta: Tta = False,
    cleanup: Cleanup = True,
    polarity: Polarity = True,
    strict: Strict = False,
    device: Device = "auto",
    runtime: Runtime = "keras",
    engine: EngineName = "local",
    address: Address = None,
    jobs: AtOnce = None,
    hash_names: HashNames = False,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Draw the lung mask of every radiograph: a PNG of 0 and 255 at the radiograph's own size.

    OUT/segment.csv has a row for every file, also for those that failed: sizes, areas, how far the mask can be trusted.
    The exit code is 1 if any failed. Ctrl-C finishes what was begun; --skip-existing goes on.
    """
    images = _find_radiographs(inputs or [], file_list or [], output)
    extras = {"probabilities": probabilities, "overlays": overlay, "contours": contours, "dicom_seg": dicom_seg}

    from lungmask_cli.batch.jobs import plan
    from lungmask_cli.batch.options import SegmentOptions
    from lungmask_cli.batch.table import existing_mode

    settings = SegmentOptions(
        outputs=_outputs(output, labels, extras, hash_names),
        weights=tuple(weights or [DEFAULT_WEIGHTS]),
        device=device,
        runtime=runtime,
        augment=tta,
        cleanup=cleanup,
        correct_polarity=polarity,
        max_pixels=max_pixels,
        truth=_hand_made(truth),
        hash_names=hash_names,
        strict=strict,
    )
    planned, existing = plan(images, output), existing_mode(skip_existing, overwrite)
    if dry_run:
        show_plan(settings, planned, existing)
        return
    run_batch(settings, planned, existing, Where(engine, address, jobs), Pages(gallery, report))


def _outputs(folder: Path, labels: bool, extras: Mapping[str, bool], hash_names: bool) -> "Outputs":
    from lungmask_cli.batch.outputs import Outputs
    from lungmask_cli.scoring.pairing import DICOM_SEG

    if extras[DICOM_SEG] and hash_names:
        raise UsageError(
            "--dicom-seg writes who the patient is, which --hash-names is to hide", "Leave one of them out."
        )
    return Outputs(folder, labels, frozenset(name for name, wanted in extras.items() if wanted))


def _hand_made(folder: Path | None) -> "MaskFiles | None":
    from lungmask_cli.scoring.pairing import find_masks

    return find_masks(folder) if folder else None


def _find_radiographs(inputs: list[Path], lists: list[Path], output: Path) -> list[tuple[Path, Path]]:
    from lungmask_cli.batch.jobs import read_list
    from lungmask_cli.formats.find import find_images

    if not inputs and not lists:
        raise UsageError("no radiographs were given", "Name files or folders, or give a --list.")
    if any(given.is_dir() and os.path.realpath(given) == os.path.realpath(output) for given in inputs):
        raise UsageError(
            f"{output}: is the folder of the radiographs; its masks would be taken for radiographs the next time",
            "Choose another -o folder, such as one below it.",
        )
    listed = [entry for file in lists for entry in read_list(file)]
    images = list(dict([*find_images(inputs, exclude=output), *listed]).items())
    if not images:
        raise UsageError(
            f"no radiographs in {', '.join(map(str, inputs))}",
            "Looked for PNG, JPEG, TIFF, BMP, GIF, DICOM and JSRT .IMG.",
        )
    return images

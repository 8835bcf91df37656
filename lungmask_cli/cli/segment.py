"""`lungmask segment`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungmask_cli.batch.options import EngineName, RunOptions, SegmentOptions, existing_mode
from lungmask_cli.cli.options import HARDWARE, OUTPUT, Device, HashNames, MaxPixels, Polarity, option
from lungmask_cli.cli.segment_run import run_batch, show_plan
from lungmask_cli.cli.terminal import say
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import UsageError
from lungmask_cli.inference.options import InferenceOptions
from lungmask_cli.inference.options import Runtime as RuntimeName
from lungmask_cli.models.manifest import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from lungmask_cli.batch.jobs import Job

_INFERENCE_OPTIONS = ("device", "runtime", "tta", "cleanup", "heart", "polarity", "max_pixels")
_EXISTING, _METHOD = "Existing files", "Method"

Inputs = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Radiographs, and folders of them: DICOM, PNG, JPEG, TIFF and other pictures, JSRT .IMG.",
        metavar="INPUT",
        readable=False,  # an unreadable file gets its row like any other broken file
        show_default=False,
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The folder for masks and segment.csv.", metavar="OUT")]
FileList = Annotated[
    list[Path] | None,
    typer.Option(
        "--list",
        help="A text file with one path per line, or a CSV with a column `file`; may be repeated.",
        metavar="FILE",
    ),
]
Weights = Annotated[
    list[str] | None,
    option(
        _METHOD,
        "The name of shipped weights, a .weights.h5 file, or a run folder. Repeat to average several networks.",
        show_default=DEFAULT_WEIGHTS,
    ),
]
Labels = Annotated[
    bool, option(OUTPUT, "Masks of 0, 1 (right lung), 2 (left lung) and 3 (heart), not 0 and 255.", "--labels")
]
Heart = Annotated[
    bool,
    option(OUTPUT, "Also the heart in OUT/heart, its width and the cardiothoracic ratio.", "--heart"),
]
Probabilities = Annotated[bool, option(OUTPUT, "Also 16-bit PNG in OUT/probabilities.", "--probabilities")]
Overlay = Annotated[bool, option(OUTPUT, "Also pictures of the mask on the radiograph, in OUT/overlays.", "--overlay")]
Contours = Annotated[bool, option(OUTPUT, "Also COCO polygons: OUT/contours.json.", "--contours")]
DicomSeg = Annotated[
    bool, option(OUTPUT, "Also DICOM segmentations in OUT/dicom_seg, which contain the patient's data.", "--dicom-seg")
]
Gallery = Annotated[
    Path | None, option(OUTPUT, "Also one HTML page with a picture of every mask.", metavar="FILE.html")
]
Report = Annotated[
    Path | None, option(OUTPUT, "Also versions, weights, settings and counts as JSON.", metavar="FILE.json")
]
Truth = Annotated[Path | None, option(OUTPUT, "Folder of reference masks: adds the Dice of each image.", metavar="DIR")]
SkipExisting = Annotated[bool, option(_EXISTING, "Resume an earlier run into OUT.", "--skip-existing")]
Overwrite = Annotated[bool, option(_EXISTING, "Compute all masks again.", "--overwrite")]
DryRun = Annotated[bool, option(_EXISTING, "Print as CSV which mask each file would become, and stop.", "--dry-run")]
Cleanup = Annotated[bool, option(_METHOD, "Fill holes and keep the two largest components.")]
Tta = Annotated[
    bool, option(_METHOD, "Test-time augmentation: average predictions from slightly different crops. Slower.", "--tta")
]
Strict = Annotated[bool, option(_METHOD, "A doubtful mask is a failure, and is not written.", "--strict")]
Runtime = Annotated[RuntimeName, option(HARDWARE, "keras on GPUs and for large networks, else onnx; auto chooses.")]
Engine = Annotated[
    EngineName, option(HARDWARE, "local: this machine; or ray: a cluster, which needs the extra \\[ray].")
]
Address = Annotated[
    str | None, option(HARDWARE, "The address of the Ray cluster to join, or auto. By default, one is started here.")
]
Parallel = Annotated[int | None, option(HARDWARE, "Radiographs processed in parallel. Default: one per core.", min=1)]


def segment(
    context: typer.Context,
    output: Output,
    inputs: Inputs = None,
    file_list: FileList = None,
    labels: Labels = False,
    heart: Heart = False,
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
    runtime: Runtime = "auto",
    engine: Engine = "local",
    address: Address = None,
    jobs: Parallel = None,
    hash_names: HashNames = False,
    max_pixels: MaxPixels = MAX_PIXELS,
) -> None:
    """Write the lung mask of every radiograph: a PNG of 0 and 255 at the radiograph's own size.

    OUT/segment.csv has a row for every file, failed ones included: sizes, areas, and how far the mask can be trusted.
    The exit code is 1 if any failed. Ctrl-C finishes the radiographs in progress; --skip-existing resumes.
    """
    if dicom_seg and hash_names:
        raise UsageError(
            "--dicom-seg writes the patient's identity, which --hash-names is to hide", "Leave one of them out."
        )
    run = RunOptions(existing_mode(skip_existing, overwrite), engine, address, jobs, gallery, report)
    settings = {name: context.params[name] for name in _INFERENCE_OPTIONS}
    inference = InferenceOptions(weights or DEFAULT_WEIGHTS, **settings)
    inference.weight_files()  # wrong weights are reported before files are listed
    planned = _plan(inputs or [], file_list or [], output)

    from lungmask_cli.batch.outputs import Outputs
    from lungmask_cli.scoring.pairing import find_masks

    extras = _names_of(
        heart=heart, probabilities=probabilities, overlays=overlay, contours=contours, dicom_seg=dicom_seg
    )
    outputs = Outputs(output, labels, extras)
    truth_files = find_masks(truth).match(job.mask for job in planned) if truth else None
    options = SegmentOptions(inference, outputs, truth_files, hash_names, strict)
    if dry_run:
        show_plan(options, planned, run.existing)
    else:
        run_batch(options, run, planned)


def _names_of(**wanted: bool) -> frozenset[str]:
    """The names of the outputs that are wanted."""
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


def _plan(inputs: list[Path], lists: list[Path], output: Path) -> list["Job"]:
    from lungmask_cli.batch.jobs import plan_jobs, read_list
    from lungmask_cli.formats.find import describe_skipped, find_files

    if not inputs and not lists:
        raise UsageError("no radiographs were given", "Name files or folders, or give a --list.")
    if any(path.is_dir() and os.path.realpath(path) == os.path.realpath(output) for path in inputs):
        raise UsageError(
            f"{output}: is the folder of the radiographs; its masks would be taken for radiographs the next time",
            "Choose another -o folder, such as one below it.",
        )
    listed = [entry for file in lists for entry in read_list(file)]
    found = find_files(inputs, exclude=output)
    images = list(dict([*found.images, *listed]).items())
    if not images:
        raise UsageError(
            f"no radiographs in {', '.join(map(str, inputs))}",
            describe_skipped(found.skipped) + "." if found.skipped else "The folders are empty.",
        )
    if found.skipped:
        say(describe_skipped(found.skipped))
    return plan_jobs(images, output)

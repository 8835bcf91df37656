"""`lungmask score`."""

from pathlib import Path
from typing import Annotated

import typer

from lungmask_cli.cli.options import Jobs, MaxPixels
from lungmask_cli.cli.score_run import Asked, Files, Folders, compare_folders
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.processes import available_cores

_FILES, _MASKS, _MEASURED, _IMAGES = "What is written", "What masks mean", "What is measured", "What is known of images"


def _explain(wanted: bool) -> None:
    if wanted:
        from lungmask_cli.scoring.definitions import explanation

        typer.echo(explanation())
        raise typer.Exit


Predictions = Annotated[Path, typer.Argument(help="Folder of drawn masks.", metavar="PREDS")]
Truth = Annotated[Path, typer.Argument(help="Folder of hand-made masks.", metavar="TRUTH")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="The CSV file; without it the CSV goes to standard output.",
        metavar="FILE.csv",
        rich_help_panel=_FILES,
    ),
]
Summary = Annotated[
    list[Path] | None,
    typer.Option(
        help="Also write the summary: FILE.json, FILE.md or FILE.tex. May be repeated.",
        metavar="FILE",
        rich_help_panel=_FILES,
    ),
]
Gallery = Annotated[
    Path | None,
    typer.Option(
        help="Also write one HTML page with a picture of every pair.", metavar="FILE.html", rich_help_panel=_FILES
    ),
]
Plots = Annotated[
    Path | None,
    typer.Option(
        help="Also draw the Dice distribution, Bland-Altman of areas, Dice against area.",
        metavar="DIR",
        rich_help_panel=_FILES,
    ),
]
Compare = Annotated[
    Path | None,
    typer.Option(
        help="Another method's masks of the same images: paired differences.", metavar="DIR", rich_help_panel=_MEASURED
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="The radiographs, for the gallery and for DICOM's pixel spacing.", metavar="DIR", rich_help_panel=_IMAGES
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        help="CSV with a row for each radiograph: patient, spacing, groups. Default: that of a prepared set.",
        metavar="FILE.csv",
        rich_help_panel=_IMAGES,
    ),
]
By = Annotated[
    str | None,
    typer.Option(help="Also summarize by this column of the manifest.", metavar="COLUMN", rich_help_panel=_IMAGES),
]
Patient = Annotated[
    str | None,
    typer.Option(
        help="The manifest's column that names the patient. Default: patient or patient_id.",
        metavar="COLUMN",
        rich_help_panel=_IMAGES,
    ),
]
Metrics = Annotated[
    str | None, typer.Option(help="Only these, such as dice,hd95. Default: all.", rich_help_panel=_MEASURED)
]
Tolerance = Annotated[
    float,
    typer.Option(
        help="Of the normalised surface distance, in mm, or in pixels without spacing.",
        min=0,
        rich_help_panel=_MEASURED,
    ),
]
Spacing = Annotated[
    str | None,
    typer.Option(help="Pixel spacing of all masks in mm: one number, or ROW,COLUMN.", rich_help_panel=_IMAGES),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="Masks are probabilities; lung is what is at least this, in (0, 1].", rich_help_panel=_MASKS),
]
Labels = Annotated[
    str | None,
    typer.Option(
        help="Masks are labels: those of the right and the left lung. 1,2 is known without it.",
        metavar="RIGHT,LEFT",
        rich_help_panel=_MASKS,
    ),
]
Missing = Annotated[
    str,
    typer.Option(
        help="error, or zero: a mask without partner is compared with an empty one.", rich_help_panel=_MEASURED
    ),
]
Seed = Annotated[int, typer.Option(help="Of the bootstrap.", min=0, rich_help_panel=_MEASURED)]
Explain = Annotated[
    bool, typer.Option("--explain", callback=_explain, is_eager=True, help="Say what every number means, and stop.")
]


def score(
    predictions: Predictions,
    truth: Truth,
    output: Output = None,
    summary: Summary = None,
    gallery: Gallery = None,
    plots: Plots = None,
    compare: Compare = None,
    metrics: Metrics = None,
    tolerance: Tolerance = 2.0,
    missing: Missing = "error",
    seed: Seed = 0,
    threshold: Threshold = None,
    labels: Labels = None,
    images: Images = None,
    manifest: Manifest = None,
    by: By = None,
    patient: Patient = None,
    spacing: Spacing = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    jobs: Jobs = None,
    explain: Explain = False,
) -> None:
    """Compare two folders of masks: overlap, distances and areas of each pair, with intervals and the worst cases.

    PREDS and TRUTH hold PNG, TIFF, GIF and other pictures, DICOM SEG or NIfTI, paired by stem; endings such as _mask do
    not count. A lung may have a folder of its own: left_lung/ and right_lung/. Lung is what is at least half of a
    file's largest number; 0, 1 and 2 are labels.

    A missing partner, another size or a broken file is a failure: counted, listed, and the exit code is 1. All others
    are scored.
    """
    folders = Folders(predictions, truth, compare, images, manifest)
    asked = Asked(metrics, tolerance, spacing, threshold, labels, missing, by, patient, seed)
    files = Files(output, summary or [], gallery, plots)
    compare_folders(folders, asked, files, jobs or available_cores(), max_pixels)

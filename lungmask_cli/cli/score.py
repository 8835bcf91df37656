"""`lungmask score`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lungmask_cli.cli.options import MASKS, OUTPUT, Jobs, Labels, MaxPixels, Threshold, option
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import UsageError

if TYPE_CHECKING:
    from lungmask_cli.imaging.radiograph import Spacing as PixelSpacing

_METRICS, _IMAGES = "Metrics", "Images"


def _explain(wanted: bool) -> None:
    if wanted:
        from lungmask_cli.scoring.metric_definitions import explanation

        typer.echo(explanation())
        raise typer.Exit


Predictions = Annotated[Path, typer.Argument(help="Folder of predicted masks.", metavar="PREDS")]
Truth = Annotated[Path, typer.Argument(help="Folder of reference masks.", metavar="TRUTH")]
Output = Annotated[
    Path | None,
    option(
        OUTPUT,
        "CSV file of all scores. Without it, the CSV is printed on standard output.",
        "--output",
        "-o",
        metavar="FILE.csv",
    ),
]
Summary = Annotated[
    list[Path] | None,
    option(OUTPUT, "Also write the summary: FILE.json, FILE.md or FILE.tex. May be repeated.", metavar="FILE"),
]
Gallery = Annotated[
    Path | None, option(OUTPUT, "Also write an HTML page with a picture of every pair.", metavar="FILE.html")
]
Plots = Annotated[
    Path | None,
    option(
        OUTPUT,
        "Also plot the distribution of Dice, Dice against area, and areas and cardiothoracic ratios (Bland-Altman).",
        metavar="DIR",
    ),
]
Missing = Annotated[
    Literal["error", "zero"],
    option(MASKS, "A mask without a partner is a failure (error), or is compared with an empty mask (zero)."),
]
Compare = Annotated[
    Path | None,
    option(_METRICS, "Folder of a second method's masks of the same images, for a paired comparison.", metavar="DIR"),
]
Metrics = Annotated[
    str | None, option(_METRICS, "Compute only these metrics, such as dice,hd95. Default: all but raggedness.")
]
Tolerance = Annotated[
    float,
    option(
        _METRICS, "Tolerance of the normalised surface distance in mm, or in pixels if the spacing is unknown.", min=0
    ),
]
Seed = Annotated[int, option(_METRICS, "Random seed of the bootstrap.", min=0)]
Images = Annotated[
    Path | None,
    option(
        _IMAGES, "Folder of the radiographs, for the gallery and for the pixel spacing of DICOM files.", metavar="DIR"
    ),
]
Manifest = Annotated[
    Path | None,
    option(
        _IMAGES, "CSV file of patients, spacings and groups. Default: that of a prepared data set.", metavar="FILE.csv"
    ),
]
By = Annotated[str | None, option(_IMAGES, "Also summarize by this column of the manifest.", metavar="COLUMN")]
Patient = Annotated[
    str | None,
    option(_IMAGES, "Column of the manifest that names the patient. Default: patient or patient_id.", metavar="COLUMN"),
]
Spacing = Annotated[str | None, option(_IMAGES, "Pixel spacing of all masks in mm: one number, or ROW,COLUMN.")]
Explain = Annotated[
    bool, typer.Option("--explain", callback=_explain, is_eager=True, help="Explain all metrics and exit.")
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
    """Compare two folders of masks: overlap, surface distances and areas, with confidence intervals and worst cases.

    PREDS and TRUTH contain PNG, TIFF, GIF and other pictures, DICOM SEG or NIfTI. Masks are paired by stem; endings
    such as _mask are ignored. Each lung may have its own folder: left_lung/ and right_lung/. Lung is every value of at
    least half of the largest value in the file; 0, 1 and 2 are labels. Hearts in heart/ are scored as well, and the
    cardiothoracic ratio.

    A missing partner, a different size or a broken file is a failure: it is counted and listed, all other pairs are
    scored, and the exit code is 1.
    """
    from lungmask_cli.cli.score_run import run_score
    from lungmask_cli.formats.mask_values import make_mask_options
    from lungmask_cli.processes import available_cores
    from lungmask_cli.scoring.options import ScoreOptions

    options = ScoreOptions(
        predicted=predictions,
        truth=truth,
        other=compare,
        images=images,
        manifest=manifest,
        by=by,
        patient=patient,
        spacing=_parse_spacing(spacing),
        masks=make_mask_options(labels, threshold, max_pixels),
        metrics=_parse_metrics(metrics, for_plots=plots is not None),
        tolerance=tolerance,
        missing=missing,
        seed=seed,
        table=output,
        summaries=tuple(summary or ()),
        gallery=gallery,
        plots=plots,
        jobs=jobs or available_cores(),
    )
    run_score(options)


def _parse_metrics(names: str | None, for_plots: bool) -> tuple[str, ...]:
    """The requested metrics, and those that plots need."""
    from lungmask_cli.scoring.metric_definitions import METRICS, PLOTTED, parse_metrics

    requested = {*parse_metrics(names), *(PLOTTED if for_plots else ())}
    return tuple(name for name in METRICS if name in requested)


def _parse_spacing(text: str | None) -> "PixelSpacing | None":
    if text is None:
        return None
    from lungmask_cli.imaging.radiograph import make_spacing

    try:
        numbers = [float(part) for part in text.split(",")]
        row_mm, column_mm = numbers * 2 if len(numbers) == 1 else numbers
    except ValueError:
        raise UsageError(f"--spacing {text}: is neither one number nor two", "Give mm, such as 0.35.") from None
    spacing = make_spacing(row_mm, column_mm, "--spacing")
    if spacing is None:
        raise UsageError(f"--spacing {text}: is not above 0", "Give mm, such as 0.35.")
    return spacing

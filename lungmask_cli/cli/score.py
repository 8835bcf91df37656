"""`lungmask score`."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import lungmask_cli
from lungmask_cli.cli.options import Jobs, MaxPixels
from lungmask_cli.cli.terminal import complain, progress, say, show, warn, write_table
from lungmask_cli.config import MAX_PIXELS
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.text import printable

if TYPE_CHECKING:
    from lungmask_cli.gallery.page import GalleryWriter
    from lungmask_cli.scoring.assemble import Grouping
    from lungmask_cli.scoring.evaluate import Case, Outcome
    from lungmask_cli.scoring.manifest import Manifest
    from lungmask_cli.scoring.report import Report

_SHOWN_FAILURES = 10


def _explain(wanted: bool) -> None:
    if wanted:
        from lungmask_cli.scoring.definitions import explanation

        typer.echo(explanation())
        raise typer.Exit


def score(
    predictions: Annotated[Path, typer.Argument(help="Folder of drawn masks.", metavar="PREDS")],
    truth: Annotated[Path, typer.Argument(help="Folder of hand-made masks.", metavar="TRUTH")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The CSV file; without it the CSV goes to standard output.")
    ] = None,
    summary: Annotated[
        list[Path] | None,
        typer.Option(help="Also write the summary: FILE.json, FILE.md or FILE.tex. May be repeated.", metavar="FILE"),
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="Also write one HTML page with a picture of every pair.", metavar="FILE.html")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(help="Also draw the Dice distribution, Bland-Altman of areas, Dice against area.", metavar="DIR"),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Another method's masks of the same images: paired differences.", metavar="DIR")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="The radiographs, for the gallery and for DICOM's pixel spacing.", metavar="DIR"),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="CSV with a row for each radiograph: patient, spacing, groups. Default: that of a prepared set.",
            metavar="FILE.csv",
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Also summarize by this column of the manifest.", metavar="COLUMN")
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option(
            help="The manifest's column that names the patient. Default: patient or patient_id.", metavar="COLUMN"
        ),
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="Only these, such as dice,hd95. Default: all.")] = None,
    tolerance: Annotated[
        float, typer.Option(help="Of the normalised surface distance, in mm, or in pixels without spacing.", min=0)
    ] = 2.0,
    spacing: Annotated[
        str | None, typer.Option(help="Pixel spacing of all masks in mm: one number, or ROW,COLUMN.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Masks are probabilities; lung is what is at least this, in (0, 1].")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Masks are labels: those of the right and the left lung. 1,2 is known without it.",
            metavar="RIGHT,LEFT",
        ),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="error, or zero: a mask without partner is compared with an empty one.")
    ] = "error",
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
    jobs: Jobs = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    explain: Annotated[
        bool, typer.Option("--explain", callback=_explain, is_eager=True, help="Say what every number means, and stop.")
    ] = False,
) -> None:
    """Compare two folders of masks: overlap, distances and areas of each pair, with intervals and the worst cases.

    PREDS and TRUTH hold PNG, TIFF, GIF and other pictures, DICOM SEG or NIfTI, paired by stem; endings such as _mask do
    not count. A lung may have a folder of its own: left_lung/ and right_lung/. Lung is what is at least half of a
    file's largest number; 0, 1 and 2 are labels.

    A missing partner, another size or a broken file is a failure: counted, listed, and the exit code is 1. All others
    are scored.
    """
    from lungmask_cli.imaging.masks import MaskOptions
    from lungmask_cli.imaging.radiograph import ReadOptions
    from lungmask_cli.processes import available_cores
    from lungmask_cli.scoring.assemble import group, make_cases, make_report
    from lungmask_cli.scoring.compare import Measure
    from lungmask_cli.scoring.evaluate import DRAWN, OTHER, TRUTH, Evaluation, evaluate_all
    from lungmask_cli.scoring.pairing import find_masks, pair_masks
    from lungmask_cli.scoring.report import summary_format, to_csv

    for path in summary or []:
        summary_format(path)
    options = MaskOptions(_threshold(threshold), _labels(labels), ReadOptions(max_pixels))
    measure = Measure(_metrics(metrics, plots), tolerance, _missing_is_empty(missing))
    folders = {DRAWN: predictions, TRUTH: truth} | ({OTHER: compare} if compare else {})
    pairs = pair_masks(*map(find_masks, folders.values()))
    known = _find_manifest(manifest, truth, by or patient)
    grouping = group([pair.key for pair in pairs], known, by, patient)
    cases = make_cases(pairs, images, known, _spacing(spacing))
    _warn_of_radiographs(cases, images)
    how = Evaluation(measure, dict.fromkeys(folders, options), folders, _picture_side(gallery, len(cases)))
    settings = {
        "version": lungmask_cli.__version__,
        **{name: printable(str(folder)) for name, folder in folders.items()},
        "manifest": printable(str(known.path)) if known else None,
        "by": by,
        "patient": grouping.patient_column,
        "metrics": measure.metrics,
        "tolerance": tolerance,
        "spacing": spacing,
        "threshold": threshold,
        "labels": labels,
        "missing": missing,
        "seed": seed,
    }
    with _pictures(gallery, f"{predictions} compared with {truth}") as pictures:
        outcomes = evaluate_all(cases, how, jobs or available_cores(), progress("scoring"), pictures.take)
        report = make_report(outcomes, grouping, seed, settings)
        if output:
            write_table(output, to_csv(report))
        else:
            typer.echo(to_csv(report), nl=False)
        _show(report)
        _write_files(report, summary or [], plots)
        pictures.finish(report, outcomes, grouping)
    if _complain_of_failures(report):
        raise typer.Exit(1)


def _metrics(names: str | None, plots: Path | None) -> tuple[str, ...]:
    from lungmask_cli.scoring.definitions import chosen_metrics

    chosen = chosen_metrics(names)
    if plots is None:
        return chosen
    from lungmask_cli.scoring.plots import PLOTTED

    return chosen_metrics(",".join((*chosen, *PLOTTED)))


def _threshold(value: float | None) -> float | None:
    if value is not None and not 0 < value <= 1:
        raise UsageError(f"--threshold {value:g}: is not above 0 and at most 1", "Give a probability, such as 0.5.")
    return value


def _labels(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        right, left = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--labels {text}: are not two whole numbers", "Give RIGHT,LEFT, such as 1,2.") from None
    if right == left:
        raise UsageError(f"--labels {text}: are the same", "Give each lung a label, or leave --labels out.")
    return right, left


def _spacing(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
        rows, columns = numbers * 2 if len(numbers) == 1 else numbers
    except ValueError:
        raise UsageError(f"--spacing {text}: is neither one number nor two", "Give mm, such as 0.35.") from None
    if not (0 < rows < math.inf and 0 < columns < math.inf):
        raise UsageError(f"--spacing {text}: is not above 0", "Give mm, such as 0.35.")
    return rows, columns


def _missing_is_empty(text: str) -> bool:
    if text not in ("error", "zero"):
        raise UsageError(f"--missing {text}: is neither error nor zero", "Give one of them.")
    return text == "zero"


def _find_manifest(asked: Path | None, truth: Path, needed: str | None) -> "Manifest | None":
    """The manifest that was asked for, else that of the prepared set that the masks lie in."""
    from lungmask_cli.datasets.prepared import MANIFEST, is_prepared
    from lungmask_cli.scoring.manifest import read_manifest

    if asked is None:
        beside = next((folder for folder in (truth, truth.resolve().parent) if is_prepared(folder)), None)
        if beside is None and needed:
            raise UsageError(f"there is no manifest with a column {needed}", "Give one with --manifest FILE.csv.")
        if beside is None:
            return None
        asked = beside / MANIFEST
        say(f"manifest: {asked}")
    return read_manifest(asked)


def _warn_of_radiographs(cases: Sequence["Case"], images: Path | None) -> None:
    lost = [case.pair.key for case in cases if case.image is None]
    if images and lost:
        warn(f"{len(lost)} of {len(cases)} masks have no radiograph in {images}, for example {lost[0]}")


def _picture_side(gallery: Path | None, count: int) -> int | None:
    if gallery is None:
        return None
    from lungmask_cli.scoring.cards import picture_side

    return picture_side(count)


class _Pictures:
    """The pictures on their way from the processes to the page, if one was asked for."""

    def __init__(self, page: "GalleryWriter | None") -> None:
        self._page = page
        self._numbers: dict[str, int] = {}
        self._broken: OSError | None = None

    def take(self, outcome: "Outcome") -> None:
        """Write the picture; a full disk must not take the scores along."""
        if self._page is None or outcome.picture is None or self._broken:
            return
        try:
            self._numbers[outcome.case.pair.key] = self._page.add_picture(outcome.picture)
        except OSError as error:
            self._broken = error

    def finish(self, report: "Report", outcomes: Sequence["Outcome"], grouping: "Grouping") -> None:
        """Write what the pictures are about."""
        from lungmask_cli.scoring.cards import LEGEND, gallery_cards, gallery_columns, summary_line

        if self._broken:
            raise self._broken
        if self._page is None:
            return
        notes = {outcome.case.pair.key: outcome.note for outcome in outcomes}
        cards = gallery_cards(report, notes, self._numbers, grouping.group_column)
        self._page.finish(gallery_columns(report), cards, LEGEND, summary_line(report))


@contextmanager
def _pictures(path: Path | None, title: str) -> Iterator[_Pictures]:
    if path is None:
        yield _Pictures(None)
        return
    from lungmask_cli.gallery.page import open_gallery

    with open_gallery(path, title) as page:
        yield _Pictures(page)


def _write_files(report: "Report", summaries: Sequence[Path], plots: Path | None) -> None:
    from lungmask_cli.imaging.write import write_text
    from lungmask_cli.scoring.report import summary_format

    for path in summaries:
        write_text(path, summary_format(path)(report))
    if plots:
        from lungmask_cli.scoring.plots import draw_plots

        try:
            draw_plots(report.scores, plots)
        except UsageError as error:  # the scores stand without
            warn(error.message)


def _show(report: "Report") -> None:
    from lungmask_cli.scoring.assemble import sides_seem_exchanged
    from lungmask_cli.scoring.report import tables

    for table in tables(report):
        show(table.title, table.header, table.rows, spare=("quartiles", "other", "better on"))
    if sides_seem_exchanged(report.summary):
        warn("right and left seem to be exchanged in one of the folders; if these are labels, see --labels RIGHT,LEFT")


def _complain_of_failures(report: "Report") -> bool:
    """Say why pairs failed; whether any did."""
    failed = [score for score in (*report.scores, *report.others) if score.reason]
    reasons = dict.fromkeys((score.reason, score.hint) for score in failed)
    hints = {""}
    for reason, hint in list(reasons)[:_SHOWN_FAILURES]:
        complain(ImageError(reason, "" if hint in hints else hint))  # each piece of advice once
        hints.add(hint)
    if len(reasons) > _SHOWN_FAILURES:
        complain(ImageError(f"and {len(reasons) - _SHOWN_FAILURES} more, each with its row in the CSV"))
    return bool(failed)

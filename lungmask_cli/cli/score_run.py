"""Runs `lungmask score`: scores all pairs, prints the summary, and writes the files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

import lungmask_cli
from lungmask_cli.cli.terminal import print_error, progress, say, show_table, warn, warn_grouped
from lungmask_cli.datasets.prepared import MANIFEST, is_prepared
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.files import write_text
from lungmask_cli.formats.find import describe_skipped
from lungmask_cli.formats.mask_values import describe_labels
from lungmask_cli.gallery.page import GalleryWriter, open_gallery
from lungmask_cli.gallery.picture import Picture
from lungmask_cli.scoring.evaluate import Case, Outcome, evaluate_all, make_cases
from lungmask_cli.scoring.gallery_cards import LEGEND, make_cards, make_columns, summary_line
from lungmask_cli.scoring.metadata import Grouping, Metadata, group, read_metadata
from lungmask_cli.scoring.options import ScoreOptions
from lungmask_cli.scoring.pairing import PREDICTED, TRUTH, find_masks, pair_masks
from lungmask_cli.scoring.result_tables import make_tables, summary_writer, to_csv
from lungmask_cli.scoring.results import Results, make_results, sides_seem_swapped
from lungmask_cli.text import printable

_SHOWN_FAILURES = 10


def run_score(options: ScoreOptions) -> None:
    """Score all pairs, print the summary, and write the files.

    Raises:
        UsageError: a folder, file or column does not exist, or options contradict each other.
        typer.Exit: 1 if a pair failed.
    """
    writers = {path: summary_writer(path) for path in options.summaries}
    masks = {role: find_masks(folder) for role, folder in options.folders.items()}
    if skipped := [path for files in masks.values() for path in files.skipped]:
        say(describe_skipped(skipped))
    paired = pair_masks(masks)
    for note in paired.notes:
        say(note)
    pairs = paired.pairs
    metadata = _find_metadata(options)
    grouping = group([pair.key for pair in pairs], metadata, options.by, options.patient)
    cases = make_cases(pairs, options.images, metadata)
    _warn_of_missing_radiographs(cases, options.images)
    with _open_pictures(options) as pictures:
        outcomes = evaluate_all(cases, options, progress("scoring"), pictures.add if pictures else None)
        results = make_results(outcomes, grouping, options.seed, _settings(options, metadata, grouping))
        if options.table:
            _write_table(options.table, to_csv(results))
        else:
            typer.echo(to_csv(results), nl=False)
        _show(results)
        _warn(outcomes)
        for path, to_text in writers.items():
            write_text(path, to_text(results))
        if options.plots:
            _plot(results, options.plots)
        if pictures:
            pictures.finish(results, outcomes)
    if not options.gallery:
        say("Next: inspect the worst cases with --gallery FILE.html")
    if _report_failures(results):
        raise typer.Exit(1)


def _settings(options: ScoreOptions, metadata: Metadata | None, grouping: Grouping) -> dict[str, Any]:
    """The settings of the comparison, as the JSON summary records them."""
    spacing = [str(mm).removesuffix(".0") for mm in options.spacing.mm] if options.spacing else []
    return {
        "version": lungmask_cli.__version__,
        **{"drawn" if role == PREDICTED else role: printable(str(folder)) for role, folder in options.folders.items()},
        "manifest": printable(str(metadata.path)) if metadata else None,
        "by": options.by,
        "patient": grouping.patient_column,
        "metrics": options.metrics,
        "tolerance": options.tolerance,
        "spacing": ",".join(dict.fromkeys(spacing)) or None,
        "threshold": options.masks.threshold,
        "labels": describe_labels(options.masks),
        "missing": options.missing,
        "seed": options.seed,
    }


def _find_metadata(options: ScoreOptions) -> Metadata | None:
    """The manifest given by the user, otherwise that of the prepared data set that contains the reference masks."""
    if options.manifest:
        return read_metadata(options.manifest)
    folder = next((folder for folder in (options.truth, options.truth.resolve().parent) if is_prepared(folder)), None)
    if folder is None:
        if column := options.by or options.patient:
            raise UsageError(f"there is no manifest with a column {column}", "Give one with --manifest FILE.csv.")
        return None
    say(f"manifest: {folder / MANIFEST}")
    return read_metadata(folder / MANIFEST)


def _warn_of_missing_radiographs(cases: Sequence[Case], images: Path | None) -> None:
    missing = [case.pair.key for case in cases if case.image is None]
    if images and missing:
        warn(f"{len(missing)} of {len(cases)} masks have no radiograph in {images}, for example {missing[0]}")


def _write_table(path: Path, table: str) -> None:
    """Write the table to a file; if that fails, as on a full disk, print it on standard output and raise the error."""
    try:
        write_text(path, table)
    except OSError as error:
        print(table, end="")
        raise UsageError(
            f"{path}: cannot be written: {error.strerror or error}; the table is on standard output",
            "Check the free space and the permissions.",
        ) from error


class _Pictures:
    """Passes pictures to the page."""

    def __init__(self, page: GalleryWriter) -> None:
        self._page = page
        self._numbers: dict[str, int] = {}
        self._error: OSError | None = None

    def add(self, key: str, picture: Picture) -> None:
        """Write a picture. An error, such as a full disk, is raised only by `finish`, so that no score is lost."""
        if self._error:
            return
        try:
            self._numbers[key] = self._page.add_picture(picture)
        except OSError as error:
            self._error = error

    def finish(self, results: Results, outcomes: Sequence[Outcome]) -> None:
        """Write the cards, or raise the error of the picture that could not be written."""
        if self._error:
            raise self._error
        notes = {outcome.score.key: outcome.note for outcome in outcomes}
        cards = make_cards(results, notes, self._numbers)
        self._page.finish(make_columns(results), cards, LEGEND, summary_line(results))


@contextmanager
def _open_pictures(options: ScoreOptions) -> Iterator[_Pictures | None]:
    if options.gallery is None:
        yield None
        return
    with open_gallery(options.gallery, f"{options.predicted} compared with {options.truth}") as page:
        yield _Pictures(page)


def _plot(results: Results, folder: Path) -> None:
    from lungmask_cli.scoring.plots import draw_plots  # late, because Matplotlib takes long to load

    try:
        draw_plots(results.scores, folder)
    except UsageError as error:  # the scores are valid without plots
        warn(error.message)


def _show(results: Results) -> None:
    for table in make_tables(results):
        show_table(table.title, table.header, table.rows, spare=("quartiles", "other", "better on", "SD", "median"))
    if sides_seem_swapped(results.summary):
        warn(
            "right and left seem to be swapped in one of the folders; if the masks are labels, see --labels RIGHT,LEFT"
        )


def _warn(outcomes: Sequence[Outcome]) -> None:
    """Print why masks may be meant in another sense, one line for each reason."""
    warn_grouped(warning for outcome in outcomes for warning in outcome.warnings)
    for role, names in ((TRUTH, ("reference", "predicted")), (PREDICTED, ("predicted", "reference"))):
        count = sum(outcome.one_lung == role for outcome in outcomes)
        if 2 * count > len(outcomes):
            warn(
                f"{count} of {len(outcomes)} {names[0]} masks hold one lung, the {names[1]} masks both; "
                "is there a second folder for the other lung?"
            )


def _report_failures(results: Results) -> bool:
    """Print why pairs failed; whether any did."""
    failures = [score for score in (*results.scores, *results.others) if score.reason]
    reasons = list(dict.fromkeys((score.reason, score.hint) for score in failures))
    shown = {""}
    for reason, hint in reasons[:_SHOWN_FAILURES]:
        print_error(ImageError(reason, "" if hint in shown else hint))  # each hint only once
        shown.add(hint)
    if len(reasons) > _SHOWN_FAILURES:
        print_error(ImageError(f"and {len(reasons) - _SHOWN_FAILURES} more, each with its row in the CSV"))
    return bool(failures)

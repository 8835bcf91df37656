"""Two folders of masks compared from the command line: what is asked for, what is said, and the files that close it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import lungmask_cli
from lungmask_cli.cli.terminal import print_error, progress, say, show_table, warn, write_table
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.text import printable

if TYPE_CHECKING:
    from lungmask_cli.formats.masks import MaskOptions
    from lungmask_cli.gallery.page import GalleryWriter
    from lungmask_cli.imaging.radiograph import Spacing
    from lungmask_cli.scoring.assemble import Grouping
    from lungmask_cli.scoring.compare import Measure
    from lungmask_cli.scoring.evaluate import Case, Outcome
    from lungmask_cli.scoring.manifest import Manifest
    from lungmask_cli.scoring.report import Report

_SHOWN_FAILURES = 10


@dataclass(frozen=True)
class Folders:
    """Where masks are, and what is known of their radiographs."""

    drawn: Path
    truth: Path
    other: Path | None
    images: Path | None
    manifest: Path | None

    def by_role(self) -> dict[str, Path]:
        """Those of masks."""
        from lungmask_cli.scoring.evaluate import OTHER, PREDICTED, TRUTH

        return {PREDICTED: self.drawn, TRUTH: self.truth} | ({OTHER: self.other} if self.other else {})


@dataclass(frozen=True)
class Files:
    """What is written."""

    table: Path | None
    summaries: Sequence[Path]
    gallery: Path | None
    plots: Path | None


@dataclass(frozen=True)
class Asked:
    """What is to be measured, as it was typed."""

    metrics: str | None
    tolerance: float
    spacing: str | None
    threshold: float | None
    labels: str | None
    missing: str
    by: str | None
    patient: str | None
    seed: int

    def measure(self, plots: Path | None) -> "Measure":
        """The metrics, with those that plots need."""
        from lungmask_cli.scoring.compare import Measure

        return Measure(_metrics(self.metrics, plots), self.tolerance, _missing_is_empty(self.missing))

    def masks(self, max_pixels: int) -> "MaskOptions":
        """What the numbers in mask files mean."""
        from lungmask_cli.formats.masks import MaskOptions

        return MaskOptions(_threshold(self.threshold), _labels(self.labels), max_pixels)


def compare_folders(folders: Folders, asked: Asked, files: Files, jobs: int, max_pixels: int) -> None:
    """Score all pairs, show what was found, and write it.

    Raises:
        UsageError: something was asked for that is not there or does not go together.
        typer.Exit: 1 where any pair failed.
    """
    from lungmask_cli.scoring.assemble import group, make_cases, make_report
    from lungmask_cli.scoring.evaluate import Evaluation, evaluate_all
    from lungmask_cli.scoring.pairing import find_masks, pair_masks
    from lungmask_cli.scoring.report import summary_format

    for path in files.summaries:
        summary_format(path)  # which knows its name, or not
    options, measure, roles = asked.masks(max_pixels), asked.measure(files.plots), folders.by_role()
    pairs = pair_masks(*map(find_masks, roles.values()))
    known = _find_manifest(folders.manifest, folders.truth, asked.by or asked.patient)
    grouping = group([pair.key for pair in pairs], known, asked.by, asked.patient)
    cases = make_cases(pairs, folders.images, known, _spacing(asked.spacing))
    _warn_of_radiographs(cases, folders.images)
    how = Evaluation(measure, dict.fromkeys(roles, options), roles, _picture_side(files.gallery, len(cases)))
    settings = _settings(roles, known, asked, measure, grouping)
    with _pictures(files.gallery, f"{folders.drawn} compared with {folders.truth}") as pictures:
        outcomes = evaluate_all(cases, how, jobs, progress("scoring"), pictures.take)
        report = make_report(outcomes, grouping, asked.seed, settings)
        _write_table(report, files.table)
        _show(report)
        _write_files(report, files.summaries, files.plots)
        pictures.finish(report, outcomes, grouping)
    if not files.gallery:
        say("Next: look at the worst of them with --gallery FILE.html")
    if _complain_of_failures(report):
        raise typer.Exit(1)


def _settings(
    roles: Mapping[str, Path], known: "Manifest | None", asked: Asked, measure: "Measure", grouping: "Grouping"
) -> dict[str, Any]:
    """What a summary says of how it was made."""
    return {
        "version": lungmask_cli.__version__,
        **{name: printable(str(folder)) for name, folder in roles.items()},
        "manifest": printable(str(known.path)) if known else None,
        "by": asked.by,
        "patient": grouping.patient_column,
        "metrics": measure.metrics,
        "tolerance": asked.tolerance,
        "spacing": asked.spacing,
        "threshold": asked.threshold,
        "labels": asked.labels,
        "missing": asked.missing,
        "seed": asked.seed,
    }


def _write_table(report: "Report", path: Path | None) -> None:
    from lungmask_cli.scoring.report import to_csv

    if path:
        write_table(path, to_csv(report))
    else:
        typer.echo(to_csv(report), nl=False)


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


def _spacing(text: str | None) -> "Spacing | None":
    if text is None:
        return None
    from lungmask_cli.imaging.radiograph import make_spacing

    try:
        numbers = [float(part) for part in text.split(",")]
        rows, columns = numbers * 2 if len(numbers) == 1 else numbers
    except ValueError:
        raise UsageError(f"--spacing {text}: is neither one number nor two", "Give mm, such as 0.35.") from None
    spacing = make_spacing(rows, columns, "--spacing")
    if spacing is None:
        raise UsageError(f"--spacing {text}: is not above 0", "Give mm, such as 0.35.")
    return spacing


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
    from lungmask_cli.files import write_text
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
        show_table(table.title, table.header, table.rows, spare=("quartiles", "other", "better on"))
    if sides_seem_exchanged(report.summary):
        warn("right and left seem to be exchanged in one of the folders; if these are labels, see --labels RIGHT,LEFT")


def _complain_of_failures(report: "Report") -> bool:
    """Say why pairs failed; whether any did."""
    failed = [score for score in (*report.scores, *report.others) if score.reason]
    reasons = dict.fromkeys((score.reason, score.hint) for score in failed)
    hints = {""}
    for reason, hint in list(reasons)[:_SHOWN_FAILURES]:
        print_error(ImageError(reason, "" if hint in hints else hint))  # each piece of advice once
        hints.add(hint)
    if len(reasons) > _SHOWN_FAILURES:
        print_error(ImageError(f"and {len(reasons) - _SHOWN_FAILURES} more, each with its row in the CSV"))
    return bool(failed)

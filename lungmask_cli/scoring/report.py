"""Scores as files and tables: one row per image as CSV; summaries as JSON, Markdown, LaTeX and for the terminal."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_text
from lungmask_cli.imaging.radiograph import LUNGS
from lungmask_cli.scoring.compare import FAILED, Score
from lungmask_cli.scoring.definitions import HEADLINES, Column, in_order
from lungmask_cli.scoring.statistics import Comparison, Statistic, Summary
from lungmask_cli.text import printable

_FACTS = ("file", "status", "reason")
_SIZES = ("width", "height", "spacing_row_mm", "spacing_column_mm", "spacing_source")
_OTHER = "other_"
_LATEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


@dataclass(frozen=True)
class Report:
    """Everything that was found out.

    Args:
        settings: what it was found out with, for the record.
        scores: one per pair.
        others: the second method's, in the same order; empty where none is compared.
        facts: further columns of the table by name, each by key: the patient, the group.
        summary: of all scores.
        groups: of the scores of each group; empty where there are none.
        comparison: of the two methods; empty where none is compared.
    """

    settings: Mapping[str, object]
    scores: Sequence[Score]
    others: Sequence[Score]
    facts: Mapping[str, Mapping[str, str]]
    summary: Summary
    groups: Sequence[Summary]
    comparison: Mapping[Column, Comparison]


@dataclass(frozen=True)
class Table:
    """A table for people: the first column is text, the others are numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def to_csv(report: Report) -> str:
    """One row per pair, whatever became of it; undefined values are `nan`, those of pairs that failed empty."""
    columns = in_order(column for score in report.scores for column in score.values)
    others = in_order(column for score in report.others for column in score.values)
    header = [*_FACTS, *report.facts, *_SIZES, *(column.name for column in columns)]
    if report.others:
        header += [f"{_OTHER}status", f"{_OTHER}reason", *(f"{_OTHER}{column.name}" for column in others)]
    rows = []
    for place, score in enumerate(report.scores):
        row: list[object] = [score.key, score.status, score.reason]
        row += [known.get(score.key, "") for known in report.facts.values()]
        row += [*_sizes(score), *_values(score, columns)]
        if report.others:
            other = report.others[place]
            row += [other.status, other.reason, *_values(other, others)]
        rows.append(row)
    return csv_text(header, rows)


def _sizes(score: Score) -> tuple[object, ...]:
    height, width = score.shape or (None, None)
    spacing = (*score.spacing.mm, score.spacing.source) if score.spacing else (None, None, "")
    return width, height, *spacing


def _values(score: Score, columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        yield f"{score.values[column]:.10g}" if column in score.values else ""


def to_json(report: Report) -> str:
    """SegmentOptions, counts, failures, statistics, groups and comparison; NaN and infinite numbers as texts."""
    summaries = {"all": report.summary} | {summary.group: summary for summary in report.groups}
    facts: dict[str, object] = {
        "settings": dict(report.settings),
        "failed": {score.key: score.reason for score in report.scores if score.status == FAILED},
        "summaries": {
            name: {
                "counts": dict(summary.counts),
                "statistics": {column.name: _facts(value) for column, value in summary.statistics.items()},
            }
            for name, summary in summaries.items()
        },
        "comparison": {column.name: _facts(value) for column, value in report.comparison.items()},
    }
    return json.dumps(facts, indent=2, allow_nan=False) + "\n"


def _facts(value: Statistic | Comparison) -> dict[str, Any]:
    return {name: _jsonable(fact) for name, fact in vars(value).items()}


def _jsonable(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, str):
        return printable(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def tables(report: Report) -> Iterator[Table]:
    """All tables of a summary."""
    yield _statistics(report.summary)
    if report.groups:
        yield _groups(report.groups)
    if report.comparison:
        yield _comparison(report.comparison)
    yield _worst(report.summary)


def _statistics(summary: Summary) -> Table:
    shown = {
        column: value
        for column, value in summary.statistics.items()
        if column.structure == LUNGS or column.metric in HEADLINES
    }
    unusual = {name: any(getattr(value, name) for value in shown.values()) for name in ("infinite", "undefined")}
    extra = tuple(name for name, there in unusual.items() if there)
    rows = []
    for column, value in shown.items():
        extras = tuple(str(getattr(value, name)) for name in extra)
        rows.append((column.title, str(value.count), *extras, *_cells(column, value)))
    header = ("", "n", *extra, "mean", "SD", "median", "quartiles", "95 % CI")
    return Table(summary.counted, header, tuple(rows))


def _cells(column: Column, value: Statistic) -> tuple[str, ...]:
    single = (number(part, column.decimals) for part in (value.mean, value.sd, value.median))
    return (*single, _range(value.quartiles, column.decimals), _range(value.interval, column.decimals))


def _groups(groups: Sequence[Summary]) -> Table:
    rows = []
    for summary in groups:
        for column, value in summary.statistics.items():
            if column.structure == LUNGS and column.metric in HEADLINES:
                name = f"{summary.group}: {column.title}"
                rows.append((name, str(value.count), str(summary.counts[FAILED]), *_cells(column, value)))
    return Table("By group", ("", "n", "failed", "mean", "SD", "median", "quartiles", "95 % CI"), tuple(rows))


def _comparison(comparison: Mapping[Column, Comparison]) -> Table:
    rows = []
    for column, value in comparison.items():
        if column.structure != LUNGS and column.metric not in HEADLINES:
            continue
        means = (number(part, column.decimals) for part in (value.mean, value.other_mean))
        difference = (
            f"{value.difference:+.{column.decimals}f}"
            if math.isfinite(value.difference)
            else number(value.difference, 0)
        )
        better = f"{value.better[0]} : {value.better[1]}"
        interval = _range(value.interval, column.decimals)
        rows.append((column.title, str(value.count), *means, difference, interval, better, p_text(value.p_value)))
    header = ("", "n", "mean", "other", "difference", "95 % CI", "better on", "Wilcoxon p")
    return Table("Compared with the other, image by image", header, tuple(rows))


def _worst(summary: Summary) -> Table:
    rows = [
        (column.title, ", ".join(f"{printable(key)} ({number(value, column.decimals)})" for key, value in found.worst))
        for column, found in summary.statistics.items()
        if column.structure == LUNGS and column.metric in HEADLINES and found.worst
    ]
    return Table("Worst first", ("", ""), tuple(rows))


def number(value: float, decimals: int) -> str:
    """A number for people: undefined ones are a dash."""
    if math.isnan(value):
        return "-"
    return f"{value:.{decimals}f}" if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def p_text(value: float) -> str:
    """A p value with two significant digits, none below 0.0001."""
    if math.isnan(value):
        return "-"
    return f"{value:.2g}" if value >= 1e-4 else "<0.0001"


def _range(limits: tuple[float, float], decimals: int) -> str:
    low, high = (number(limit, decimals) for limit in limits)
    return "-" if low == high == "-" else f"[{low}, {high}]"


def to_markdown(report: Report) -> str:
    """The tables in GitHub's Markdown."""
    parts = []
    for table in tables(report):
        lines = [table.header, ("---", *["---:"] * (len(table.header) - 1)), *table.rows]
        body = "\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines)
        parts.append(f"**{table.title}**\n\n{body}\n")
    return "\n".join(parts)


def _markdown(cell: str) -> str:
    return printable(cell).replace("|", "\\|")


def to_latex(report: Report) -> str:
    """The tables for LaTeX with the package booktabs, without those of the worst cases."""
    parts = ["% \\usepackage{booktabs}\n"]
    for table in list(tables(report))[:-1]:
        lines = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in (table.header, *table.rows)]
        columns = "l" + "r" * (len(table.header) - 1)
        parts.append(
            "\n".join(
                [
                    f"% {printable(table.title)}",
                    rf"\begin{{tabular}}{{{columns}}}",
                    r"\toprule",
                    lines[0],
                    r"\midrule",
                    *lines[1:],
                    r"\bottomrule",
                    r"\end{tabular}",
                    "",
                ]
            )
        )
    return "\n".join(parts)


def _latex(cell: str) -> str:
    special = {"inf": r"$\infty$", "-": "--"}
    return special.get(cell, printable(cell).translate(_LATEX).replace("<", "$<$"))


_SUMMARY_FORMATS = {".json": to_json, ".md": to_markdown, ".tex": to_latex}


def summary_format(path: Path) -> Callable[[Report], str]:
    """What makes the text of a summary for a file of that suffix: .json, .md or .tex.

    Raises:
        UsageError: the suffix is another one.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUMMARY_FORMATS:
        raise UsageError(f"{path}: is in no known format for a summary", f"Known: {', '.join(_SUMMARY_FORMATS)}.")
    return _SUMMARY_FORMATS[suffix]

"""Results as text: one row per pair as CSV; summaries as JSON, Markdown, LaTeX and tables for the terminal."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_text, json_text
from lungmask_cli.imaging.radiograph import LUNGS
from lungmask_cli.scoring.metric_definitions import HEADLINES, MetricColumn, sort_columns
from lungmask_cli.scoring.results import Results
from lungmask_cli.scoring.scores import FAILED, Score
from lungmask_cli.scoring.statistics import Agreement, Comparison, Statistic, Summary
from lungmask_cli.text import format_cell, printable

_SIZE_COLUMNS = ("width", "height", "spacing_row_mm", "spacing_column_mm", "spacing_source")
_WORST = "Worst first"
_LATEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


@dataclass(frozen=True)
class Table:
    """A table for readers: the first column is text, the others are numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def to_csv(results: Results) -> str:
    """One row per pair, including failures; undefined values and those of failed pairs are empty."""
    columns = sort_columns(column for score in results.scores for column in score.values)
    others = sort_columns(column for score in results.others for column in score.values)
    metadata = results.grouping.columns
    header = ["file", "status", "reason", *metadata, *_SIZE_COLUMNS, *(column.name for column in columns)]
    if results.others:
        header += ["other_status", "other_reason", *(f"other_{column.name}" for column in others)]
    rows = []
    for index, score in enumerate(results.scores):
        row: list[object] = [score.key, score.status, score.reason]
        row += [values.get(score.key, "") for values in metadata.values()]
        row += [*_sizes(score), *_values(score, columns)]
        if results.others:
            other = results.others[index]
            row += [other.status, other.reason, *_values(other, others)]
        rows.append(row)
    return csv_text(header, rows)


def _sizes(score: Score) -> tuple[object, ...]:
    height, width = score.shape or (None, None)
    spacing = (*score.spacing.mm, score.spacing.source) if score.spacing else (None, None, "")
    return width, height, *spacing


def _values(score: Score, columns: Sequence[MetricColumn]) -> Iterator[str]:
    for column in columns:
        yield format_cell(score.values.get(column, math.nan), ".10g")


def to_json(results: Results) -> str:
    """Settings, failures, counts and statistics of all pairs and of each group, and the comparison, as `json_text`."""
    summaries = {"all": results.summary} | {summary.group: summary for summary in results.groups}
    document: dict[str, object] = {
        "settings": dict(results.settings),
        "failed": {score.key: score.reason for score in results.scores if score.status == FAILED},
        "summaries": {
            name: {
                "counts": dict(summary.counts),
                **({"cardiothoracic_ratio": _to_json_value(ratio)} if (ratio := summary.ratio_agreement) else {}),
                "statistics": {column.name: _to_json_value(value) for column, value in summary.statistics.items()},
            }
            for name, summary in summaries.items()
        },
        "comparison": {column.name: _to_json_value(value) for column, value in results.comparison.items()},
    }
    return json_text(document)


def _to_json_value(value: Any) -> Any:
    if isinstance(value, Statistic | Comparison | Agreement):
        return {name: _to_json_value(field) for name, field in vars(value).items()}
    if isinstance(value, tuple):
        return [_to_json_value(item) for item in value]
    if isinstance(value, str):
        return printable(value)
    return value


def make_tables(results: Results) -> Iterator[Table]:
    """All tables of a summary that have rows, at least the first one."""
    yield _statistics_table(results.summary)
    if results.groups:
        yield _groups_table(results.groups)
    if results.summary.ratio_agreement:
        yield _agreement_table([results.summary, *results.groups])
    if results.comparison:
        yield _comparison_table(results.comparison)
    worst = _worst_table(results.summary)
    if worst.rows:
        yield worst


def _statistics_table(summary: Summary) -> Table:
    columns = {
        column: value
        for column, value in summary.statistics.items()
        if column.structure == LUNGS or column.metric in HEADLINES
    }
    extra = tuple(name for name in ("infinite", "undefined") if any(getattr(value, name) for value in columns.values()))
    rows = []
    for column, value in columns.items():
        extras = tuple(str(getattr(value, name)) for name in extra)
        rows.append((column.title, str(value.count), *extras, *_cells(column, value)))
    header = ("", "n", *extra, "mean", "SD", "median", "quartiles", "95 % CI")
    return Table(summary.counted, header, tuple(rows))


def _cells(column: MetricColumn, value: Statistic) -> tuple[str, ...]:
    single = (format_number(part, column.decimals) for part in (value.mean, value.sd, value.median))
    return (*single, _format_range(value.quartiles, column.decimals), _format_range(value.interval, column.decimals))


def _groups_table(groups: Sequence[Summary]) -> Table:
    rows = []
    for summary in groups:
        for column, value in summary.statistics.items():
            if column.structure == LUNGS and column.metric in HEADLINES:
                name = f"{summary.group}: {column.title}"
                rows.append((name, str(value.count), str(summary.counts[FAILED]), *_cells(column, value)))
    return Table("By group", ("", "n", "failed", "mean", "SD", "median", "quartiles", "95 % CI"), tuple(rows))


def _agreement_table(summaries: Sequence[Summary]) -> Table:
    rows = []
    for summary in summaries:
        if ratio := summary.ratio_agreement:
            error, limits = format_number(ratio.mean_absolute_error, 4), _format_range(ratio.limits, 4)
            rows.append((summary.group or "all", str(ratio.count), format_number(ratio.bias, 4, "+"), error, limits))
    header = ("", "n", "bias", "mean absolute error", "limits of agreement")
    return Table("Cardiothoracic ratio, predicted minus reference", header, tuple(rows))


def _comparison_table(comparison: Mapping[MetricColumn, Comparison]) -> Table:
    rows = []
    for column, value in comparison.items():
        if column.structure != LUNGS and column.metric not in HEADLINES:
            continue
        means = (format_number(part, column.decimals) for part in (value.mean, value.other_mean))
        difference = format_number(value.difference, column.decimals, "+")
        better = f"{value.better[0]} : {value.better[1]}"
        interval = _format_range(value.interval, column.decimals)
        rows.append(
            (column.title, str(value.count), *means, difference, interval, better, format_p_value(value.p_value))
        )
    header = ("", "n", "mean", "other", "difference", "95 % CI", "better on", "Wilcoxon p")
    return Table("Paired comparison with the other method", header, tuple(rows))


def _worst_table(summary: Summary) -> Table:
    rows = [
        (column.title, ", ".join(_name_value(key, value, column.decimals) for key, value in statistic.worst))
        for column, statistic in summary.statistics.items()
        if column.structure == LUNGS and column.metric in HEADLINES and statistic.worst
    ]
    return Table(_WORST, ("", ""), tuple(rows))


def _name_value(key: str, value: float, decimals: int) -> str:
    """Both, with a space at which no line ends."""
    return f"{printable(key)}\xa0({format_number(value, decimals)})"


def format_number(value: float, decimals: int, sign: str = "") -> str:
    """A number for readers; a dash if it is undefined. With the sign `+`, numbers above 0 have one, too."""
    if math.isnan(value):
        return "-"
    return f"{value:{sign}.{decimals}f}" if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def format_p_value(value: float) -> str:
    """A p value with two significant digits, none below 0.0001."""
    if math.isnan(value):
        return "-"
    return f"{value:.2g}" if value >= 1e-4 else "<0.0001"


def _format_range(limits: tuple[float, float], decimals: int) -> str:
    low, high = (format_number(limit, decimals) for limit in limits)
    return "-" if low == high == "-" else f"[{low}, {high}]"


def to_markdown(results: Results) -> str:
    """The tables in GitHub-flavoured Markdown."""
    parts = []
    for table in make_tables(results):
        lines = [table.header, ("---", *["---:"] * (len(table.header) - 1)), *table.rows]
        escaped = ([printable(cell).replace("|", "\\|").replace("\xa0", " ") for cell in line] for line in lines)
        body = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
        parts.append(f"**{table.title}**\n\n{body}\n")
    return "\n".join(parts)


def to_latex(results: Results) -> str:
    """The tables for LaTeX with the package booktabs, without the table of the worst cases."""
    parts = ["% \\usepackage{booktabs}\n"]
    for table in make_tables(results):
        if table.title == _WORST:
            continue
        header, *rows = (" & ".join(map(_latex, row)) + r" \\" for row in (table.header, *table.rows))
        begin = rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}"
        title = f"% {printable(table.title)}"
        lines = (title, begin, r"\toprule", header, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", "")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _latex(cell: str) -> str:
    special = {"inf": r"$\infty$", "-": "--"}
    return special.get(cell, printable(cell).translate(_LATEX).replace("<", "$<$"))


_SUMMARY_FORMATS = {".json": to_json, ".md": to_markdown, ".tex": to_latex}


def summary_writer(path: Path) -> Callable[[Results], str]:
    """The function that writes a summary in the format of the suffix: .json, .md or .tex.

    Raises:
        UsageError: the suffix is unknown.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUMMARY_FORMATS:
        raise UsageError(f"{path}: is in no known format for a summary", f"Known: {', '.join(_SUMMARY_FORMATS)}.")
    return _SUMMARY_FORMATS[suffix]

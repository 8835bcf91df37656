"""Turns the results of a comparison into the columns and cards of a gallery page."""

from collections.abc import Iterable, Mapping

from lungmask_cli.gallery.page import Card, Column
from lungmask_cli.gallery.picture import OVER, UNDER
from lungmask_cli.imaging.radiograph import LUNGS
from lungmask_cli.scoring.metric_definitions import HEADLINES, MetricColumn, sort_columns
from lungmask_cli.scoring.result_tables import format_number
from lungmask_cli.scoring.results import Results
from lungmask_cli.scoring.scores import Score

LEGEND = (
    (OVER, "predicted, but not in the reference (over-segmentation)"),
    (UNDER, "in the reference, but not predicted (under-segmentation)"),
)


def make_columns(results: Results) -> list[Column]:
    """The columns of the page: all metrics, and the differences between two methods."""
    columns = sort_columns(column for score in results.scores for column in score.values)
    columns.sort(key=lambda column: column.structure != LUNGS or column.metric not in HEADLINES)  # what cards show
    compared = [column for column in columns if column in results.comparison]
    own = [Column(c.name, c.title, c.better, c.decimals) for c in columns]
    others = [Column(f"other_{c.name}", f"{c.title} of the other method", c.better, c.decimals) for c in compared]
    gains = [Column(f"gain_{c.name}", f"{c.title}: gain over the other method", "higher", c.decimals) for c in compared]
    return [*own, *others, *gains]


def make_cards(results: Results, notes: Mapping[str, str], pictures: Mapping[str, int]) -> list[Card]:
    """A card for each score.

    Args:
        results: the scores.
        notes: a remark on the picture of each key.
        pictures: the number of the picture of each key in the page.
    """
    others = {score.key: score for score in results.others}
    return [
        Card(
            name=score.key,
            status=score.status,
            note="; ".join(filter(None, (score.reason, notes.get(score.key, "")))),
            group=results.grouping.groups.get(score.key, ""),
            values={column.name: value for column, value in score.values.items()}
            | _compare(score, others.get(score.key), results.comparison),
            picture=pictures.get(score.key),
        )
        for score in results.scores
    ]


def _compare(score: Score, other: Score | None, columns: Iterable[MetricColumn]) -> dict[str, float]:
    """The values of the other method, and by how much the first method is better."""
    values: dict[str, float] = {}
    for column in columns:
        if other is not None and column in other.values:
            values[f"other_{column.name}"] = other.values[column]
            if column in score.values:
                one, two = column.badness(score.values[column]), column.badness(other.values[column])
                values[f"gain_{column.name}"] = 0.0 if one == two else two - one
    return values


def summary_line(results: Results) -> str:
    """The counts and the mean Dice in one line."""
    dice = results.summary.statistics.get(MetricColumn("dice"))
    return results.summary.counted + (f"; mean Dice {format_number(dice.mean, 4)}" if dice else "")

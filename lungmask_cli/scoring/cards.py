"""The pictures and values of a comparison as a gallery shows them."""

from collections.abc import Iterable, Mapping

from lungmask_cli.gallery.page import Card
from lungmask_cli.gallery.page import Column as GalleryColumn
from lungmask_cli.gallery.picture import OVER, UNDER
from lungmask_cli.imaging.radiograph import LUNGS
from lungmask_cli.scoring.compare import Score
from lungmask_cli.scoring.definitions import HEADLINES, Column, in_order
from lungmask_cli.scoring.report import Report, number

LEGEND = ((OVER, "drawn, but no lung (over-segmentation)"), (UNDER, "lung that was not drawn (under-segmentation)"))
# Pictures of many images are smaller, so that a browser can hold the page.
_SIDES = ((200, 1024), (600, 768))
_SMALLEST_SIDE = 512


def picture_side(count: int) -> int:
    """The longer side in pixels of the pictures in a gallery of `count` images."""
    return next((side for limit, side in _SIDES if count <= limit), _SMALLEST_SIDE)


def gallery_columns(report: Report) -> list[GalleryColumn]:
    """The columns of the page: all metrics, and the differences of two methods."""
    columns = in_order(column for score in report.scores for column in score.values)
    columns.sort(key=lambda column: column.structure != LUNGS or column.metric not in HEADLINES)  # what cards show
    shown = [GalleryColumn(column.name, column.title, column.better, column.decimals) for column in columns]
    compared = [column for column in columns if column in report.comparison]
    return (
        shown
        + [
            GalleryColumn(f"other_{column.name}", f"{column.title} of the other", column.better, column.decimals)
            for column in compared
        ]
        + [
            GalleryColumn(f"gain_{column.name}", f"{column.title}: better than the other by", "higher", column.decimals)
            for column in compared
        ]
    )


def gallery_cards(report: Report, notes: Mapping[str, str], pictures: Mapping[str, int], by: str | None) -> list[Card]:
    """A card for each score.

    Args:
        report: the scores.
        notes: what is to be said of a key.
        pictures: the number of its picture in the page.
        by: the column of the report's facts that makes groups.
    """
    groups = report.facts[by] if by else {}
    others = {score.key: score for score in report.others}
    return [
        Card(
            name=score.key,
            status=score.status,
            note="; ".join(filter(None, (score.reason, notes.get(score.key, "")))),
            group=groups.get(score.key, ""),
            values={column.name: value for column, value in score.values.items()}
            | _compared(score, others.get(score.key), report.comparison),
            picture=pictures.get(score.key),
        )
        for score in report.scores
    ]


def _compared(score: Score, other: Score | None, columns: Iterable[Column]) -> dict[str, float]:
    """The other method's values, and by how much the first is better."""
    values: dict[str, float] = {}
    for column in columns:
        if other is not None and column in other.values:
            values[f"other_{column.name}"] = other.values[column]
            if column in score.values:
                one, two = column.badness(score.values[column]), column.badness(other.values[column])
                values[f"gain_{column.name}"] = 0.0 if one == two else two - one
    return values


def summary_line(report: Report) -> str:
    """The counts and the mean Dice in one line."""
    dice = report.summary.statistics.get(Column("dice"))
    return report.summary.counted + (f"; mean Dice {number(dice.mean, 4)}" if dice else "")

"""The page itself: pictures and values in one HTML file that opens from disk and loads nothing else."""

import html
import json
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, Literal

from lungmask_cli.files import atomic_write
from lungmask_cli.gallery.picture import Picture
from lungmask_cli.text import printable

Legend = Sequence[tuple[tuple[int, int, int], str]]
_HERE, _TITLE = "<!--pictures-->", "{{title}}"
# JSON inside HTML: nothing in it may end the script element or begin a comment.
_UNSAFE = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


@dataclass(frozen=True)
class Column:
    """A value that cards have.

    Args:
        name: as in a table and in the page's filter, such as `hd95_mm`.
        title: for reading, such as `HD95 (mm)`.
        better: which values are best; `zero` means the nearest to 0, and empty that there is no better and worse.
        decimals: digits shown after the point.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "zero", ""]
    decimals: int


@dataclass(frozen=True)
class Card:
    """One case on the page.

    Args:
        name: what the case is called.
        status: a word; cards that are `failed` are shown before all others when the worst come first. It is shown
            on the card unless it is `scored`, `good` or `written`, which say that there is nothing to say.
        note: a reason or warning, or empty.
        group: a part of the set that can be chosen by itself, or empty.
        values: column name to value, which may be infinite or nan; columns may be missing.
        picture: the number that `add_picture` returned, or None.
    """

    name: str
    status: str
    note: str
    group: str
    values: Mapping[str, float]
    picture: int | None


class GalleryWriter:
    """Writes the page piece by piece; pictures go to the file at once, so that memory does not grow with them."""

    def __init__(self, file: BinaryIO, title: str) -> None:
        template = resources.files("lungmask_cli.gallery").joinpath("page.html").read_text(encoding="utf-8")
        head, self._tail = template.split(_HERE)
        self._file = file
        self._pictures = 0
        self.finished = False
        self._file.write(head.replace(_TITLE, html.escape(printable(title))).encode())

    def add_picture(self, picture: Picture) -> int:
        """Write a picture and return its number."""
        number = self._pictures
        self._pictures += 1
        # As text within a script element the browser decodes nothing until the page asks for it.
        start = f'<script type="text/plain" id="p{number}" data-width="{picture.width}" data-height="{picture.height}">'
        backdrop = b64encode(picture.backdrop or b"")
        self._file.write(b"%s%s,%s</script>\n" % (start.encode(), backdrop, b64encode(picture.overlay)))
        return number

    def finish(
        self, columns: Sequence[Column], cards: Sequence[Card], legend: Legend, summary: str, show_notes: bool = False
    ) -> None:
        """Write what the page shows: the cards with their values in `columns`, a legend, and a line that sums up.

        `show_notes` gives each card some lines for its note, which is otherwise seen in the large view alone.
        """
        data = {
            "summary": printable(summary),
            "showNotes": show_notes,
            "legend": [[colour, printable(text)] for colour, text in legend],
            "columns": [_column_data(column) for column in columns],
            "cards": [_card_data(card, columns) for card in cards],
        }
        text = json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)
        self._file.write(f'<script type="application/json" id="data">{text}</script>\n{self._tail}'.encode())
        self.finished = True


@contextmanager
def open_gallery(path: Path, title: str) -> Iterator[GalleryWriter]:
    """A writer for a page at `path`, which appears whole when the block succeeds, or else not at all.

    Raises:
        RuntimeError: the block ended without `finish`.
    """
    with atomic_write(path) as partial, partial.open("wb") as file:
        gallery = GalleryWriter(file, title)
        yield gallery
        if not gallery.finished:
            raise RuntimeError("the page has pictures but no cards: finish was not called")


def _column_data(column: Column) -> dict[str, object]:
    return {
        "name": printable(column.name),
        "title": printable(column.title),
        "better": column.better,
        "decimals": column.decimals,
    }


def _card_data(card: Card, columns: Sequence[Column]) -> dict[str, Any]:
    return {
        "name": printable(card.name),
        "status": printable(card.status),
        "note": printable(card.note),
        "group": printable(card.group),
        "values": [_number(card.values[column.name]) if column.name in card.values else None for column in columns],
        "picture": card.picture,
    }


def _number(value: float) -> float | str:
    """The value, or where JSON has no number for it, the word that JavaScript's `Number` understands."""
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number

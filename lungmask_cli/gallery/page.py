"""Writes the page: pictures and values in one HTML file that opens from disk and loads nothing else."""

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
_TITLE, _STYLE, _SCRIPT, _PICTURES = "{{title}}", "{{style}}\n", "{{script}}\n", "<!--pictures-->"
# JSON inside HTML: nothing in it may end the script element or begin a comment.
_UNSAFE = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


@dataclass(frozen=True)
class Column:
    """A value that cards have.

    Args:
        name: identifier as in a table and in the page's filter, such as `hd95_mm`.
        title: label for readers, such as `HD95 (mm)`.
        better: which values are best; `zero` means those nearest to 0, and empty means that none is better.
        decimals: number of decimals shown.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "zero", ""]
    decimals: int


@dataclass(frozen=True)
class Card:
    """One case on the page.

    Args:
        name: name of the case.
        status: one word. `failed` cards come before all others in the order "worst first". The card shows the status
            unless it is `scored`, `good` or `written`.
        note: a reason or warning, or empty.
        group: the subset to which the case belongs, which can be selected on the page, or empty.
        values: value by column name; may be infinite or nan, and columns may be missing.
        picture: the number that `add_picture` returned, or None.
    """

    name: str
    status: str
    note: str
    group: str
    values: Mapping[str, float]
    picture: int | None


class GalleryWriter:
    """Writes the page piece by piece. Pictures go to the file at once, so memory does not grow with their number."""

    def __init__(self, file: BinaryIO, title: str) -> None:
        folder = resources.files("lungmask_cli.gallery")
        page, style, script = (folder.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
        head, self._tail = page.replace(_STYLE, style).replace(_SCRIPT, script).split(_PICTURES)
        self._file = file
        self._pictures = 0
        self.finished = False
        self._file.write(head.replace(_TITLE, html.escape(printable(title))).encode())

    def add_picture(self, picture: Picture) -> int:
        """Write a picture and return its number."""
        number = self._pictures
        self._pictures += 1
        # As text in a script element, the picture is not decoded by the browser until the page asks for it.
        start = f'<script type="text/plain" id="p{number}" data-width="{picture.width}" data-height="{picture.height}">'
        backdrop = b64encode(picture.backdrop or b"")
        self._file.write(b"%s%s,%s</script>\n" % (start.encode(), backdrop, b64encode(picture.overlay)))
        return number

    def finish(
        self, columns: Sequence[Column], cards: Sequence[Card], legend: Legend, summary: str, show_notes: bool = False
    ) -> None:
        """Write the cards with their values in `columns`, the legend, and the summary line.

        `show_notes` shows the note on each card; otherwise it is shown only in the large view.
        """
        data = {
            "summary": printable(summary),
            "showNotes": show_notes,
            "legend": [[colour, printable(text)] for colour, text in legend],
            "columns": [_printable_fields(column) for column in columns],
            "cards": [_card_data(card, columns) for card in cards],
        }
        text = json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)
        self._file.write(f'<script type="application/json" id="data">{text}</script>\n{self._tail}'.encode())
        self.finished = True


@contextmanager
def open_gallery(path: Path, title: str) -> Iterator[GalleryWriter]:
    """A writer for a page at `path`. The complete page appears when the block succeeds; otherwise nothing does.

    Raises:
        RuntimeError: the block ended without `finish`.
    """
    with atomic_write(path) as partial, partial.open("wb") as file:
        gallery = GalleryWriter(file, title)
        yield gallery
        if not gallery.finished:
            raise RuntimeError("the page has pictures but no cards: finish was not called")


def _printable_fields(item: Column | Card) -> dict[str, Any]:
    return {name: printable(value) if isinstance(value, str) else value for name, value in vars(item).items()}


def _card_data(card: Card, columns: Sequence[Column]) -> dict[str, Any]:
    values = [_to_json(card.values[column.name]) if column.name in card.values else None for column in columns]
    return _printable_fields(card) | {"values": values}


def _to_json(value: float) -> float | str:
    """The value as a JSON number, or as a word where JSON has no number: the page's script reads it with `Number`."""
    number = float(value)
    if math.isnan(number):
        return "undefined"
    return number if math.isfinite(number) else json.dumps(number)

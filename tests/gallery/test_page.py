import base64
import json
import math
import tracemalloc
from html.parser import HTMLParser

import pytest

from lungmask_cli.gallery.page import Card, Column, open_gallery
from lungmask_cli.gallery.picture import Picture
from tests.gallery.cards import COLUMNS, HOSTILE, tiny_picture, write_small_page


class Elements(HTMLParser):
    """The elements of a page, and the text of its scripts by their id."""

    def __init__(self) -> None:
        super().__init__()
        self.elements, self.scripts = [], {}
        self._script = None

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._script = dict(attrs).get("id", "") if tag == "script" else None

    def handle_data(self, data):
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def handle_endtag(self, tag):
        self._script = None


def parsed(path) -> Elements:
    elements = Elements()
    elements.feed(path.read_text("utf-8"))
    return elements


def page_data(path) -> dict:
    return json.loads(parsed(path).scripts["data"])


def write_cards(path, *cards, columns=COLUMNS, title="Title"):
    with open_gallery(path, title) as gallery:
        gallery.finish(columns, cards, [], "")
    return path


def test_the_page_holds_each_picture_as_text_with_its_size(tmp_path):
    first = Picture(3, 2, b"overlay", b"backdrop")
    with open_gallery(tmp_path / "g.html", "Title") as gallery:
        assert gallery.add_picture(first) == 0
        assert gallery.add_picture(Picture(5, 4, b"alone", None)) == 1
        gallery.finish([], [], [], "")
    page = parsed(tmp_path / "g.html")
    layers = [[base64.b64decode(part) for part in page.scripts[name].split(",")] for name in ("p0", "p1")]
    assert layers == [[b"backdrop", b"overlay"], [b"", b"alone"]]
    sizes = [(a["data-width"], a["data-height"]) for tag, a in page.elements if "data-width" in a]
    assert sizes == [("3", "2"), ("5", "4")]


def test_values_are_in_column_order_and_non_finite_ones_are_words(tmp_path):
    columns = [Column(name, name, "", 1) for name in ("a", "b", "c", "d", "e")]
    values = {"e": 1.5, "d": math.nan, "c": -math.inf, "b": math.inf, "other": 3.0}
    path = write_cards(tmp_path / "g.html", Card("x", "scored", "", "", values, None), columns=columns)
    assert page_data(path)["cards"][0]["values"] == [None, "Infinity", "-Infinity", "undefined", 1.5]


def test_the_page_loads_nothing_from_elsewhere(tmp_path):
    page = parsed(write_small_page(tmp_path / "g.html"))
    links = [value for _, attrs in page.elements for name, value in attrs.items() if name in ("src", "href", "srcset")]
    assert all(link.startswith("data:") for link in links)
    policies = [attrs["content"] for _, attrs in page.elements if "http-equiv" in attrs]
    assert policies == [
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    ]
    text = (tmp_path / "g.html").read_text("utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text


@pytest.mark.parametrize(
    "text",
    [HOSTILE, "<!--pictures-->", "<!--", "{{title}}", "\"quoted' & more", "\u2028", "\x00\x1b[2J\n", "\udcff", "肺"],
)
def test_hostile_text_stays_text(tmp_path, text):
    plain = parsed(write_cards(tmp_path / "plain.html", Card("x", "x", "x", "x", {}, None)))
    path = tmp_path / "hostile.html"
    columns = [Column(text, text, "", 1)]
    with open_gallery(path, text) as gallery:
        gallery.finish(columns, [Card(text, text, text, text, {}, None)], [((0, 0, 0), text)], text)
    page = parsed(path)
    assert page.elements == plain.elements
    card = json.loads(page.scripts["data"])["cards"][0]
    assert len({card["name"], card["status"], card["note"], card["group"]}) == 1
    if text.isprintable():
        assert card["name"] == text


def test_an_exception_leaves_no_file(tmp_path):
    def fail() -> None:
        with open_gallery(tmp_path / "g.html", "Title") as gallery:
            gallery.add_picture(tiny_picture())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_cards_is_an_error_and_keeps_the_older_page(tmp_path):
    path = tmp_path / "g.html"
    path.write_text("old")

    def forget() -> None:
        with open_gallery(path, "Title") as gallery:
            gallery.add_picture(tiny_picture())

    with pytest.raises(RuntimeError, match="finish"):
        forget()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_memory_does_not_grow_with_the_pictures(tmp_path):
    picture = Picture(512, 512, b"o" * 5_000, b"b" * 100_000)
    with open_gallery(tmp_path / "g.html", "Title") as gallery:
        gallery.add_picture(picture)
        tracemalloc.start()
        for _ in range(100):
            gallery.add_picture(picture)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        gallery.finish([], [], [], "")
    assert peak < 1_500_000
    assert (tmp_path / "g.html").stat().st_size > 10_000_000

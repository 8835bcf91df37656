import csv
import io
import os

from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.files import csv_rows, csv_text
from lungmask_cli.text import printable, shorten_file_name


def test_control_characters_and_bytes_that_are_not_utf8_are_escaped():
    assert printable("a\nb\x1b[31m\x7f") == "a%0Ab%1B[31m%7F"
    assert printable(os.fsdecode(b"M\xfcller.png")) == "M%FCller.png"
    assert printable("Müller 山田") == "Müller 山田"


@given(st.binary(min_size=1, max_size=400).filter(lambda b: b"/" not in b and b"\0" not in b))
def test_any_name_becomes_a_valid_file_name(content):
    name = shorten_file_name(printable(os.fsdecode(content)) + ".png")
    assert len(name.encode("utf-8")) <= 255
    assert name.endswith(".png")


def test_long_names_that_differ_stay_different():
    assert shorten_file_name("a" * 300 + "1.png") != shorten_file_name("a" * 300 + "2.png")


def test_cells_that_a_spreadsheet_would_run_get_an_apostrophe():
    text = csv_text(("id", "value"), [("=1+1", "-0.5"), ("@x", "+3e5"), ("-cmd", 7), ("plain", None)])
    assert list(csv.reader(io.StringIO(text)))[1:] == [
        ["'=1+1", "-0.5"],
        ["'@x", "+3e5"],
        ["'-cmd", "7"],
        ["plain", ""],
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_reading_removes_the_apostrophes(cells):
    names = [f"c{number}" for number in range(len(cells))]
    (row,) = csv_rows(io.StringIO(csv_text(names, [cells])))
    assert list(row.values()) == [printable(cell) for cell in cells]
    assert csv_text(names, [cells]).count("\n") == 2

"""Tables that users write, as any program may have saved them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.errors import UsageError
from lungmask_cli.formats.tables import bare_name, read_table, read_text

CELLS = st.text(st.characters(codec="cp1252", exclude_categories=["C", "Z"]), min_size=1, max_size=6)


@given(
    header=st.lists(CELLS, min_size=2, max_size=4, unique=True),
    rows=st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=4),
    delimiter=st.sampled_from(";\t,"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_table_is_read_whatever_wrote_it(tmp_path_factory, header, rows, delimiter, encoding, end):
    header = [f"c{index}{name}" for index, name in enumerate(header)]
    rows = [[f"x{cell}" for cell in row[: len(header)]] for row in rows]
    written = [[cell.translate(dict.fromkeys(map(ord, ";\t,|'"))) for cell in row] for row in (header, *rows)]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(written)
    path = tmp_path_factory.mktemp("table") / "t.csv"
    data = text.getvalue().encode(encoding)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        data = text.getvalue().encode("utf-8")  # text of Windows that is UTF-8 by chance
    path.write_bytes(data)
    table = read_table(path)
    assert list(table.columns) == written[0]
    assert [list(row.values()) for row in table.rows] == written[1:]


def test_the_delimiter_is_that_of_the_rows(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("file;age, in years\na.png;7,5\n")
    assert read_table(path).rows == [{"file": "a.png", "age, in years": "7,5"}]


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0", b"PK\x03\x04\x14\0", b"\xff\xfe\0"])
def test_what_is_not_text_is_refused(tmp_path, data):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(UsageError, match="not text"):
        read_text(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("a.png", "a"), ("images/a.dcm", "a"), (r"C:\x\a.IMG", "C:/x/a"), ("./a.nii.gz", "a"), ("1.2.840", "1.2.840"),
        (".png", ".png"), (" a b.jpg ", "a b"),
    ],
)  # fmt: skip
def test_a_bare_name_has_no_suffix_of_an_image_and_no_plain_folder(name, bare):
    assert bare_name(name) == bare

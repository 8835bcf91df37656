"""Tables on terminals of any width."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lungmask_cli.cli import terminal
from lungmask_cli.networks.presets import PRESETS
from tests.phantoms import draw_phantom, save_mask

WORDS = st.text("abcdefgh", min_size=1, max_size=14)
TEXTS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
NUMBERS = st.floats(-1e4, 1e4).map("{:.4f}".format)


def shown(width, title, header, rows, spare=()):
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(terminal, "_stderr", lambda: Console(file=output, width=width, highlight=False))
        terminal.show_table(title, header, rows, spare)
    return output.getvalue()


@given(
    width=st.integers(20, 120),
    header=st.lists(TEXTS, min_size=1, max_size=6, unique=True),
    rows=st.lists(st.tuples(TEXTS, st.lists(NUMBERS, min_size=6, max_size=6)), min_size=1, max_size=4),
)
def test_no_word_is_broken_and_no_number_is_cut(width, header, rows):
    cells = [[name, *numbers[: len(header)]] for name, numbers in rows]
    text = shown(width, "", ["", *header], cells)
    expected = [*header, *(cell for row in cells for cell in row)]
    assert {word for cell in expected for word in cell.split(" ")} <= set(text.split())
    longest = max(len(word) for cell in expected for word in cell.split(" "))
    assert all(len(line) <= max(width, 2 * longest + 5) for line in text.splitlines())


def test_spare_columns_are_left_out_first_and_named():
    header, rows = ["", "mean", "quartiles"], [["Dice", "0.9000", "[0.8000, 0.9000]"]]
    assert "quartiles" in shown(40, "scores", header, rows, ["quartiles"]).splitlines()[2]
    narrow = shown(20, "scores", header, rows, ["quartiles"])
    assert "left out on this narrow terminal: quartiles" in narrow.replace("\n", " ")
    assert "[0.8000" not in narrow
    assert "Dice  0.9000" in narrow


def test_rows_become_lists_where_no_column_can_be_left_out():
    lines = shown(20, "", ["run", "epochs", "Dice"], [["a", "12", "0.9000"], ["b", "7", ""]]).split("\n")
    assert [line.split() for line in lines if line.strip()] == [
        ["run", "a"], ["epochs", "12"], ["Dice", "0.9000"], ["run", "b"], ["epochs", "7"], ["Dice"]
    ]  # fmt: skip


def test_a_long_path_runs_over_the_edge_alone():
    path = "/a/path/that/is/longer/than/the/terminal"
    lines = shown(20, "", ["", ""], [["file", path], ["licence", "for research and education"]]).splitlines()
    assert any(line.endswith(path) for line in lines)
    assert all(len(line) <= 20 for line in lines if path not in line)


@pytest.mark.parametrize("width", ["60", "80"])
def test_presets_are_named_whole_at_any_width(inside, monkeypatch, width):
    monkeypatch.setattr("lungmask_cli.cli.terminal._FILE_WIDE", int(width))
    text = inside("info", "presets").stdout
    assert set(PRESETS) <= set(text.split())
    assert "…" not in text


@pytest.mark.parametrize("width", ["60", "80"])
def test_scores_are_whole_at_any_width_and_there_is_no_empty_table(tmp_path, monkeypatch, width):
    phantom = draw_phantom()
    for number in range(3):
        save_mask(tmp_path / "one" / f"case-of-a-long-name-{number}.png", phantom.lungs)
        save_mask(tmp_path / "two" / f"case-of-a-long-name-{number}.png", phantom.right)
        save_mask(tmp_path / "none" / f"case-of-a-long-name-{number}.png", phantom.lungs & False)
    text = score(monkeypatch, width, tmp_path / "one", tmp_path / "two")
    assert "case-of-a-long-name-2 (0." in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= int(width)
    assert "Worst first" not in score(monkeypatch, width, tmp_path / "none", tmp_path / "none")


def score(monkeypatch, width, predicted, truth):
    from typer.testing import CliRunner

    from lungmask_cli.cli.app import app

    output = io.StringIO()
    monkeypatch.setattr(terminal, "_stderr", lambda: Console(file=output, width=int(width), highlight=False))
    CliRunner().invoke(app, ["score", str(predicted), str(truth), "--jobs", "1"])
    return output.getvalue()

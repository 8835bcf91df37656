"""Batches that go on: what counts as done, what is refused, and the table that grows line by line."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.batch.jobs import plan, read_list
from lungmask_cli.batch.journal import Journal, read_journal
from lungmask_cli.batch.options import SegmentOptions
from lungmask_cli.batch.outputs import Outputs
from lungmask_cli.batch.rows import COLUMNS, WRITTEN, Row
from lungmask_cli.batch.table import (
    RECORD,
    TABLE,
    Existing,
    check_record,
    clear_partial,
    existing_mode,
    remaining,
    rewrite_table,
)
from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_text

CELLS = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=2, max_size=2)


@pytest.fixture
def batch(tmp_path):
    """Three jobs, and settings with overlays, into tmp_path/out."""
    out = tmp_path / "out"
    out.mkdir()
    images = [(tmp_path / f"{name}.png", tmp_path.relative_to(tmp_path) / f"{name}.png") for name in "abc"]
    return SegmentOptions(Outputs(out, extras=frozenset({"overlays"}))), plan(images, out)


def write_files(settings, job):
    for path in settings.outputs.paths(job.mask):
        path.parent.mkdir(exist_ok=True)
        path.write_text("a picture")


def row_of(job, **changes):
    return Row(**{"file": str(job.source), "mask": str(job.mask), "status": WRITTEN, **changes})


@given(rows=st.lists(CELLS, max_size=5), cut=st.integers(0, 200))
def test_a_table_that_was_cut_off_anywhere_reads_as_its_whole_lines(tmp_path_factory, rows, cut):
    path = tmp_path_factory.mktemp("journal") / TABLE
    with Journal(path, ("one", "two")) as journal:
        for row in rows:
            journal.add(row)
    content = path.read_bytes()
    assert content == csv_text(("one", "two"), rows).encode()
    whole = read_journal(path, ("one", "two"))
    assert len(whole) == len(rows)
    path.write_bytes(content[: max(len(content) - cut, 0)].decode(errors="ignore").encode())
    kept = read_journal(path, ("one", "two"))
    assert kept == whole[: len(kept)]
    if cut > 0 and rows:
        assert len(kept) < len(rows)


def test_a_table_of_another_version_is_not_gone_on_with(tmp_path):
    (tmp_path / TABLE).write_text("file,dice\na,1\n")
    with pytest.raises(UsageError, match="has other columns"):
        read_journal(tmp_path / TABLE, COLUMNS)


def test_nothing_is_overwritten_unasked(batch):
    settings, jobs = batch
    assert remaining(settings, jobs, Existing.REFUSE).jobs == jobs
    write_files(settings, jobs[1])
    (settings.outputs.folder / jobs[1].mask).unlink()  # an overlay alone is a result too
    with pytest.raises(UsageError, match=r"overlays/b\.png: is there already") as caught:
        remaining(settings, jobs, Existing.REFUSE)
    assert "--skip-existing" in caught.value.hint
    assert remaining(settings, jobs, Existing.OVERWRITE).jobs == jobs


def test_done_is_what_the_table_and_the_files_say(batch):
    settings, jobs = batch
    rows = [row_of(jobs[0]), row_of(jobs[1], status="failed", mask=""), row_of(jobs[2])]
    with Journal(settings.outputs.folder / TABLE, COLUMNS) as journal:
        for row in rows:
            journal.add(row.cells())
    write_files(settings, jobs[0])
    write_files(settings, jobs[1])  # of a run before; its row says that it failed
    left = remaining(settings, jobs, Existing.SKIP)
    assert left.jobs == jobs[1:]  # the last one has no files
    assert [row["file"] for row in left.kept.values()] == [str(jobs[0].source)]


def test_the_table_is_in_the_order_of_the_radiographs_after_going_on(batch):
    settings, jobs = batch
    write_files(settings, jobs[1])
    with Journal(settings.outputs.folder / TABLE, COLUMNS) as journal:
        journal.add(row_of(jobs[1]).cells())
    left = remaining(settings, jobs, Existing.SKIP)
    with Journal(settings.outputs.folder / TABLE, COLUMNS, left.kept.values()) as journal:
        for job in left.jobs:
            journal.add(row_of(job).cells())
    rewrite_table(settings.outputs.folder, left)
    with (settings.outputs.folder / TABLE).open(newline="") as file:
        assert [row["mask"] for row in csv.DictReader(file)] == ["a.png", "b.png", "c.png"]


def test_results_of_other_weights_are_not_joined(tmp_path):
    (tmp_path / RECORD).write_text('{"weights": "old", "tta": false}')
    check_record({"weights": "old", "tta": False}, tmp_path)
    with pytest.raises(UsageError, match=r'another weights: \{"weights": "old"\}'):
        check_record({"weights": "new", "tta": False}, tmp_path)


def test_skipping_and_overwriting_exclude_each_other():
    assert existing_mode(skip=True, overwrite=False) is Existing.SKIP
    with pytest.raises(UsageError, match="exclude each other"):
        existing_mode(skip=True, overwrite=True)


def test_lists_name_files_as_text_and_as_csv(tmp_path):
    text, table = tmp_path / "list.txt", tmp_path / "list.csv"
    text.write_text("a/1.png\n\na/b/2.dcm\na/1.png\n")
    found = read_list(text)
    assert [file for file, _ in found] == [tmp_path / "a" / "1.png", tmp_path / "a" / "b" / "2.dcm"]
    assert [str(name) for _, name in found] == ["1.png", "b/2.dcm"]
    table.write_text("patient,file\n7,a/1.png\n8,a/b/2.dcm\n")
    assert read_list(table) == found
    table.write_text("patient,path\n7,a/1.png\n")
    with pytest.raises(UsageError, match="has no column file"):
        read_list(table)
    text.write_text("\n")
    with pytest.raises(UsageError, match="names no file"):
        read_list(text)


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path):
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / ".partial-x.png").touch()
    (tmp_path / "ward" / "a.png").touch()
    clear_partial(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.png")] == ["a.png"]

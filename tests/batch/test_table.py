"""Restarts of a batch: what counts as done, what is refused, and the table that grows row by row."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.batch.jobs import plan_jobs, read_list
from lungmask_cli.batch.options import Existing, RunOptions, SegmentOptions, existing_mode
from lungmask_cli.batch.outputs import Outputs
from lungmask_cli.batch.rows import COLUMNS, WRITTEN, Row
from lungmask_cli.batch.table import (
    SETTINGS,
    TABLE,
    TableError,
    check_settings,
    find_remaining,
    open_table,
    read_table,
    remove_partial_files,
    sort_table,
)
from lungmask_cli.errors import UsageError
from lungmask_cli.files import csv_text
from lungmask_cli.inference.options import InferenceOptions

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=2, max_size=2)


@pytest.fixture
def batch(tmp_path):
    """Options with overlays, into tmp_path/out, and three jobs."""
    out = tmp_path / "out"
    out.mkdir()
    images = [(tmp_path / f"{name}.png", tmp_path.relative_to(tmp_path) / f"{name}.png") for name in "abc"]
    return SegmentOptions(InferenceOptions(), Outputs(out, extras=frozenset({"overlays"}))), plan_jobs(images, out)


def write_files(options, job):
    for path in options.outputs.paths(job.mask):
        path.parent.mkdir(exist_ok=True)
        path.write_text("a picture")


def row_of(job, **changes):
    return Row(**{"file": str(job.source), "mask": str(job.mask), "status": WRITTEN, **changes})


@given(rows=st.lists(TEXTS, max_size=5), cut=st.integers(0, 200))
def test_a_truncated_table_reads_as_its_complete_lines(tmp_path_factory, rows, cut):
    folder = tmp_path_factory.mktemp("table")
    path, rows = folder / TABLE, [row + [""] * (len(COLUMNS) - len(row)) for row in rows]
    with open_table(folder) as append:
        for row in rows:
            append(row)
    content = path.read_bytes()
    assert content == csv_text(COLUMNS, rows).encode()
    whole = read_table(folder)
    assert len(whole) == len(rows)
    header = len(csv_text(COLUMNS, []))
    path.write_bytes(content[: max(len(content) - cut, header)].decode(errors="ignore").encode())
    kept = read_table(folder)
    assert kept == whole[: len(kept)]
    if cut > 0 and rows:
        assert len(kept) < len(rows)


def test_a_truncated_header_is_an_empty_table(tmp_path):
    (tmp_path / TABLE).write_text(csv_text(COLUMNS, [])[:9])
    assert read_table(tmp_path) == []


def test_a_table_of_another_version_is_refused(tmp_path):
    (tmp_path / TABLE).write_text("file,dice\na,1\n")
    with pytest.raises(UsageError, match="has other columns"):
        read_table(tmp_path)


def test_a_table_that_cannot_be_written_is_a_table_error(tmp_path):
    (tmp_path / TABLE).mkdir()
    with pytest.raises(TableError, match=r"segment\.csv: cannot be written: Is a directory"), open_table(tmp_path):
        pass


def test_nothing_is_overwritten_by_default(batch):
    options, jobs = batch
    assert find_remaining(options, jobs, Existing.REFUSE).jobs == jobs
    write_files(options, jobs[1])
    (options.outputs.folder / jobs[1].mask).unlink()  # an overlay alone is a result too
    with pytest.raises(UsageError, match=r"overlays/b\.png: exists already") as caught:
        find_remaining(options, jobs, Existing.REFUSE)
    assert "--skip-existing" in caught.value.hint
    assert find_remaining(options, jobs, Existing.OVERWRITE).jobs == jobs


def test_a_job_is_done_if_the_table_and_the_files_say_so(batch):
    options, jobs = batch
    rows = [row_of(jobs[0]), row_of(jobs[1], status="failed", mask=""), row_of(jobs[2])]
    with open_table(options.outputs.folder) as append:
        for row in rows:
            append(row.cells())
    write_files(options, jobs[0])
    write_files(options, jobs[1])  # of an earlier run; its row says that it failed
    remaining = find_remaining(options, jobs, Existing.SKIP)
    assert remaining.jobs == jobs[1:]  # the last one has no files
    assert [row["file"] for row in remaining.kept.values()] == [str(jobs[0].source)]


def test_the_table_of_a_resumed_run_has_the_order_of_the_radiographs(batch):
    options, jobs = batch
    folder = options.outputs.folder
    write_files(options, jobs[1])
    with open_table(folder) as append:
        append(row_of(jobs[1]).cells())
    remaining = find_remaining(options, jobs, Existing.SKIP)
    with open_table(folder, remaining.kept.values()) as append:
        for job in remaining.jobs:
            append(row_of(job).cells())
    assert list(sort_table(folder, remaining)) == [1, 2, 3]
    with (folder / TABLE).open(newline="") as file:
        assert [row["mask"] for row in csv.DictReader(file)] == ["a.png", "b.png", "c.png"]


def test_results_of_other_weights_are_not_mixed(tmp_path):
    (tmp_path / SETTINGS).write_text('{"weights": "old", "tta": false}')
    check_settings({"weights": "old", "tta": False}, tmp_path)
    with pytest.raises(UsageError, match=r'another weights: \{"weights": "old"\}'):
        check_settings({"weights": "new", "tta": False}, tmp_path)


def test_options_that_exclude_each_other_are_refused():
    assert existing_mode(skip=True, overwrite=False) is Existing.SKIP
    with pytest.raises(UsageError, match="exclude each other"):
        existing_mode(skip=True, overwrite=True)
    assert RunOptions(engine="ray", address="head:6379").address == "head:6379"
    with pytest.raises(UsageError, match="is that of a Ray cluster"):
        RunOptions(address="head:6379")


@pytest.fixture
def folder(tmp_path):
    """Files that lists name."""
    for name in ("a/1.png", "a/b/2.dcm", "# 3.png", "ä ö.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def listed(folder, text, name="list.txt", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return [file.relative_to(folder).as_posix() for file, _ in read_list(folder / name)]


def test_a_list_is_text_or_csv(folder):
    images = ["a/1.png", "a/b/2.dcm"]
    assert listed(folder, "a/1.png\n\na/b/2.dcm\na/1.png\n") == images
    assert [str(name) for _, name in read_list(folder / "list.txt")] == ["1.png", "b/2.dcm"]
    assert listed(folder, "patient,file\n7,a/1.png\n8,a/b/2.dcm\n", "list.csv") == images
    with pytest.raises(UsageError, match="has no column that names files") as caught:
        listed(folder, "patient,age\n7,8\n", "list.csv")
    assert caught.value.hint == "Its columns are patient, age."
    with pytest.raises(UsageError, match="names no file"):
        listed(folder, "\n")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a\\1.png\r\na\\b\\2.dcm\r\n", ["a/1.png", "a/b/2.dcm"]),
        ("\"a/1.png\"\n'a\\b\\2.dcm'\n", ["a/1.png", "a/b/2.dcm"]),
        ("# my list\na/1.png\n#a/b/2.dcm\n", ["a/1.png"]),
        ("# 3.png\n", ["# 3.png"]),
        ("a/1.png\ra/b/2.dcm\r", ["a/1.png", "a/b/2.dcm"]),
        ("a/1.png\na/missing.png\n", ["a/1.png", "a/missing.png"]),
        ("path\tpatient\na/1.png\t7\n", ["a/1.png"]),
        ("Image Path;age\na\\1.png;7,5\n", ["a/1.png"]),
    ],
)
def test_names_in_a_list_are_read_as_they_are_meant(folder, text, names):
    assert listed(folder, text) == names


@pytest.mark.parametrize("suffix", ["txt", "csv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_a_list_has_any_common_encoding(folder, suffix, encoding):
    assert listed(folder, "a/1.png\nä ö.png\n", f"list.{suffix}", encoding) == ["a/1.png", "ä ö.png"]
    assert listed(folder, "file,größe\nä ö.png,1\n", f"list.{suffix}", encoding) == ["ä ö.png"]


def test_a_name_that_exists_as_it_stands_is_not_changed(folder):
    for name in ("a\\1.png", '"quoted".png"'):
        (folder / name).touch()
    assert listed(folder, 'a\\1.png\n"quoted".png"\n') == ["a\\1.png", '"quoted".png"']


def test_paths_of_a_list_begin_at_home_with_a_tilde(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "a"))
    assert listed(folder, "~/1.png\n") == ["a/1.png"]


def test_a_list_of_which_nothing_exists_is_refused_at_once(folder, monkeypatch):
    with pytest.raises(UsageError, match=r"names 2 files, of which none exists, for example .*/c/1\.png") as caught:
        listed(folder, "c/1.png\nc/2.png\n")
    assert caught.value.hint == f"Relative paths start at the folder of the list, {folder}."
    monkeypatch.chdir(folder)
    (folder / "lists").mkdir()
    with pytest.raises(UsageError) as caught:
        listed(folder, "a/1.png\n", "lists/list.txt")
    assert "they exist below the current folder" in caught.value.hint


def test_incomplete_files_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / ".partial-x.png").touch()
    (tmp_path / "ward" / "a.png").touch()
    remove_partial_files(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.png")] == ["a.png"]

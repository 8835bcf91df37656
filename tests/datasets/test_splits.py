from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.datasets.splits import (
    PAPER_RATIOS,
    Ratios,
    draw_split,
    hold_out_validation,
    parse_ratios,
    read_split,
    resolve_split,
)
from lungmask_cli.errors import UsageError


def ids(count):
    return [f"i{number:03d}" for number in range(count)]


def test_the_papers_sizes_come_out_of_240_images():
    assert Counter(draw_split(ids(240), PAPER_RATIOS, seed=1).values()) == {"train": 160, "val": 40, "test": 40}


@given(st.integers(1, 300), st.integers(0, 5))
def test_every_image_is_in_one_part_and_training_is_never_empty(count, seed):
    split = draw_split(ids(count), PAPER_RATIOS, seed)
    assert sorted(split) == ids(count)
    parts = Counter(split.values())
    assert parts["train"] >= 1
    assert (parts["val"] >= 1) == (count >= 2)
    assert (parts["test"] >= 1) == (count >= 3)


def test_the_draw_depends_on_the_seed_and_not_on_the_order():
    forward, backward = draw_split(ids(50), PAPER_RATIOS, 3), draw_split(ids(50)[::-1], PAPER_RATIOS, 3)
    assert forward == backward
    assert forward != draw_split(ids(50), PAPER_RATIOS, 4)


def test_a_ratio_of_zero_gets_no_images():
    assert set(draw_split(ids(10), Ratios(1, 0, 1), 0).values()) == {"train", "test"}


def test_ratios_are_parsed():
    assert parse_ratios("160/40/40") == Ratios(160, 40, 40)
    assert parse_ratios("splits.csv") is None
    with pytest.raises(UsageError, match="above 0"):
        parse_ratios("0/1/1")


@pytest.fixture
def csv_file(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("id,first,second\ni000,train,test\ni001,val,train\ni002,test,unused\n")
    return path


def test_a_column_of_a_csv_file_is_a_split(csv_file):
    split, method = resolve_split(ids(4), f"{csv_file}:second", seed=0)
    assert split == {"i000": "test", "i001": "train", "i002": "unused", "i003": "unused"}
    assert method.startswith("s.csv:second (")


def test_a_file_with_several_splits_needs_a_column(csv_file):
    with pytest.raises(UsageError, match="contains several splits"):
        read_split(csv_file, None)
    with pytest.raises(UsageError, match="no column") as caught:
        read_split(csv_file, "secnd")
    assert "Did you mean second?" in caught.value.hint


def write(folder, text, encoding="utf-8"):
    (folder / "s.csv").write_bytes(text.encode(encoding))
    return folder / "s.csv"


def test_a_missing_column_lists_the_columns(csv_file):
    with pytest.raises(UsageError, match="has no column 'xyz'") as caught:
        read_split(csv_file, "xyz")
    assert caught.value.hint == "Columns: first, second."
    assert read_split(csv_file, "Second").column == "second"


@pytest.mark.parametrize(
    "text",
    [
        "name,split\na.png,Train\nimages/b.dcm,VAL\nc,test\n",
        "name;split\na.png;training\nX:\\set\\b.png;validation\n./c.nii.gz;testing\n",
        "age\tfile\tsubset\n7\ta\tTraining \n8\tb\tdev\n9\tc\tTest\n",
        "sep=;\r\nid;set\r\na;train\r\nb;Valid\r\nc;test\r\n",
        "# of the second trial\nid,age,fold_2\na,7,train\nb,8,val\nc,9,test\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_names_parts_and_delimiters_may_be_spelled_in_several_ways(tmp_path, text, encoding):
    split, _ = resolve_split(["a", "b", "c"], str(write(tmp_path, text, encoding)), 0)
    assert split == {"a": "train", "b": "val", "c": "test"}


def test_rows_and_radiographs_without_a_partner_are_counted(tmp_path):
    path = write(tmp_path, "id,split\na,train\nx,test\ny,test\n")
    split, method = resolve_split(["a", "b"], str(path), 0)
    assert split == {"a": "train", "b": "unused"}
    assert method == "s.csv:split (2 rows without a radiograph, 1 radiograph without a row, so unused)"


def test_radiographs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    path = write(tmp_path, "file,split\nH1/images/a.png,train\nH2/images/a.png,test\n")
    for ids in (["H1/a", "H2/a"], ["H1-a", "H2-a"]):
        assert list(resolve_split(ids, str(path), 0)[0].values()) == ["train", "test"]
    with pytest.raises(UsageError, match=r"H1/images/a\.png and H2/images/a\.png may both be a"):
        resolve_split(["a"], str(path), 0)
    with pytest.raises(UsageError, match=r"a\.png may be H1/a or H2/a"):
        resolve_split(["H1/a", "H2/a"], str(write(tmp_path, "file,split\na.png,train\n")), 0)


def test_names_that_only_look_like_files_are_taken_as_they_stand(tmp_path):
    path = write(tmp_path, "id,split\na.png,train\na,test\n")
    assert resolve_split(["a", "a.png"], str(path), 0)[0] == {"a": "test", "a.png": "train"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,split\ni000,learn\n", "i000 is in split 'learn'"),
        ("id,split\ni000,train\ni000,test\n", "i000 is in train and in test"),
        ("id,age,sex\ni000,70,f\n", "has no column of train, val, test, unused"),
    ],
)
def test_what_a_file_leaves_open_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read_split(write(tmp_path, text), None)


@pytest.mark.parametrize("text", ["", "id\n", "id\na\n", "id,split\n"])
def test_a_file_without_splits_is_an_error(tmp_path, text):
    with pytest.raises(UsageError, match="contains no splits"):
        read_split(write(tmp_path, text), None)


def test_a_file_without_any_of_the_images_is_an_error(csv_file):
    with pytest.raises(UsageError, match="contains none of the images"):
        resolve_split(["x"], f"{csv_file}:first", 0)


def test_validation_is_held_out_of_training_and_never_of_test():
    split = {**dict.fromkeys(ids(10), "train"), "t": "test"}
    held = hold_out_validation(split, seed=0)
    assert Counter(held.values()) == {"train": 8, "val": 2, "test": 1}
    assert held["t"] == "test"
    assert hold_out_validation({"a": "train", "b": "val"}, 0) == {"a": "train", "b": "val"}

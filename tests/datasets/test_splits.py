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
    assert method == "s.csv:second"


def test_a_file_with_several_splits_needs_a_column(csv_file):
    with pytest.raises(UsageError, match="contains several splits"):
        read_split(csv_file, None)
    with pytest.raises(UsageError, match="no column") as caught:
        read_split(csv_file, "secnd")
    assert "Did you mean second?" in caught.value.hint


def test_an_unknown_part_in_the_file_is_named(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("id,split\ni000,training\n")
    with pytest.raises(UsageError, match="i000 is in split 'training'"):
        read_split(path, None)


@pytest.mark.parametrize("text", ["", "id\n", "id\na\n", "id,split\n"])
def test_a_file_without_splits_is_an_error(tmp_path, text):
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match="contains no splits"):
        read_split(path, None)


def test_a_file_without_any_of_the_images_is_an_error(csv_file):
    with pytest.raises(UsageError, match="contains none of the images"):
        resolve_split(["x"], f"{csv_file}:first", 0)


def test_validation_is_held_out_of_training_and_never_of_test():
    split = {**dict.fromkeys(ids(10), "train"), "t": "test"}
    held = hold_out_validation(split, seed=0)
    assert Counter(held.values()) == {"train": 8, "val": 2, "test": 1}
    assert held["t"] == "test"
    assert hold_out_validation({"a": "train", "b": "val"}, 0) == {"a": "train", "b": "val"}

import csv
import io
import math

import numpy as np
import pytest

from lungmask_cli.errors import UsageError
from lungmask_cli.scoring.pairing import find_masks, pair_masks
from lungmask_cli.scoring.table import score_pair, summarize, to_csv
from tests.phantoms import save_mask

FULL, EMPTY = np.ones((2, 2), bool), np.zeros((2, 2), bool)
HALF = np.array([[True, True], [False, False]])


def score_folders(drawn, truth):
    first, second = find_masks(drawn), find_masks(truth)
    return [score_pair(pair, first, second) for pair in pair_masks(first, second)]


def test_every_pair_has_its_row_and_outcome(tmp_path):
    drawn, truth = tmp_path / "drawn", tmp_path / "truth"
    for name, one, two in (
        ("a", FULL, FULL),
        ("b", HALF, FULL),
        ("c", EMPTY, EMPTY),
        ("d", np.ones((3, 2), bool), FULL),
        ("e", FULL, None),
        ("f", None, FULL),
    ):
        if one is not None:
            save_mask(drawn / f"{name}.png", one)
        if two is not None:
            save_mask(truth / f"{name}.png", two)
    (drawn / "g.png").write_text("broken")
    save_mask(truth / "g.png", FULL)
    scores = score_folders(drawn, truth)
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(to_csv(scores)))}
    assert float(rows["a"]["dice"]) == 1
    assert float(rows["b"]["dice"]) == pytest.approx(2 / 3)
    assert float(rows["b"]["iou"]) == 0.5
    assert rows["c"]["dice"] == "nan"
    assert "d.png differ in size: 2 x 3 and 2 x 2 pixels" in rows["d"]["reason"]
    assert "e.png: has no partner in" in rows["e"]["reason"]
    assert "f.png: has no partner in" in rows["f"]["reason"]
    assert "g.png: is not a picture" in rows["g"]["reason"]
    summary = summarize(scores)
    assert (summary.scored, summary.undefined, summary.failed) == (2, 1, 4)
    mean, spread, median, least = summary.dice
    assert mean == median == pytest.approx(5 / 6)
    assert spread == pytest.approx(math.sqrt(2) / 6)  # (1/3) / sqrt 2
    assert least == pytest.approx(2 / 3)
    assert summary.worst == "b"


def test_masks_of_other_formats_and_folders_are_paired_by_stem(tmp_path):
    save_mask(tmp_path / "drawn" / "sub" / "a.png", FULL)
    save_mask(tmp_path / "truth" / "a.gif", FULL)
    (score,) = score_folders(tmp_path / "drawn", tmp_path / "truth")
    assert score.result is not None
    assert score.result.dice == 1


def test_stems_that_repeat_in_subfolders_are_paired_by_path(tmp_path):
    for folder, mask in (("x", FULL), ("y", HALF)):
        save_mask(tmp_path / "drawn" / folder / "a.png", mask)
        save_mask(tmp_path / "truth" / folder / "a.png", mask)
    assert [score.key for score in score_folders(tmp_path / "drawn", tmp_path / "truth")] == ["x/a", "y/a"]


def test_a_mask_is_found_by_its_stem_only_where_that_is_clear(tmp_path):
    for name in ("x/a", "y/a", "x/b"):
        save_mask(tmp_path / f"{name}.png", FULL)
    masks = find_masks(tmp_path)
    assert masks.find("y/a") == (tmp_path / "y" / "a.png",)
    assert masks.find("other/b") == (tmp_path / "x" / "b.png",)
    assert masks.find("a") is None


def test_left_and_right_lung_folders_are_one_mask(tmp_path):
    save_mask(tmp_path / "drawn" / "a.png", FULL)
    save_mask(tmp_path / "truth" / "left_lung" / "a.png", HALF)
    save_mask(tmp_path / "truth" / "right_lung" / "a.png", ~HALF)
    (score,) = score_folders(tmp_path / "drawn", tmp_path / "truth")
    assert score.result is not None
    assert score.result.dice == 1


def test_one_lung_alone_is_not_scored_as_both(tmp_path):
    for name in ("a", "b"):
        save_mask(tmp_path / "drawn" / f"{name}.png", FULL)
        save_mask(tmp_path / "truth" / "left_lung" / f"{name}.png", HALF)
    save_mask(tmp_path / "truth" / "right_lung" / "a.png", ~HALF)
    first, second = score_folders(tmp_path / "drawn", tmp_path / "truth")
    assert first.result is not None
    assert second.result is None
    assert "b.png: has no partner in the other of left_lung and right_lung" in second.reason


def test_overlays_are_not_masks(tmp_path):
    save_mask(tmp_path / "a.png", FULL)
    save_mask(tmp_path / "overlays" / "a.png", FULL)
    assert list(find_masks(tmp_path).files) == ["a"]


def test_a_folder_without_masks_and_two_masks_of_a_name_are_errors(tmp_path):
    with pytest.raises(UsageError, match="holds no mask"):
        find_masks(tmp_path)
    save_mask(tmp_path / "a.png", FULL)
    save_mask(tmp_path / "a.bmp", FULL)
    with pytest.raises(UsageError, match="same name"):
        find_masks(tmp_path)


def test_an_empty_summary_is_no_number():
    assert math.isnan(summarize([]).dice[0])

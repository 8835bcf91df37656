import csv
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungmask_cli.datasets.splits import TEST, TRAIN, VAL, draw_folds
from lungmask_cli.errors import UsageError
from lungmask_cli.training.folds import train_folds
from lungmask_cli.training.listing import find_runs
from lungmask_cli.training.plan import RunPlan, read_plan
from tests.training.test_training import TINY, make_set

ONE_EPOCH = TINY.merged({"epochs": 1})


@given(
    origins=st.dictionaries(
        st.text("abc", min_size=1, max_size=4), st.sampled_from(["JSRT", "Montgomery"]), min_size=3
    ),
    data=st.data(),
)
def test_each_image_is_tested_once_and_origins_are_spread(origins, data):
    count = data.draw(st.integers(2, len(origins)))
    folds = draw_folds(origins, count, seed=3)
    assert Counter(key for fold in folds for key in fold if fold[key] == TEST) == dict.fromkeys(origins, 1)
    for origin in set(origins.values()):
        tested = [sum(fold[key] == TEST and origins[key] == origin for key in fold) for fold in folds]
        assert max(tested) - min(tested) <= 1
    for fold in folds:
        others = [part for part in fold.values() if part != TEST]
        assert set(others) <= {TRAIN, VAL}
        assert TRAIN in others
        assert len(others) < 2 or VAL in others
    assert draw_folds(dict(reversed(origins.items())), count, seed=3) == folds


@pytest.mark.parametrize("count", [0, 1, 4])
def test_an_impossible_number_of_folds_is_refused(count):
    with pytest.raises(UsageError, match="3 images can be in 2 to 3 folds"):
        draw_folds(dict.fromkeys("abc", "x"), count, 0)


def test_a_cross_validation_tests_every_image_and_is_resumed(tmp_path):
    prepared = make_set(tmp_path / "set", 5, ["unused"] * 5)
    folder, lines = tmp_path / "cv", []
    plan = RunPlan(ONE_EPOCH, folder, folds=2)
    result = train_folds(plan, prepared)
    rows = list(csv.DictReader((folder / "test_dice.csv").open()))
    assert sorted(row["id"] for row in rows) == sorted(entry.id for entry in prepared.entries)
    assert result.images == 5
    assert result.test_dice == pytest.approx(sum(float(row["dice"]) for row in rows) / 5)
    before = (folder / "summary.json").read_text()
    assert len(json.loads(before)["test_dice_of_folds"]) == 2

    for name in ("summary.json", "fold-2/summary.json"):  # as if killed there
        (folder / name).unlink()
    states = {state.folder.name: state for state in find_runs(folder)}
    assert (states["cv"].done, states["cv"].epochs, states["cv"].state) == (2, 2, "unfinished")
    train_folds(read_plan(folder), prepared, lines.append)
    assert "fold 1 of 2: finished before" in lines
    assert json.loads((folder / "summary.json").read_text())["test_dice"] == json.loads(before)["test_dice"]
    with pytest.raises(UsageError, match="contains another run"):
        train_folds(plan, prepared)


def test_folds_and_splits_exclude_each_other(lungmask, plain_set, tmp_path):
    done = lungmask("train", plain_set, "-o", tmp_path / "cv", "--folds", 2, "--split", "1/1/1")
    assert done.returncode == 2
    assert "--folds makes its own splits" in done.stderr

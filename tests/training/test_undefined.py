"""Images with empty masks: their Dice is undefined, which is never NaN in a file, and in no mean."""

import csv
import json
import math
import warnings

import numpy as np
import pytest

from lungmask_cli.cli.train_run import _describe_dice
from lungmask_cli.config import TrainConfig
from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.preparation import PrepareOptions, prepare
from lungmask_cli.files import csv_text, write_json, write_text
from lungmask_cli.imaging.components import encode_runs
from lungmask_cli.scoring.overlap import mean_dice
from lungmask_cli.training.callbacks import RunRecorder
from lungmask_cli.training.checkpoint import TrainingState
from lungmask_cli.training.curves import LOSS_COLUMNS
from lungmask_cli.training.folds import _summarize
from lungmask_cli.training.listing import find_runs
from lungmask_cli.training.plan import RunPlan, read_plan
from lungmask_cli.training.run import train
from tests.phantoms import save_mask, write_plain_set
from tests.training.test_training import TINY

pytestmark = [pytest.mark.usefixtures("eagerly"), pytest.mark.filterwarnings("error::RuntimeWarning")]
PARTS = ["train", "train", "val", "test", "test", "test"]
# Learns within few steps that there are no lungs.
FAST: TrainConfig = TINY.merged({"epochs": 4, "optimizer": {"learning_rate": 1.0, "schedule": "constant", "ema": 0.0}})


def make_set(folder, empty):
    """Six phantoms, those of the numbers `empty` with empty masks."""
    source = write_plain_set(folder / "src", len(PARTS))
    for number in empty:
        save_mask(source / "masks" / f"p{number:03d}.png", np.zeros((64, 64), bool))
    pairing = find_pairs(source)
    split = dict(zip([pair.id for pair in pairing.pairs], PARTS, strict=True))
    return prepare(pairing, folder / "dst", split, "by hand", PrepareOptions(64))


def read_files(folder):
    """The text of all tables and JSON files of a run, none of which contains NaN."""
    paths = [path for path in folder.rglob("*") if path.suffix in (".csv", ".json")]
    files = {path.relative_to(folder).as_posix(): path.read_text() for path in paths}
    assert not [name for name, text in files.items() if "nan" in text.lower()]
    return files


def test_the_mean_is_of_the_test_images_with_a_dice(tmp_path, monkeypatch):
    nothing = encode_runs(np.zeros((64, 64), bool))
    monkeypatch.setattr("lungmask_cli.training.run.find_lungs", lambda prediction: nothing)
    result = train(RunPlan(TINY.merged({"epochs": 1}), tmp_path / "run"), make_set(tmp_path, [3, 4]))
    assert (result.test_count, result.test_undefined) == (3, 2)
    files = read_files(tmp_path / "run")
    assert files["test_dice.csv"] == "id,dice\np003,\np004,\np005,0.000000\n"
    summary = json.loads(files["summary.json"])
    assert (summary["test_dice"], summary["test_images"], summary["test_undefined"]) == (0.0, 3, 2)
    (state,) = find_runs(tmp_path / "run")
    assert state.test_dice == 0.0


def test_a_run_whose_masks_are_all_empty_ends_and_resumes(tmp_path):
    prepared, lines = make_set(tmp_path, range(6)), []
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "No artists")  # Matplotlib's about an empty legend
        result = train(RunPlan(FAST, tmp_path / "run"), prepared, lines.append)
    assert math.isnan(result.val_dice)
    assert math.isnan(result.test_dice)
    rows = list(csv.DictReader(read_files(tmp_path / "run")["metrics.csv"].splitlines()))
    assert rows[-1]["val_dice"] == ""
    losses = [float(row["val_loss"]) for row in rows]
    assert result.best_epoch == losses.index(min(losses)) + 1
    assert any("the Dice of all validation images is undefined" in line for line in lines)
    assert json.loads((tmp_path / "run" / "best.json").read_text())["scores"] == {"val_dice": None}
    again = train(read_plan(tmp_path / "run"), prepared)
    assert (again.best_epoch, again.test_undefined) == (result.best_epoch, 3)
    (state,) = find_runs(tmp_path / "run")
    assert (state.done, state.test_dice) == (4, None)


@pytest.mark.parametrize(
    ("folds", "mean", "sd", "lowest", "highest"),
    [
        (([0.5, math.nan], [0.7]), 0.6, 0.141421, 0.5, 0.7),
        (([math.nan, math.nan], [0.7]), 0.7, None, 0.7, 0.7),
        (([math.nan], [math.nan]), None, None, None, None),
    ],
)
def test_folds_count_undefined_images(tmp_path, folds, mean, sd, lowest, highest):
    for number, dices in enumerate(folds, 1):
        folder = tmp_path / f"fold-{number}"
        write_text(folder / "test_dice.csv", csv_text(("id", "dice"), enumerate(dices)))
        write_json(folder / "summary.json", {"test_dice": mean_dice(dices)[0], "seconds": 1})
    result = _summarize(tmp_path, len(folds))
    values = [None if math.isnan(value) else value for value in (result.test_dice, result.lowest, result.highest)]
    assert values == [mean, lowest, highest]
    images, undefined = sum(map(len, folds)), sum(math.isnan(dice) for dices in folds for dice in dices)
    assert (result.images, result.undefined) == (images, undefined)
    summary = json.loads(read_files(tmp_path)["summary.json"])
    assert (summary["test_dice"], summary["test_dice_sd"]) == (mean, sd)
    assert (summary["test_images"], summary["test_undefined"]) == (images, undefined)


@pytest.mark.parametrize(
    ("dices", "losses", "best"),
    [
        ([0.2, 0.5, 0.5, 0.4], [1, 2, 0, 0], 2),
        ([0.0, math.nan, math.nan, math.nan], [3, 2, 1, 2], 3),
        ([math.nan, 0.1, math.nan, 0.0], [1, 9, 1, 1], 2),
        ([math.nan, math.nan, 0.0, 0.0], [2, 1, 3, 3], 2),
    ],
)
def test_the_best_epoch_is_chosen_by_the_loss_where_there_is_no_dice(tmp_path, dices, losses, best):
    recorder = RunRecorder(tmp_path, {}, 0, None, TrainingState())
    others = dict.fromkeys(("dice", "loss", *LOSS_COLUMNS), 1.0)
    for epoch, (dice, loss) in enumerate(zip(dices, losses, strict=True)):
        recorder.on_epoch_end(epoch, {**others, "val_dice": dice, "val_loss": loss})
    assert recorder.best_epoch == best


def test_a_summary_of_an_earlier_version_with_nan_is_read(tmp_path):
    (tmp_path / "config.toml").write_text(FAST.to_toml())
    (tmp_path / "metrics.csv").write_text("epoch,val_dice\n1,\n2,nan\n3,0.5\n")
    (tmp_path / "summary.json").write_text('{"test_dice": NaN, "seconds": 60}')
    (state,) = find_runs(tmp_path)
    assert (state.done, state.val_dice, state.test_dice, state.minutes) == (3, 0.5, None, 1)


def test_the_result_says_how_many_images_have_no_dice():
    assert _describe_dice(0.9, 3, 0) == "Dice 0.9000 on 3 images"
    assert _describe_dice(0.9, 3, 2) == "Dice 0.9000 on 1 image, undefined on 2 with two empty masks"
    assert _describe_dice(math.nan, 3, 3) == "Dice undefined on 3 images: both masks are empty"

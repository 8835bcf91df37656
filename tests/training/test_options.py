import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

from lungmask_cli.config import AugmentationConfig, TrainConfig
from lungmask_cli.errors import ConfigError, UsageError
from lungmask_cli.models.weights import load_model
from lungmask_cli.training.callbacks import RunRecorder
from lungmask_cli.training.checkpoint import TrainingState
from lungmask_cli.training.listing import find_runs
from lungmask_cli.training.pictures import COLUMNS, draw_augmentations
from lungmask_cli.training.plan import RunPlan, read_plan, write_plan
from lungmask_cli.training.run import train
from tests.phantoms import draw_phantom, save_grey, write_plain_set
from tests.training.test_training import TINY, make_set

pytestmark = pytest.mark.usefixtures("eagerly")


def small_set(folder):
    return make_set(folder, 5, ["train"] * 3 + ["val"] * 2)


def epochs_of(folder):
    return len((folder / "metrics.csv").read_text().splitlines()) - 1


def test_patience_stops_a_run_that_does_not_improve(tmp_path, monkeypatch):
    still = TINY.merged({"epochs": 9, "patience": 2, "optimizer": {"learning_rate": 1e-12, "schedule": "constant"}})
    prepared = small_set(tmp_path)
    result = train(RunPlan(still, tmp_path / "run"), prepared)
    assert epochs_of(tmp_path / "run") == 3
    assert result.best_epoch == 1
    monkeypatch.setattr(keras.Model, "fit", None)  # a run that has stopped is not continued
    train(read_plan(tmp_path / "run"), prepared)
    assert epochs_of(tmp_path / "run") == 3


def test_patience_of_0_never_stops_a_run(tmp_path):
    recorder = RunRecorder(tmp_path, {}, 0, None, TrainingState(({"val_dice": 0.5},) * 50, best_epoch=1))
    assert not recorder.has_stopped


def test_training_in_16_bits_leaves_weights_of_32_bits(tmp_path):
    config = TINY.merged({"precision": "mixed_bfloat16", "loss": {"adversarial": 0.1}})
    train(RunPlan(config, tmp_path / "run"), small_set(tmp_path))
    assert keras.config.dtype_policy().name == "float32"
    weights = load_model(tmp_path / "run" / "last.weights.h5").generator.get_weights()
    assert {array.dtype for array in weights} == {np.dtype("float32")}
    with pytest.raises(ConfigError, match="precision must be one of"):
        TINY.merged({"precision": "float8"})


def test_fine_tuning_starts_from_the_weights(tmp_path):
    prepared = small_set(tmp_path)
    train(RunPlan(TINY, tmp_path / "first"), prepared)
    still = TINY.merged({"epochs": 1, "optimizer": {"learning_rate": 1e-12, "ema": 0.0, "schedule": "constant"}})
    best = tmp_path / "first" / "best.weights.h5"
    train(RunPlan(still, tmp_path / "second", init=str(best)), prepared)
    first, second = (
        load_model(path).generator.get_weights() for path in (best, tmp_path / "second" / "last.weights.h5")
    )
    assert all(np.allclose(one, two, atol=1e-6) for one, two in zip(first, second, strict=True))
    other = TINY.merged({"generator": {"filters": 4}})
    with pytest.raises(UsageError, match="belongs to another generator"):
        train(RunPlan(other, tmp_path / "third", init=str(best)), prepared)


def test_init_brings_its_recipe_and_a_tenth_of_its_learning_rate(train_inside, tiny_run, plain_set, tmp_path):
    done = train_inside(plain_set, "-o", tmp_path / "run", "--init", tiny_run[0], "--epochs", 1, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    (state,) = find_runs(tmp_path)
    assert (state.done, state.epochs, state.state) == (1, 1, "finished")
    text = (tmp_path / "run" / "config.toml").read_text()
    assert "image_size = 64" in text
    assert "learning_rate = 0.0001" in text
    assert "before training: val Dice 0.8" in done.stderr or "before training: val Dice 0.9" in done.stderr
    assert "--init general" not in done.stderr
    assert state.val_dice > 0.8  # it starts from the weights of the other run
    strips = list((tmp_path / "run" / "progress").glob("epoch_*.png"))
    assert [path.name for path in strips] == ["epoch_0001.png"]
    assert Image.open(strips[0]).size[1] == 64


def test_runs_lists_the_runs_in_a_folder(inside, tiny_run, tmp_path):
    done = inside("runs", tiny_run[0].parent)
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert (row["done"], row["epochs"], row["state"]) == ("15", "15", "finished")
    assert float(row["test_dice"]) > 0.8
    (status,) = json.loads(inside("runs", tiny_run[0].parent, "--json").stdout)
    assert (status["done"], status["state"]) == (15, "finished")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.toml").write_text("no = [toml")
    assert "no runs in" in inside("runs", tmp_path).stderr
    assert inside("runs", tmp_path / "nowhere").returncode == 2


def test_an_unfinished_run_is_listed_as_such(tmp_path):
    (tmp_path / "config.toml").write_text(TrainConfig().to_toml())
    (tmp_path / "metrics.csv").write_text("epoch,val_dice\n1,0.5\n2,0.75\n")
    (state,) = find_runs(tmp_path)
    assert (state.done, state.val_dice, state.test_dice, state.state) == (2, 0.75, None, "unfinished")


def test_augmentations_are_drawn_separately_and_combined():
    phantom = draw_phantom(64, 64)
    pairs = [(phantom.image, phantom.lungs.astype(np.float32)[..., None])]
    plain = np.asarray(draw_augmentations(pairs, AugmentationConfig(), 0))
    some = np.asarray(draw_augmentations(pairs, AugmentationConfig(flip_probability=0.01, gamma=0.5), 0))
    height = plain.shape[0]
    assert some.shape[0] == 5 * height  # original, two augmentations, twice all combined
    cell = plain.shape[1] // COLUMNS
    assert np.array_equal(some[16:height], plain[16:])
    flipped = some[2 * height + 16 : 3 * height, :cell].astype(int)  # in the order of the configuration
    unchanged = plain[16:, :cell].astype(int)
    assert np.abs(flipped[:, ::-1] - unchanged).mean() < np.abs(flipped - unchanged).mean() / 4


def test_show_batch_draws_a_picture_and_does_not_train(lungmask, tmp_path):
    data = write_plain_set(tmp_path / "set", 6)
    done = lungmask("train", data, "-o", tmp_path / "run", "--show-batch", tmp_path / "b.png", "--image-size", 64)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "b.png")
    assert Image.open(tmp_path / "b.png").size[0] == COLUMNS * 192
    assert not (tmp_path / "run").exists()


def test_labels_are_those_of_the_preparation(inside, tmp_path):
    for seed in range(4):
        phantom = draw_phantom(64, 64, seed)
        save_grey(tmp_path / "set" / "images" / f"{seed}.png", phantom.image)
        labels = phantom.right * 1 + phantom.left * 2
        labels[44:50, 28:34] = 3
        (tmp_path / "set" / "masks").mkdir(exist_ok=True)
        Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "set" / "masks" / f"{seed}.png")
    done = inside("train", tmp_path / "set", "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "--labels RIGHT,LEFT" in done.stderr
    options = ("--labels", "1,2", "--show-batch", tmp_path / "batch.png", "--image-size", 64)
    assert inside("train", tmp_path / "set", "-o", tmp_path / "run", *options).returncode == 0
    done = inside("preprocess", tmp_path / "set", "-o", tmp_path / "prepared", "--labels", "1,2")
    assert done.returncode == 0
    done = inside("train", tmp_path / "prepared", "-o", tmp_path / "run", "--labels", "1,2")
    assert done.returncode == 2
    assert "Give --labels or --threshold to lungmask preprocess" in done.stderr


def test_the_plan_of_a_run_keeps_the_labels(tmp_path):
    plan = RunPlan(TINY, tmp_path, labels="#00ff00,#0000ff", threshold=0.5)
    write_plan(plan, small_set(tmp_path), {})
    again = read_plan(tmp_path)
    assert (again.labels, again.threshold) == (plan.labels, plan.threshold)

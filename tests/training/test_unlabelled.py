"""Training with radiographs without masks beside those with masks."""

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.cli.train_run import draw_batch
from lungmask_cli.datasets.cache import open_or_prepare_unlabelled
from lungmask_cli.datasets.preparation import PrepareOptions
from lungmask_cli.datasets.prepared import read_prepared
from lungmask_cli.errors import UsageError
from lungmask_cli.inference.two_pass import find_lungs, predict
from lungmask_cli.models.load import load_network
from lungmask_cli.scoring.overlap import overlap
from lungmask_cli.training.batches import RadiographBatches
from lungmask_cli.training.callbacks import RunRecorder
from lungmask_cli.training.checkpoint import TrainingState
from lungmask_cli.training.folds import train_folds
from lungmask_cli.training.plan import RunPlan, read_plan
from lungmask_cli.training.run import train
from tests.phantoms import draw_phantom, save_grey, write_plain_set
from tests.training.test_checkpoint import assert_same_run, interrupt, read_weights
from tests.training.test_training import TINY, make_set

pytestmark = pytest.mark.usefixtures("eagerly")
BOTH = {"unlabelled": {"adversarial": 0.01, "consistency": 0.5, "start": 0.0}}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_radiographs(folder, count, first=100):
    """Phantoms of another scanner, without masks."""
    for seed in range(first, first + count):
        save_grey(folder / f"x{seed}.png", scan(draw_phantom(64, 64, seed).image, seed))
    return folder


def scan(image, seed):
    """A radiograph of another contrast, with other noise."""
    noise = np.random.default_rng(seed).normal(0, 0.08, image.shape)
    return np.clip(image**3 + noise, 0, 1).astype(np.float32)


def open_unlabelled(folder, labelled):
    return open_or_prepare_unlabelled([folder], PrepareOptions(64), labelled)


@pytest.fixture
def sets(tmp_path, cache):
    """Three images with masks for training, one each for validation and test, and five without masks."""
    labelled = make_set(tmp_path / "set", 5, ["train"] * 3 + ["val", "test"])
    return labelled, open_unlabelled(write_radiographs(tmp_path / "others", 5), labelled)


def open_batches(sets, **changes):
    labelled, unlabelled = sets
    config = TINY.merged({"batch_size": 4, "unlabelled": {"adversarial": 0.01, "consistency": 0.0}}).merged(changes)
    return RadiographBatches(labelled, labelled.entries_in("train"), config, is_training=True, unlabelled=unlabelled)


@pytest.mark.parametrize(
    ("size", "share", "counts"),
    [(4, 0.5, (2, 2)), (4, 0.25, (3, 1)), (4, 0.01, (3, 1)), (2, 0.9, (1, 1)), (8, 0.5, (3, 4))],
)
def test_each_batch_has_a_share_of_them_without_masks(sets, size, share, counts):
    batches = open_batches(sets, batch_size=size, unlabelled={"share": share})
    assert len(batches) == 3 // counts[0]
    images, masks = batches[0]
    assert len(images) == len(masks) == sum(counts)
    assert masks[: counts[0]].min() >= 0
    assert (masks[counts[0] :] == -1).all()
    assert images.shape[-1] == 1


def test_all_are_shown_equally_often_in_a_new_order_each_time(sets):
    batches = open_batches(sets)
    plain = [batches._load(1, row)[0] for row in range(5)]
    shown = []
    for epoch in range(1, 11):  # of one step with two of them
        batches.epoch = epoch
        for image in batches[0][0][2:, ..., 0]:
            shown.append(int(np.argmin([np.abs(image - other).mean() for other in plain])))
    assert Counter(shown) == dict.fromkeys(range(5), 4)
    turns = [tuple(shown[start : start + 5]) for start in range(0, 20, 5)]
    assert all(sorted(turn) == list(range(5)) for turn in turns)
    assert len(set(turns)) > 1


@pytest.mark.parametrize("memory_gb", [4, 0])
def test_shards_have_equally_many_of_them_and_make_the_batch(sets, memory_gb):
    labelled, unlabelled = sets
    config = TINY.merged({"batch_size": 4, **BOTH})
    batches = RadiographBatches(
        labelled, labelled.entries_in("train"), config, is_training=True, memory_gb=memory_gb, unlabelled=unlabelled
    )
    images, masks = batches.shard(3, 0)
    for shard in (0, 1):
        own_images, own_masks = batches.shard(3, 0, shard, 2)
        assert np.array_equal(own_images, images[shard::2])
        assert np.array_equal(own_masks, masks[shard::2])


def test_the_second_channel_is_the_same_radiograph_moved_alike_but_not_changed(sets):
    warp = {"rotation_degrees": 20.0, "shift": 0.1, "flip_probability": 0.5}
    changes = {"noise": 0.2, "gamma": 0.9, "invert_probability": 1.0, "border_probability": 1.0, "blur": 0.02}
    moved, _ = open_batches(sets, augmentation=warp, **BOTH)[0]
    inside = moved[2:, ..., 1] > 0  # outside of the radiograph the first channel may continue its edge
    assert inside.mean() > 0.6
    assert np.array_equal(moved[2:, ..., 0][inside], moved[2:, ..., 1][inside])
    changed, _ = open_batches(sets, augmentation={**warp, **changes}, **BOTH)[0]
    assert np.array_equal(changed[2:, ..., 1], moved[2:, ..., 1])
    assert np.abs(changed[2:, ..., 0] - moved[2:, ..., 0])[inside].mean() > 0.1
    assert changed[:2, ..., 1].max() == 0


def test_opacities_are_painted_where_lungs_may_be_and_not_into_the_second_channel(sets):
    original, _ = open_batches(sets, **BOTH)[0]
    images, _ = open_batches(sets, augmentation={"opacity_probability": 1.0, "effusion_probability": 1.0}, **BOTH)[0]
    painted = images[2:, ..., 0] - original[2:, ..., 0]
    assert np.array_equal(images[2:, ..., 1], original[2:, ..., 0])
    assert painted.min() >= -1e-6
    assert (painted.max(axis=(1, 2)) > 0.02).all()


def test_a_run_from_weights_with_them_resumes_bit_for_bit(sets, tmp_path, monkeypatch):
    """The validation Dice of the weights that it started from is in the checkpoint."""
    labelled, unlabelled = sets
    train(RunPlan(TINY.merged({"epochs": 1}), tmp_path / "first"), labelled)
    config, init = TINY.merged({"epochs": 2, **BOTH}), str(tmp_path / "first" / "best.weights.h5")
    lines = []
    train(RunPlan(config, tmp_path / "whole", init=init), labelled, lines.append, unlabelled=unlabelled)
    assert any("3 train and 5 without masks" in line for line in lines)
    with monkeypatch.context() as patched:
        interrupt(patched, "on_epoch_end", 2)
        with pytest.raises(KeyboardInterrupt):
            train(RunPlan(config, tmp_path / "run", init=init), labelled, unlabelled=unlabelled)
    for others in (replace(unlabelled, entries=unlabelled.entries[1:]), None):
        with pytest.raises(UsageError, match="its radiographs without masks have changed"):
            train(read_plan(tmp_path / "run"), labelled, unlabelled=others)
    train(read_plan(tmp_path / "run"), labelled, unlabelled=unlabelled)
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "best.json").read_text())
    assert manifest["data"]["unlabelled"] == {"images": 5, "manifest_sha256": unlabelled.manifest_sha256()}
    with (tmp_path / "run" / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            assert float(row["unlabelled_adversarial_loss"]) > 0
            assert float(row["consistency_loss"]) > 0


@pytest.mark.parametrize(
    ("before", "dices", "start", "best", "fallen"),
    [
        ({}, [0.90, 0.95, 0.948, 0.946], 2, 3, False),  # the last one within the tolerance
        ({}, [0.90, 0.95, 0.948, 0.949], 2, 4, False),
        ({}, [0.90, 0.95, 0.94, 0.93], 2, 2, True),
        ({}, [0.95, 0.94], 0, 2, False),  # nothing to compare with
        ({"val_dice": 0.97}, [0.96, 0.966, 0.9665], 1, 0, True),
        ({"val_dice": 0.97}, [0.98, 0.9775, 0.976], 1, 2, False),
        ({"val_dice": 0.97}, [0.96], 1, 0, False),  # they are not learnt from yet
        ({"val_dice": float("nan"), "val_loss": 1.0}, [float("nan")] * 2, 0, 2, False),
    ],
)
def test_weights_from_before_are_kept_if_the_validation_dice_falls(tmp_path, before, dices, start, best, fallen):
    recorder = RunRecorder(tmp_path, {}, 0, None, TrainingState(before=before), start)
    for epoch, dice in enumerate(dices):
        recorder.on_epoch_end(epoch, {"val_dice": dice, "val_loss": 1.0})
    assert (recorder.best_epoch, recorder.has_fallen) == (best, fallen)


def test_initial_weights_are_kept_and_said_so(sets, tmp_path, monkeypatch):
    labelled, unlabelled = sets
    one = TINY.merged({"epochs": 1, **BOTH})
    train(RunPlan(one, tmp_path / "first"), labelled)
    init = tmp_path / "first" / "best.weights.h5"
    monkeypatch.setattr("lungmask_cli.training.callbacks.TOLERANCE", -2.0)  # no epoch is good enough
    lines = []
    result = train(RunPlan(one, tmp_path / "run", init=str(init)), labelled, lines.append, unlabelled=unlabelled)
    assert result.best_epoch == 0
    assert any("the best weights from before are kept" in line for line in lines)
    kept, given = (read_weights(path) for path in (tmp_path / "run" / "best.weights.h5", init))
    assert all(np.array_equal(kept[name], given[name]) for name in given)


def test_radiographs_that_have_masks_are_left_out_and_masks_beside_the_others_are_not_used(tmp_path, cache):
    labelled = make_set(tmp_path / "set", 4, ["train"] * 2 + ["val", "test"])
    folder = write_plain_set(tmp_path / "folder", 4)  # the same four, with masks
    with pytest.raises(UsageError, match="all radiographs are among those with masks"):
        open_unlabelled(folder, labelled)
    write_radiographs(folder / "images", 2)
    unlabelled = open_unlabelled(folder, labelled)
    assert [entry.id for entry in unlabelled.entries] == ["x100", "x101"]
    assert unlabelled.problems[0] == "4 radiographs without masks left out: also among those with masks"
    assert all(entry.files == (entry.image,) for entry in unlabelled.entries)
    assert not (unlabelled.folder / "masks").exists()
    again = open_unlabelled(folder, labelled)
    assert again.manifest_sha256() == unlabelled.manifest_sha256()

    other = make_set(tmp_path / "prepared", 6, ["train"] * 6)
    kept = open_unlabelled(other.folder, labelled)
    assert len(kept.entries) == 2
    assert not any(entry.mask for entry in kept.entries)
    assert all(entry.mask for entry in read_prepared(other.folder).entries)


def test_folds_learn_from_all_of_them(sets, tmp_path):
    labelled, unlabelled = sets
    train_folds(RunPlan(TINY.merged({"epochs": 1}), tmp_path / "cv", folds=2), labelled, unlabelled=unlabelled)
    for fold in (1, 2):
        manifest = json.loads((tmp_path / "cv" / f"fold-{fold}" / "best.json").read_text())
        assert manifest["data"]["unlabelled"]["images"] == 5


def test_weights_that_are_adapted_to_another_scanner_are_better_there(tmp_path, cache):
    """Of five seeds, none lost; the mean gain was 0.021."""
    tf = pytest.importorskip("tensorflow")
    tf.config.run_functions_eagerly(False)  # enough steps for a graph to be faster
    labelled = make_set(tmp_path / "set", 10, ["train"] * 8 + ["val", "test"])
    unlabelled = open_unlabelled(write_radiographs(tmp_path / "others", 16), labelled)
    config = TINY.merged(
        {
            "epochs": 25,
            "discriminator": {"name": "none"},
            "generator": {"filters": 8, "levels": 3},
            "optimizer": {"learning_rate": 0.003},
            "augmentation": {"shift": 0.08, "scale": 0.1, "noise": 0.1, "gamma": 0.5, "contrast": 0.3},
        }
    )
    train(RunPlan(config, tmp_path / "before"), labelled)
    changes = {"batch_size": 4, "optimizer": {"learning_rate": 0.001}, "unlabelled": {"start": 0.0}}
    init = str(tmp_path / "before" / "best.weights.h5")
    train(RunPlan(config.merged(changes), tmp_path / "after", init=init), labelled, unlabelled=unlabelled)
    before, after = (dice_on_the_other_scanner(tmp_path / name) for name in ("before", "after"))
    assert after > before + 0.01


def dice_on_the_other_scanner(run):
    network = load_network(run / "best.weights.h5")
    phantoms = [(draw_phantom(64, 64, seed), seed) for seed in range(500, 506)]
    found = [find_lungs(predict([network], scan(phantom.image, seed))) for phantom, seed in phantoms]
    return np.mean([overlap(f.paint(), phantom.lungs).dice for f, (phantom, _) in zip(found, phantoms, strict=True)])


def test_the_command_names_broken_files_and_resumes_from_another_folder(train_inside, plain_set, tmp_path, cache):
    others = write_radiographs(tmp_path / "others", 4)
    broken = others / "broken.png"
    broken.write_bytes((others / "x100.png").read_bytes()[:200])
    (others / "notes.txt").write_text("no image")
    (tmp_path / "small.toml").write_text("[generator]\nfilters = 2\nlevels = 2\n[discriminator]\nfilters = 2\n")
    options = ("--unlabelled", others, "--config", tmp_path / "small.toml", "--image-size", 32, "--epochs", 1)
    done = train_inside(plain_set, *options, "--device", "cpu", "--unlabelled-share", 0.25, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "broken.png" in done.stderr
    assert "and 4 without masks" in done.stderr
    shutil.move(others, tmp_path / "moved")
    lost = train_inside("--resume", tmp_path / "run")
    assert lost.returncode == 2
    assert "--unlabelled FOLDER --resume" in lost.stderr
    again = train_inside("--resume", tmp_path / "run", "--unlabelled", tmp_path / "moved")
    assert again.returncode == 0, again.stderr
    assert "resuming after epoch 1 of 1" in again.stderr


def test_they_are_drawn_beside_the_others(sets, tmp_path, monkeypatch):
    monkeypatch.setattr("lungmask_cli.networks.backend.choose_device", lambda hardware: None)
    for unlabelled in (None, sets[1]):
        draw_batch(sets[0], unlabelled, TINY, tmp_path / f"{unlabelled is None}.png")
    without, with_them = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in (True, False))
    assert without.shape == with_them.shape
    half = without.shape[1] // 2
    assert np.array_equal(without[:, :half], with_them[:, :half])
    assert not np.array_equal(without[:, half:], with_them[:, half:])


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        (
            ("--preset", "compact-robust"),
            "unlabelled.adversarial needs a discriminator, and preset compact-robust has none",
            "--discriminator",
        ),
        (("--batch-size", 1), "needs batches of two images or more", "--batch-size 4"),
        (("--unlabelled-share", 1), "unlabelled.share must be between 0 and 1", ""),
        (("--unlabelled", "nowhere"), "nowhere: no such folder", ""),
    ],
)
def test_what_cannot_be_trained_is_refused(inside, plain_set, tmp_path, options, problem, hint):
    others = write_radiographs(tmp_path / "others", 1)
    (tmp_path / "adversary.toml").write_text("[unlabelled]\nadversarial = 0.01\n")
    adversary = ("--unlabelled", others, "--config", tmp_path / "adversary.toml")
    done = inside("train", plain_set, *adversary, *options, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert problem in done.stderr
    assert hint in done.stderr
    assert not (tmp_path / "run").exists()

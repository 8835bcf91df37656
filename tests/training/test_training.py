import csv
import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lungmask_cli.cli.train_run import _write_onnx
from lungmask_cli.config import AugmentationConfig, OptimizerConfig, TrainConfig, read_toml
from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.preparation import PrepareOptions, prepare
from lungmask_cli.datasets.splits import read_split
from lungmask_cli.errors import UsageError
from lungmask_cli.models.load import load_network
from lungmask_cli.models.weights import load_model
from lungmask_cli.networks.presets import PRESETS
from lungmask_cli.training.augmentation import augment
from lungmask_cli.training.batches import RadiographBatches
from lungmask_cli.training.plan import RunPlan
from lungmask_cli.training.run import build_optimizer, train
from tests.phantoms import draw_phantom, write_heart_set, write_plain_set

STRONG = PRESETS["compact"].config.augmentation
pytestmark = pytest.mark.usefixtures("eagerly")
TINY = TrainConfig().merged(
    {
        "image_size": 32,
        "epochs": 2,
        "batch_size": 2,
        "generator": {"filters": 2, "levels": 2},
        "discriminator": {"filters": 2},
    }
)


def make_set(folder, count, split):
    pairing = find_pairs(write_plain_set(folder / "src", count))
    names = [pair.id for pair in pairing.pairs]
    return prepare(pairing, folder / "dst", dict(zip(names, split, strict=True)), "by hand", PrepareOptions(64))


def test_augmentation_depends_on_the_random_generator_alone():
    phantom = draw_phantom()
    mask = phantom.lungs.astype(np.float32)
    one, two, other = (augment(phantom.image, mask, STRONG, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("seed", range(12))
def test_augmentation_moves_image_and_mask_together(seed):
    phantom = draw_phantom()
    geometric = replace(
        AugmentationConfig(), rotation_degrees=20.0, scale=0.2, shift=0.1, shear_degrees=5.0, elastic=0.02
    )
    image, mask = augment(phantom.image, phantom.lungs.astype(np.float32), geometric, np.random.default_rng(seed))
    assert image.shape == mask.shape == (128, 128)
    assert not np.array_equal(image, phantom.image)
    # In the phantom, only the air around the body has the grey value of the lungs.
    body = image > 0.45
    assert np.mean(mask[body]) < 0.02
    assert image[mask > 0.9].mean() < 0.35


@pytest.mark.parametrize("seed", range(12))
def test_augmentation_keeps_values_in_range_and_collimation_off_the_lungs(seed):
    phantom = draw_phantom()
    mask = phantom.lungs.astype(np.float32)
    image, changed = augment(phantom.image, mask, STRONG, np.random.default_rng(seed))
    assert image.min() >= 0
    assert image.max() <= 1
    assert changed.min() >= 0
    assert changed.max() <= 1
    framed, kept = augment(
        phantom.image,
        mask,
        AugmentationConfig(border_probability=1.0, label_probability=1.0),
        np.random.default_rng(seed),
    )
    assert np.array_equal(kept, mask)
    assert np.array_equal(framed[mask > 0], phantom.image[mask > 0])
    assert not np.array_equal(framed, phantom.image)


@pytest.mark.parametrize("seed", range(6))
def test_fluid_fills_the_lower_part_of_one_lung_and_leaves_the_mask(seed):
    phantom = draw_phantom()
    mask = phantom.lungs.astype(np.float32)
    fluid = AugmentationConfig(effusion_probability=1.0)
    image, same = augment(phantom.image, mask, fluid, np.random.default_rng(seed))
    assert np.array_equal(same, mask)
    brighter = image - phantom.image
    assert brighter.min() >= 0
    filled, free = sorted((phantom.left, phantom.right), key=lambda lung: -brighter[lung].mean())
    assert brighter[filled].max() > 0.2
    assert brighter[free].max() < 0.02
    height = (brighter * filled).sum(1)
    rows = np.flatnonzero(filled.any(1))
    assert height[rows[0] : rows[0] + 8].mean() < height[rows[len(rows) // 2] :].mean()


@pytest.mark.parametrize("seed", range(6))
def test_opacities_brighten_lungs_that_stay_lungs(seed):
    phantom = draw_phantom()
    mask = phantom.lungs.astype(np.float32)
    opacities = AugmentationConfig(opacity_probability=1.0)
    image, kept = augment(phantom.image, mask, opacities, np.random.default_rng(seed))
    assert np.array_equal(kept, mask)
    assert (image >= phantom.image - 1e-6).all()
    assert image[phantom.lungs].mean() > phantom.image[phantom.lungs].mean() + 0.005


def test_no_augmentation_changes_nothing():
    phantom = draw_phantom()
    image, _ = augment(phantom.image, phantom.lungs.astype(np.float32), AugmentationConfig(), np.random.default_rng(0))
    assert np.array_equal(image, phantom.image)


def test_each_epoch_has_every_image_once_in_a_new_order(tmp_path):
    prepared = make_set(tmp_path, 6, ["train"] * 6)
    batches = RadiographBatches(prepared, prepared.entries, TINY.merged({"seed": 1}), is_training=True)

    def epoch():
        return [image.tobytes() for index in range(len(batches)) for image in batches[index][0]]

    first = epoch()
    batches.epoch = 2
    second = epoch()
    assert len(set(first)) == 6
    assert Counter(first) == Counter(second)
    assert first != second
    again = RadiographBatches(prepared, prepared.entries, TINY.merged({"seed": 1}), is_training=True)
    assert [image.tobytes() for index in range(3) for image in again[index][0]] == first


@pytest.mark.parametrize(("balance", "large"), [(0.5, {12, 13, 14}), (1.0, {8, 9, 10})])
def test_small_data_sets_are_shown_more_often_if_they_are_balanced(tmp_path, balance, large):
    prepared = make_set(tmp_path, 18, ["train"] * 18)
    entries = [replace(entry, origin="large" if row < 16 else "small") for row, entry in enumerate(prepared.entries)]
    noisy = {"balance": balance, "batch_size": 6, "augmentation": {"noise": 0.1, "brightness": 0.1}}
    batches = RadiographBatches(prepared, entries, TINY.merged(noisy), is_training=True)
    plain = RadiographBatches(prepared, entries, TINY.merged({"balance": balance, "batch_size": 6}), is_training=True)
    known = [image.tobytes() for image, _ in plain.first_pairs(18)]
    shown = Counter()
    for epoch in range(1, 5):
        batches.epoch = plain.epoch = epoch
        rows = [known.index(image[..., 0].tobytes()) for index in range(3) for image in plain[index][0]]
        assert sum(row < 16 for row in rows) in large
        assert len({image.tobytes() for index in range(3) for image in batches[index][0]}) == 18
        shown.update(rows)
    assert len(shown) == 18


@pytest.mark.parametrize("shards", [1, 2, 3, 5])
def test_the_shards_of_a_batch_make_it_whole(tmp_path, shards):
    prepared = make_set(tmp_path, 5, ["val"] * 5)
    batches = RadiographBatches(prepared, prepared.entries, TINY.merged({"batch_size": 3}))
    for index in range(2):  # of three and of two images
        parts = [batches.shard(1, index, shard, shards) for shard in range(shards)]
        sizes = [len(images) for images, _ in parts]
        assert max(sizes) - min(sizes) <= 1
        for whole, pieces in zip(batches[index], zip(*parts, strict=True), strict=True):
            assert np.array_equal(np.concatenate(pieces), whole)


def make_heart_set(folder, count, drawn):
    pairing = find_pairs(write_heart_set(folder / "src", count, drawn=drawn))
    split = {pair.id: "train" for pair in pairing.pairs}
    return prepare(pairing, folder / "dst", split, "all", PrepareOptions(64))


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("memory_gb", [1, 0])
def test_batches_have_a_channel_for_each_structure_and_minus_one_where_no_heart_is_drawn(
    tmp_path, is_training, memory_gb
):
    prepared = make_heart_set(tmp_path, 4, drawn=2)
    config = TINY.merged({"structures": ["lungs", "heart"], "batch_size": 4, "augmentation": {"rotation_degrees": 5.0}})
    _, masks = RadiographBatches(prepared, prepared.entries, config, is_training, memory_gb)[0]
    assert masks.shape == (4, 32, 32, 2)
    undrawn = [bool((one[..., 1] == -1).all()) for one in masks]
    assert sum(undrawn) == 2
    for one, is_missing in zip(masks, undrawn, strict=True):
        assert one[..., 0].min() >= 0
        assert is_missing or (one[..., 1].min() >= 0 and one[..., 1].max() == pytest.approx(1, abs=0.01))
    _, lungs = RadiographBatches(prepared, prepared.entries, TINY, is_training, memory_gb)[0]
    assert lungs.shape[-1] == 1


def test_augmentation_moves_the_heart_with_the_lungs():
    phantom = draw_phantom(64, 64, 1, heart=True)
    masks = np.stack([phantom.lungs, phantom.heart], -1).astype(np.float32)
    both, alone = (augment(phantom.image, mask, STRONG, np.random.default_rng(3)) for mask in (masks, masks[..., 0]))
    assert np.array_equal(both[0], alone[0])
    assert np.array_equal(both[1][..., 0], alone[1])
    plain = AugmentationConfig(shift=0.2)
    moved = augment(phantom.image, masks, plain, np.random.default_rng(5))[1]
    shifts = [np.argwhere(moved[..., one] > 0.5).mean(0) - np.argwhere(masks[..., one] > 0.5).mean(0) for one in (0, 1)]
    assert shifts[0] == pytest.approx(shifts[1], abs=1)


def test_reduced_masks_keep_the_fraction_of_lung(tmp_path):
    prepared = make_set(tmp_path, 1, ["train"])
    _, masks = RadiographBatches(prepared, prepared.entries, TINY)[0]
    assert masks.mean() == pytest.approx(draw_phantom(64, 64, 0).lungs.mean(), abs=0.005)
    assert ((masks > 0) & (masks < 1)).any()


def test_a_network_that_zooms_is_trained_and_saved_as_such(tmp_path):
    prepared = make_set(tmp_path, 4, ["train", "train", "val", "test"])
    result = train(RunPlan(TINY.merged({"zoom": True}), tmp_path / "run"), prepared)
    assert not math.isnan(result.test_dice)
    network = load_network(tmp_path / "run" / "best.weights.h5")
    assert (network.zoom, network.detail) == (True, 64)


def test_the_learning_rate_rises_and_falls():
    schedule = build_optimizer(OptimizerConfig(learning_rate=1.0, warmup_epochs=1.0), 10, 10)._learning_rate
    rates = [float(schedule(step)) for step in range(100)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(rates[10]) == pytest.approx(1)
    assert rates[-1] < 0.05


def test_short_runs_average_over_fewer_steps():
    momenta = [build_optimizer(OptimizerConfig(ema=0.99), 1, steps).ema_momentum for steps in (4, 160, 1600, 10000)]
    assert momenta == pytest.approx([0, 0.9, 0.99, 0.99])


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path):
    prepared = make_set(tmp_path, 6, ["train"] * 4 + ["val", "test"])
    config = TINY.merged({"augmentation": {"rotation_degrees": 10.0, "noise": 0.02}})
    for name in ("one", "two"):
        train(RunPlan(config, tmp_path / name), prepared)
    one, two = ((tmp_path / name / "last.json").read_text() for name in ("one", "two"))
    assert json.loads(one)["config"] == json.loads(two)["config"]
    weights = [load_model(tmp_path / name / "last.weights.h5").generator.get_weights() for name in ("one", "two")]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_a_single_image_is_also_used_for_validation(tmp_path):
    lines = []
    result = train(RunPlan(TINY, tmp_path / "run"), make_set(tmp_path, 1, ["train"]), lines.append)
    assert math.isnan(result.test_dice)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["test_dice"] is None
    assert "also used for validation" in lines[0]


def test_the_split_of_a_run_reads_back_whatever_the_names(tmp_path):
    prepared = make_set(tmp_path, 2, ["train", "val"])
    names = {"p000": "ward 1, bed 2", "p001": 'so-called "b"'}
    renamed = tuple(replace(entry, id=names[entry.id]) for entry in prepared.entries)
    train(RunPlan(TINY, tmp_path / "run"), replace(prepared, entries=renamed))
    assert read_split(tmp_path / "run" / "split.csv", None).parts == {"ward 1, bed 2": "train", 'so-called "b"': "val"}


def test_a_run_folder_is_not_overwritten_and_a_set_needs_training_images(tmp_path):
    prepared = make_set(tmp_path, 2, ["train", "val"])
    train(RunPlan(TINY, tmp_path / "run"), prepared)
    with pytest.raises(UsageError, match="contains another run"):
        train(RunPlan(TINY, tmp_path / "run"), prepared)
    with pytest.raises(UsageError, match="no images in split train"):
        train(RunPlan(TINY, tmp_path / "x"), prepared.with_split(dict.fromkeys(prepared.split(), "test")))


def test_large_weights_get_no_onnx_file(tmp_path):
    with (tmp_path / "best.weights.h5").open("wb") as weights:
        weights.truncate(124_000_000)
    _write_onnx(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["best.weights.h5"]


def test_the_run_folder_contains_the_documented_files(tiny_run):
    folder, _ = tiny_run
    expected = {"config.toml", "split.csv", "run.json", "checkpoint.npz", "metrics.csv", "curves.png"}
    expected |= {"test_dice.csv", "summary.json", "progress", "best.onnx"}
    expected |= {f"{name}{suffix}" for name in ("best", "last") for suffix in (".weights.h5", ".json")}
    assert {path.name for path in folder.iterdir()} == expected
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 16))
    best = max(rows, key=lambda row: float(row["val_dice"]))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["best_epoch"] == int(best["epoch"])
    assert summary["val_dice"] == pytest.approx(float(best["val_dice"]), abs=1e-5)
    config = read_toml(folder / "config.toml")
    assert config["image_size"] == 64
    dices = [float(row["dice"]) for row in csv.DictReader((folder / "test_dice.csv").open())]
    assert summary["test_dice"] == pytest.approx(np.mean(dices), abs=1e-5)
    split = {row["id"]: row["split"] for row in csv.DictReader((folder / "split.csv").open())}
    assert Counter(split.values()) == {"train": 8, "val": 2, "test": 2}


def test_the_manifest_contains_the_baseline_of_the_network(tiny_run):
    baseline = json.loads((tiny_run[0] / "best.json").read_text())["baseline"]
    summary = json.loads((tiny_run[0] / "summary.json").read_text())
    assert baseline["dice"] == pytest.approx(summary["val_dice"], abs=0.03)  # that Dice is without clean-up
    assert 0.5 < baseline["inside"] < 1
    assert baseline["unsure"] > 0


def test_training_segments_phantoms(tiny_run):
    folder, _ = tiny_run
    assert json.loads((folder / "summary.json").read_text())["test_dice"] > 0.8

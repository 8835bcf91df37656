"""Devices and processes that share each batch, compared with a single device, by the command line."""

import csv
import json
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lungmask_cli.config import TrainConfig
from lungmask_cli.datasets.layouts import find_pairs, find_radiographs
from lungmask_cli.datasets.preparation import PrepareOptions, prepare
from lungmask_cli.errors import UsageError
from lungmask_cli.models.weights import load_model
from lungmask_cli.networks.backend import Device, Hardware, choose_device
from lungmask_cli.training import distribution
from lungmask_cli.training.cluster import Cluster, read_cluster
from lungmask_cli.training.distribution import choose_distribution
from tests.conftest import ENVIRONMENT, PATIENCE
from tests.phantoms import draw_phantom, save_grey, write_plain_set

EPOCHS = 5  # of eight steps each
SMALL = """preset = "compact"
image_size = 32
batch_size = 4
[generator]
levels = 2
filters = 4
[discriminator]
filters = 4
[loss]
adversarial = 0.1
[unlabelled]
adversarial = 0.1
consistency = 0.5
"""


def two_free_ports():
    with socket.socket() as one, socket.socket() as other:
        for listener in (one, other):
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in (one, other)]


def start(folder, name, *options, **environment):
    command = [sys.executable, "-m", "lungmask_cli", "train", folder / "set", "--config", folder / "small.toml"]
    options = (
        "-o",
        folder / name,
        "--device",
        "cpu",
        "--split",
        f"{folder / 'split.csv'}:split",
        "--unlabelled",
        folder / "others",
        *options,
    )
    return subprocess.Popen(
        list(map(str, (*command, *options))),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**ENVIRONMENT, **environment},
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run folders: one device, two devices, two processes, and one device with JAX; all trained at once."""
    folder = tmp_path_factory.mktemp("shared")
    pairing = find_pairs(write_plain_set(folder / "src", 22))
    # With five validation images, the second batch has no image for one of two devices.
    split = dict(zip([pair.id for pair in pairing.pairs], ["train"] * 16 + ["val"] * 5 + ["test"], strict=True))
    prepare(pairing, folder / "set", split, "by hand", PrepareOptions(64))
    for seed in range(30, 35):
        save_grey(folder / "radiographs" / f"o{seed}.png", draw_phantom(64, 64, seed).image)
    others = find_radiographs(folder / "radiographs")
    prepare(
        others, folder / "others", dict.fromkeys((pair.id for pair in others.pairs), "train"), "all", PrepareOptions(64)
    )
    (folder / "small.toml").write_text(SMALL)
    (folder / "split.csv").write_text("id,split\n" + "".join(f"{key},{part}\n" for key, part in split.items()))
    workers = [f"127.0.0.1:{port}" for port in two_free_ports()]
    tasks = [
        json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}) for index in (0, 1)
    ]
    steps = ("--epochs", EPOCHS)
    started = {
        "one": start(folder, "one", *steps, "--deterministic"),
        "devices": start(folder, "devices", *steps, "--devices", 2),
        "processes": start(folder, "processes", *steps, TF_CONFIG=tasks[0]),
        "other": start(folder, "processes", *steps, TF_CONFIG=tasks[1]),
        "jax": start(folder, "jax", "--epochs", 1, KERAS_BACKEND="jax"),
    }
    try:
        stderr = {name: process.communicate(timeout=PATIENCE)[1] for name, process in started.items()}
    finally:
        for process in started.values():
            process.kill()
    assert {name: process.returncode for name, process in started.items()} == dict.fromkeys(started, 0), stderr
    return folder, stderr


def metrics(folder):
    with (folder / "metrics.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", ["devices", "processes"])
def test_devices_that_share_a_batch_train_like_one_device(runs, name):
    folder, stderr = runs
    alone, shared = metrics(folder / "one"), metrics(folder / name)
    assert len(alone) == len(shared) == EPOCHS
    for one, other in zip(alone, shared, strict=True):
        # One pixel of the thresholded masks, which rounding may turn, changes the validation Dice by 1.2e-4.
        assert other.pop("val_dice") == pytest.approx(one.pop("val_dice"), abs=2e-4)
        assert other == pytest.approx(one, abs=1e-4)
    assert alone[-1]["segmentation_loss"] < 0.95 * alone[0]["segmentation_loss"]  # the network has learnt something
    assert "batch 4 (2 on each of 2 devices), learning rate 0.001" in stderr[name]


def test_only_the_first_process_writes_the_run(runs):
    _, stderr = runs
    assert "process 1 of 2: process 0 writes the run" in stderr["other"]
    assert "epoch" not in stderr["other"].split("seed 0;")[1]
    assert f"epoch {EPOCHS}/{EPOCHS}" in stderr["processes"]
    assert "oneDNN" not in stderr["processes"]  # the messages of native code are held back


def test_jax_trains_weights_that_tensorflow_reads(runs):
    folder, _ = runs
    assert len(metrics(folder / "jax")) == 1
    assert json.loads((folder / "jax" / "best.json").read_text())["keras"].endswith("on jax")
    assert load_model(folder / "jax" / "best.weights.h5").generator.count_params() > 0


@pytest.mark.parametrize(
    ("task", "expected"),
    [(("worker", 1), Cluster(2, 3)), (("chief", 0), Cluster(0, 3))],
)
def test_the_chief_counts_before_the_workers(monkeypatch, task, expected):
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": task[0], "index": task[1]}}))
    assert read_cluster() == expected


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": {}, "task": {"type": "worker", "index": 0}}', '{"task": 3}'])
def test_a_malformed_cluster_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UsageError, match="does not describe a cluster"):
        read_cluster()


def test_devices_must_share_a_batch_equally(monkeypatch):
    monkeypatch.setattr(
        distribution, "_create_strategy", lambda device, cluster: SimpleNamespace(num_replicas_in_sync=3)
    )
    for counts, problem, hint in (
        ((8, 0), "a batch of 8 images", "--batch-size 9"),
        ((6, 2), "6 images with masks and 2 without", "--batch-size 6"),
    ):
        with pytest.raises(UsageError, match=f"cannot share {problem}") as caught:
            choose_distribution(Device("gpu", "", 3), TrainConfig(), counts)
        assert hint in caught.value.hint
    for counts in ((9, 0), (6, 3)):
        assert choose_distribution(Device("gpu", "", 3), TrainConfig(), counts).replicas == 3
    with pytest.raises(UsageError, match="cannot train in mixed_float16"):
        choose_distribution(Device("gpu", "", 3), TrainConfig().merged({"precision": "mixed_float16"}), (9, 0))


@pytest.mark.parametrize("hardware", [Hardware("gpu:x"), Hardware("cpu:1"), Hardware("gpu:0", 2), Hardware("auto", 0)])
def test_impossible_devices_are_refused(hardware):
    with pytest.raises(UsageError):
        choose_device(hardware)

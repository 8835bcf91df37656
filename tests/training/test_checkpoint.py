import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest

from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.preparation import Preparation, prepare
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.training.callbacks import RunRecorder
from lungmask_cli.training.plan import read_record
from lungmask_cli.training.run import Conditions, train
from tests.phantoms import write_plain_set
from tests.training.test_training import TINY

FOUR_EPOCHS = TINY.merged({"epochs": 4})
pytestmark = pytest.mark.usefixtures("eagerly")
WEIGHTS = ("best.weights.h5", "last.weights.h5")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pairing = find_pairs(write_plain_set(folder / "src", 6))
    split = dict(zip([pair.id for pair in pairing.pairs], ["train"] * 3 + ["val"] * 2 + ["test"], strict=True))
    return prepare(pairing, folder / "dst", split, "by hand", Preparation(64))


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train(FOUR_EPOCHS, prepared, folder, print)
    return folder


def numbers(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


def assert_same_run(one, other):
    for name in WEIGHTS:
        first, second = numbers(one / name), numbers(other / name)
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[key], second[key]) for key in first)
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()


def interrupt(monkeypatch, method, count):
    """A `KeyboardInterrupt` the `count`th time that the recorder's method is called."""
    original, calls = getattr(RunRecorder, method), []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == count:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(RunRecorder, method, interrupted)


# _save is called for the best and for the last weights of an epoch.
@pytest.mark.parametrize(("method", "count"), [("on_epoch_end", 1), ("_save", 6)])
def test_a_run_goes_on_as_if_nothing_had_happened(prepared, whole, tmp_path, monkeypatch, method, count):
    said = []
    with monkeypatch.context() as patched:
        interrupt(patched, method, count)
        with pytest.raises(KeyboardInterrupt):
            train(FOUR_EPOCHS, prepared, tmp_path, said.append)
    assert f"lungmask train --resume {tmp_path}" in said[-1]
    train(FOUR_EPOCHS, prepared, tmp_path, said.append, resume=True)
    assert_same_run(whole, tmp_path)


def test_a_run_without_averages_and_with_batch_statistics_goes_on_too(prepared, tmp_path, monkeypatch):
    plain = FOUR_EPOCHS.merged(
        {
            "optimizer": {"ema": 0.0, "schedule": "constant"},
            "generator": {"normalization": "batch"},
            "discriminator": {"normalization": "batch"},
            "loss": {"adversarial": 0.1},
        }
    )
    train(plain, prepared, tmp_path / "whole", print)
    with monkeypatch.context() as patched:
        interrupt(patched, "on_epoch_end", 3)
        with pytest.raises(KeyboardInterrupt):
            train(plain, prepared, tmp_path / "cut", print)
    train(plain, prepared, tmp_path / "cut", print, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_reading_from_disk_in_many_threads_changes_nothing(prepared, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("lungmask_cli.training.run.available_cores", lambda: 8)
    said = []
    train(FOUR_EPOCHS, prepared, tmp_path, said.append, conditions=Conditions(memory_gb=0))
    assert_same_run(whole, tmp_path)
    assert any("read again in each epoch" in line for line in said)


def test_an_image_that_vanishes_while_training_is_named(prepared, tmp_path):
    entries = [replace(entry, image="images/gone.png") for entry in prepared.entries[:1]] + list(prepared.entries[1:])
    broken = replace(prepared, entries=tuple(entries))
    with pytest.raises(ImageError, match="gone"):
        train(FOUR_EPOCHS, broken, tmp_path, print, conditions=Conditions(memory_gb=0))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ResourceExhaustedError", "no memory for batches of 2 images of 32"),
        ("UnavailableError", "process .* was lost"),
    ],
)
def test_errors_of_the_backend_are_explained(prepared, tmp_path, monkeypatch, name, expected):
    def fail(*arguments, **options):
        raise type(name, (Exception,), {})("long text")

    monkeypatch.setattr(keras.Model, "fit", fail)
    with pytest.raises(UsageError, match=expected):
        train(FOUR_EPOCHS, prepared, tmp_path, print)


def test_a_finished_run_has_nothing_left_to_do(prepared, whole):
    before = (whole / "metrics.csv").read_text()
    result = train(FOUR_EPOCHS, prepared, whole, print, resume=True)
    assert (whole / "metrics.csv").read_text() == before
    assert result.test_count == 1


def test_a_full_disk_leaves_the_checkpoint_before(prepared, tmp_path, monkeypatch):
    calls = []

    def full(*arguments, **arrays):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return savez(*arguments, **arrays)

    savez = np.savez
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(OSError, match="No space left"):
            train(FOUR_EPOCHS, prepared, tmp_path, print)
    said = []
    train(FOUR_EPOCHS, prepared, tmp_path, said.append, resume=True)
    assert "goes on after epoch 1 of 4" in said


def test_a_damaged_checkpoint_and_one_of_another_network_are_refused(prepared, whole, tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes((whole / "checkpoint.npz").read_bytes())
    with pytest.raises(UsageError, match="of another network"):
        train(FOUR_EPOCHS.merged({"generator": {"filters": 4}}), prepared, tmp_path, print, resume=True)
    (tmp_path / "checkpoint.npz").write_bytes(b"PK")
    with pytest.raises(UsageError, match="is damaged"):
        train(FOUR_EPOCHS, prepared, tmp_path, print, resume=True)


def test_a_killed_command_goes_on_with_no_other_argument(lungmask, tmp_path):
    data = write_plain_set(tmp_path / "set", 8)
    (tmp_path / "tiny.toml").write_text(TINY.to_toml())
    options = ("--config", tmp_path / "tiny.toml", "--epochs", 5, "--device", "cpu", "--seed", 3)
    done = lungmask("train", data, "-o", tmp_path / "whole", *options)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "lungmask_cli", "train", data, "-o", tmp_path / "cut", *options]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "cut" / "checkpoint.npz").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert len((tmp_path / "cut" / "metrics.csv").read_text().splitlines()) < 6
    resumed = lungmask("train", "--resume", tmp_path / "cut")
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on after epoch" in resumed.stderr
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    assert read_record(tmp_path / "cut").split_method == read_record(tmp_path / "whole").split_method


def test_resume_refuses_what_it_cannot_go_on_with(lungmask, tiny_run, plain_set, tmp_path):
    for arguments, message in (
        (["--resume", tmp_path], "is not the folder of a run that can go on"),
        (["--resume", tiny_run[0], "--epochs", "3"], "takes everything from the run"),
        ([plain_set, "--resume", tiny_run[0]], "takes everything from the run"),
        ([], "nothing to train on"),
        ([plain_set, "-o", tiny_run[0]], f"lungmask train --resume {tiny_run[0]}"),
    ):
        done = lungmask("train", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_resume_refuses_data_that_have_changed(lungmask, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "manifest_sha256": "0" * 64}))
    done = lungmask("train", "--resume", run)
    assert done.returncode == 2
    assert "its data have changed" in done.stderr

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from lungmask_cli.cli.train_run import open_data
from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.preparation import PrepareOptions, prepare
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.models.manifest import shipped_weights
from lungmask_cli.training.callbacks import RunRecorder
from lungmask_cli.training.plan import RunPlan, read_plan
from lungmask_cli.training.run import train
from tests.conftest import wait_until
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
    return prepare(pairing, folder / "dst", split, "by hand", PrepareOptions(64))


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train(RunPlan(FOUR_EPOCHS, folder), prepared)
    return folder


def read_weights(path):
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: arrays.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return arrays


def assert_same_run(one, other):
    for name in WEIGHTS:
        first, second = read_weights(one / name), read_weights(other / name)
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
def test_a_resumed_run_equals_an_uninterrupted_one(prepared, whole, tmp_path, monkeypatch, method, count):
    lines = []
    with monkeypatch.context() as patched:
        interrupt(patched, method, count)
        with pytest.raises(KeyboardInterrupt):
            train(RunPlan(FOUR_EPOCHS, tmp_path), prepared, lines.append)
    assert f"lungmask train --resume {tmp_path}" in lines[-1]
    train(read_plan(tmp_path), prepared)
    assert_same_run(whole, tmp_path)


def test_a_run_without_averages_and_with_batch_statistics_can_be_resumed(prepared, tmp_path, monkeypatch):
    plain = FOUR_EPOCHS.merged(
        {
            "optimizer": {"ema": 0.0, "schedule": "constant"},
            "generator": {"normalization": "batch"},
            "discriminator": {"normalization": "batch"},
            "loss": {"adversarial": 0.1},
        }
    )
    train(RunPlan(plain, tmp_path / "whole"), prepared)
    with monkeypatch.context() as patched:
        interrupt(patched, "on_epoch_end", 3)
        with pytest.raises(KeyboardInterrupt):
            train(RunPlan(plain, tmp_path / "interrupted"), prepared)
    train(read_plan(tmp_path / "interrupted"), prepared)
    assert_same_run(tmp_path / "whole", tmp_path / "interrupted")


def test_reading_from_disk_in_several_threads_gives_the_same_weights(prepared, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("lungmask_cli.training.run.available_cores", lambda: 8)
    lines = []
    train(RunPlan(FOUR_EPOCHS, tmp_path, memory_gb=0), prepared, lines.append)
    assert_same_run(whole, tmp_path)
    assert any("read again in each epoch" in line for line in lines)


def test_a_run_is_resumed_on_another_machine(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, run = write_plain_set(tmp_path / "src", 6), tmp_path / "run"
    split = f"{whole / 'split.csv'}:split"
    plan = replace(read_plan(whole), resume=False, folder=run, data=(str(data),), size=64, split=split)
    with monkeypatch.context() as patched:
        interrupt(patched, "on_epoch_end", 3)
        with pytest.raises(KeyboardInterrupt):
            train(plan, open_data(plan, 1))
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "elsewhere").mkdir()
    moved, run = (Path(shutil.move(path, tmp_path / "elsewhere" / f"new-{path.name}")) for path in (data, run))
    with pytest.raises(UsageError, match=r"no such folder, but .* was started with its data") as caught:
        open_data(read_plan(run), 1)
    assert f"lungmask train DATA --resume {run}" in caught.value.hint
    resumed, lines = replace(read_plan(run), data=(str(moved),)), []
    train(resumed, open_data(resumed, 1), lines.append)
    assert "resuming after epoch 2 of 4" in lines
    assert_same_run(whole, run)
    assert read_plan(run).data == (str(moved),)


def test_a_prepared_set_and_the_same_files_prepared_again_are_the_data_of_a_run(prepared, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(prepared.folder, tmp_path / "copy")
    plan = replace(read_plan(whole), size=64)
    for folder in (tmp_path / "copy", write_plain_set(tmp_path / "again", 6)):
        moved = replace(plan, data=(str(folder),))
        assert moved.with_data(open_data(moved, 1)) == moved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries[1:], "1 missing, such as p000"),
        (lambda entries: [*entries, replace(entries[0], id="p900", split="unused")], "1 added, such as p900"),
        (
            lambda entries: [*entries[:4], *(replace(e, mask_sha256="0") for e in entries[4:])],
            "2 changed, such as p004",
        ),
        (lambda entries: [*entries[1:], replace(entries[0], id="x")], "1 missing, such as p000, 1 added, such as x"),
    ],
)
def test_resume_says_how_the_data_differ(prepared, whole, change, message):
    with pytest.raises(UsageError, match=f"its images have changed since it was started: {message}"):
        read_plan(whole).with_data(replace(prepared, entries=tuple(change(list(prepared.entries)))))


def test_weights_to_start_from_are_not_needed_after_the_first_epoch(prepared, whole, tmp_path, monkeypatch):
    first = tmp_path / "first.weights.h5"
    shutil.copy(whole / "best.weights.h5", first)
    shutil.copy(whole / "best.json", tmp_path / "first.json")
    plan = RunPlan(TINY, tmp_path / "run", init=str(first))
    with monkeypatch.context() as patched:
        interrupt(patched, "on_epoch_end", 2)
        with pytest.raises(KeyboardInterrupt):
            train(plan, prepared)
    first.unlink()
    assert train(read_plan(plan.folder), prepared).best_epoch
    (plan.folder / "checkpoint.npz").unlink()
    with pytest.raises(UsageError, match="no such file, but the run starts from it"):
        train(read_plan(plan.folder), prepared)


def test_shipped_weights_to_start_from_are_found_on_another_machine(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    facts = json.loads((folder / "run.json").read_text())
    for name, expected in (("general", str(shipped_weights()["general"])), ("mine", "/gone/mine.weights.h5")):
        (folder / "run.json").write_text(json.dumps({**facts, "init": f"/gone/{name}.weights.h5"}))
        assert read_plan(folder).init == expected


def test_an_image_that_is_deleted_during_training_is_named(prepared, tmp_path):
    entries = [replace(entry, image="images/gone.png") for entry in prepared.entries[:1]] + list(prepared.entries[1:])
    broken = replace(prepared, entries=tuple(entries))
    with pytest.raises(ImageError, match="gone"):
        train(RunPlan(FOUR_EPOCHS, tmp_path, memory_gb=0), broken)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ResourceExhaustedError", "not enough memory for batches of 2 images of 32"),
        ("UnavailableError", "process .* was lost"),
    ],
)
def test_errors_of_the_backend_are_explained(prepared, tmp_path, monkeypatch, name, expected):
    def fail(*arguments, **options):
        raise type(name, (Exception,), {})("long text")

    monkeypatch.setattr(keras.Model, "fit", fail)
    with pytest.raises(UsageError, match=expected):
        train(RunPlan(FOUR_EPOCHS, tmp_path), prepared)


def test_the_precision_policy_is_restored_after_an_error(prepared, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError

    monkeypatch.setattr(keras.Model, "fit", fail)
    with pytest.raises(RuntimeError):
        train(RunPlan(FOUR_EPOCHS.merged({"precision": "mixed_bfloat16"}), tmp_path), prepared)
    assert keras.config.dtype_policy().name == "float32"


def test_a_finished_run_is_not_trained_again(prepared, whole):
    before = (whole / "metrics.csv").read_text()
    result = train(read_plan(whole), prepared)
    assert (whole / "metrics.csv").read_text() == before
    assert result.test_count == 1


def test_the_previous_checkpoint_survives_a_full_disk(prepared, tmp_path, monkeypatch):
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
            train(RunPlan(FOUR_EPOCHS, tmp_path), prepared)
    lines = []
    train(read_plan(tmp_path), prepared, lines.append)
    assert "resuming after epoch 1 of 4" in lines


def test_a_damaged_checkpoint_and_one_of_another_network_are_refused(prepared, whole, tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes((whole / "checkpoint.npz").read_bytes())
    shutil.copy(whole / "run.json", tmp_path)
    plan = replace(read_plan(whole), folder=tmp_path)
    with pytest.raises(UsageError, match="belongs to another network"):
        train(replace(plan, config=FOUR_EPOCHS.merged({"generator": {"filters": 4}})), prepared)
    (tmp_path / "checkpoint.npz").write_bytes(b"PK")
    with pytest.raises(UsageError, match="is damaged"):
        train(plan, prepared)


def test_a_killed_command_is_resumed_without_other_options(lungmask, tmp_path):
    data = write_plain_set(tmp_path / "set", 8)
    (tmp_path / "tiny.toml").write_text(TINY.merged({"discriminator": {"name": "none"}}).to_toml())
    options = ("--config", tmp_path / "tiny.toml", "--epochs", 5, "--device", "cpu", "--seed", 3)
    done = lungmask("train", data, "-o", tmp_path / "whole", *options)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "lungmask_cli", "train", data, "-o", tmp_path / "killed", *options]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE) as process:
        wait_until((tmp_path / "killed" / "checkpoint.npz").exists, process)
        process.send_signal(signal.SIGKILL)
    assert len((tmp_path / "killed" / "metrics.csv").read_text().splitlines()) < 6
    resumed = lungmask("train", "--resume", tmp_path / "killed")
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming after epoch" in resumed.stderr
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert read_plan(tmp_path / "killed").split_method == read_plan(tmp_path / "whole").split_method


def test_resume_refuses_other_options_and_folders(lungmask, tiny_run, plain_set, tmp_path):
    for arguments, message in (
        (["--resume", tmp_path], "is not the folder of a run that can be resumed"),
        (["--resume", tiny_run[0], "--epochs", "3"], "takes everything from the run: --epochs cannot be given"),
        (["--resume", tiny_run[0], "--no-polarity"], "takes everything from the run: --no-polarity cannot be given"),
        (["--max-pixels", "100", "--resume", tiny_run[0]], "takes everything from the run: --max-pixels cannot"),
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
    assert "its images have changed" in done.stderr


def test_resume_ignores_the_settings_file(lungmask, tiny_run, tmp_path):
    (tmp_path / "lungmask.toml").write_text(
        '[train]\nepochs = 3\ndevice = "gpu"\npolarity = false\nmax-pixels = 100\noutput = "elsewhere"\n'
    )
    run = shutil.copytree(tiny_run[0], tmp_path / "run")
    done = lungmask("train", "--resume", run, "--jobs", 1, "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(run)
    assert (run / "metrics.csv").read_text() == (tiny_run[0] / "metrics.csv").read_text()


def test_a_run_of_an_earlier_version_is_resumed(train_inside, tmp_path):
    data = write_plain_set(tmp_path / "set", 6)
    (tmp_path / "tiny.toml").write_text(TINY.to_toml())
    run = tmp_path / "run"
    done = train_inside(data, "-o", run, "--config", tmp_path / "tiny.toml", "--no-polarity", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    written = json.loads((run / "run.json").read_text())
    earlier = {
        "source": {"data": [str(data)], "size": 512, "polarity": False, "max_pixels": 100000000},
        "split_method": "drawn 160/40/40, seed 0",
        "manifest_sha256": written["manifest_sha256"],
        "hardware": {"device": "cpu", "devices": 1, "deterministic": False, "callers": None},
        "init": "",
        "memory_gb": 4.0,
        "folds": 0,
        "lungmask": "0.1.0",
        "git": "",
        "python": "3.11.7",
        "machine": "Linux x86_64",
        "packages": {"keras": "3.15.1"},
    }
    assert written.keys() == {*earlier, "unlabelled_sha256"}
    later = {"labels": None, "threshold": None, "unlabelled": []}
    assert written["source"] == {**earlier["source"], **later}
    assert all(written[name] == earlier[name] for name in ("split_method", "init", "memory_gb", "folds"))
    (run / "run.json").write_text(json.dumps(earlier))
    (run / "summary.json").unlink()
    resumed = train_inside("--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming after epoch 2 of 2" in resumed.stderr
    assert (run / "summary.json").exists()
    plan = read_plan(run)
    assert (plan.data, plan.size, plan.polarity) == ((str(data),), 512, False)
    assert (plan.config, plan.hardware.device, plan.resume) == (TINY, "cpu", True)

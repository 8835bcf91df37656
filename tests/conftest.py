import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from filelock import FileLock

from lungmask_cli.cli.app import main
from lungmask_cli.networks.backend import Device
from tests.phantoms import write_plain_set

# As it was given: TensorFlow and JAX, which tests import, put settings into it that commands would inherit.
ENVIRONMENT = dict(os.environ)
# Seconds after which a process counts as hung; with busy cores, the start of TensorFlow alone may take minutes.
PATIENCE = 900
Run = Callable[..., subprocess.CompletedProcess[str]]
# On a busy machine any example may take long.
hypothesis.settings.register_profile("lungmask", deadline=None)
hypothesis.settings.load_profile("lungmask")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that take longest come first, so that at the end no process waits long for another."""
    items.sort(key=lambda item: not {"training", "test_heart.py", "test_readme.py"} & {*item.path.parts})


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait while the process runs; fail if it ends before the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ended = process.poll() is not None
        if condition():
            return
        assert not ended, f"the process ended with {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="session")
def lungmask(tmp_path_factory) -> Run:
    """Runs `python -m lungmask_cli ARGS` as a stranger would, with a cache of its own."""
    cache = tmp_path_factory.mktemp("cache")

    def run(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lungmask_cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env={**ENVIRONMENT, "XDG_CACHE_HOME": str(cache), "COLUMNS": "200", **environment},
        )

    return run


@pytest.fixture
def inside(monkeypatch, capsys) -> Run:
    """Runs `lungmask ARGS` in this process: for what does not need one of its own, in which TensorFlow would start."""

    def run(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["lungmask", *map(str, arguments)])
        for name, value in {"COLUMNS": "200", **environment}.items():
            monkeypatch.setenv(name, value)
        if cwd:
            monkeypatch.chdir(cwd)
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(sys.argv, int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def train_inside(inside, monkeypatch) -> Run:
    """Runs `lungmask train ARGS` in this process, in which TensorFlow has started, without an ONNX file at its end."""
    monkeypatch.setattr("lungmask_cli.networks.backend.choose_device", lambda hardware: Device("cpu", "requested"))
    monkeypatch.setattr("lungmask_cli.cli.train_run._write_onnx", lambda run: None)
    return partial(inside, "train")


@pytest.fixture(scope="session")
def plain_set(tmp_path_factory) -> Path:
    """Twelve phantoms of 64 pixels as images/ and masks/."""
    return write_plain_set(tmp_path_factory.mktemp("plain"), count=12)


@pytest.fixture(scope="session")
def tiny_run(lungmask, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run folder of `lungmask train`, which is trained once for all processes of the tests, and what that said."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, said = shared / "runs" / "tiny", shared / "tiny.json"
    with FileLock(shared / "tiny.lock"):
        if not said.exists():
            data = write_plain_set(shared / "tiny", count=12)
            options = ("--image-size", 64, "--epochs", 15, "--batch-size", 4, "--device", "cpu")
            done = lungmask("train", data, "-o", folder, *options)
            assert done.returncode == 0, done.stderr
            said.write_text(json.dumps([done.stdout, done.stderr]))
    return folder, subprocess.CompletedProcess([], 0, *json.loads(said.read_text()))


@pytest.fixture(scope="module")
def eagerly() -> Iterator[None]:
    """Has TensorFlow run each operation at once: for a few small steps its graphs take longer than the steps.

    The commands, which are processes of their own, train with graphs, as users do.
    """
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.phantoms import write_plain_set

# As it was given: TensorFlow and JAX, which tests import, put settings into it that commands would inherit.
ENVIRONMENT = dict(os.environ)
Run = Callable[..., subprocess.CompletedProcess[str]]


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


@pytest.fixture(scope="session")
def plain_set(tmp_path_factory) -> Path:
    """Twelve phantoms of 64 pixels as images/ and masks/."""
    return write_plain_set(tmp_path_factory.mktemp("plain"), count=12)


@pytest.fixture(scope="session")
def tiny_run(lungmask, plain_set, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run folder of `lungmask train` on the phantoms, and what the command said."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    done = lungmask(
        "train", plain_set, "-o", folder, "--image-size", 64, "--epochs", 15, "--batch-size", 4, "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    return folder, done

"""The commands of the README, run as they stand there, one after the other."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.phantoms import write_plain_set

README = Path(__file__).parents[1] / "README.md"
COMMANDS = re.findall(r"^\$ lungmask (.*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
# So that training takes seconds, and nothing else changes.
SETTINGS = '[train]\nimage-size = 64\nepochs = 1\nbatch-size = 4\ndevice = "cpu"\n'


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with all that the README takes for granted."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("jsrt", "shenzhen"):
        write_plain_set(folder / name, count=10)
    for path in sorted((folder / "shenzhen").rglob("*.png")):  # no two radiographs of one name
        path.rename(path.with_name(f"s{path.name}"))
    shutil.copytree(folder / "jsrt" / "images", folder / "xrays")
    shutil.copytree(folder / "jsrt" / "masks", folder / "truth")
    (folder / "lungmask.toml").write_text(SETTINGS)
    return folder


def test_there_is_one_of_each_subcommand():
    assert {command.split()[0] for command in COMMANDS} >= {"preprocess", "train", "segment", "score"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_does_what_it_should(lungmask, desk, command):
    done = lungmask(*shlex.split(command), cwd=desk)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr

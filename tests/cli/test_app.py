"""What all commands have in common."""

import subprocess
import sys

import pytest
from typer.main import get_command

from lungmask_cli.cli.app import COMMANDS, app
from lungmask_cli.errors import suggest_path
from tests.phantoms import write_plain_set


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """A folder with two folders of masks, truth/ and drawn/, that are alike."""
    folder = tmp_path_factory.mktemp("everywhere")
    for name in ("truth", "drawn"):
        (write_plain_set(folder / f"{name}-set", count=3) / "masks").rename(folder / name)
    return folder


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if entry.examples])
def test_the_examples_of_the_help_are_ones_that_can_be_typed(name):
    command = get_command(app).get_command(None, name)
    for example in command.epilog.splitlines():
        tool, called, *words = example.split()
        assert (tool, called) == ("lungmask", name)
        command.make_context(name, words)


@pytest.mark.parametrize("command", [["--help"], ["score", "--help"], ["train", "--help"], ["--version"], ["sgement"]])
def test_help_and_usage_errors_load_neither_numpy_nor_tensorflow(command):
    code = (
        "import sys; from lungmask_cli.cli.app import main\n"
        f"sys.argv = ['lungmask', *{command!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'tensorflow', 'keras', 'pydantic', 'rich.markdown'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_has_the_commands_and_each_command_its_sections(inside):
    overview = inside("--help").stdout
    assert all(f"  {name}" in overview for name in COMMANDS)
    for name in COMMANDS:
        done = inside(name, "-h", COLUMNS="80")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"Usage: lungmask {name} ")
        assert max(map(len, done.stdout.splitlines())) <= 80
    text = inside("segment", "-h").stdout
    assert all(f"\n{section}:\n" in text for section in ("Reading", "Hardware", "Messages", "Examples"))


def test_quiet_leaves_the_table_alone(lungmask, masks):
    loud = lungmask("score", "drawn", "truth", cwd=masks)
    for quiet in (("-q", "score", "drawn", "truth"), ("score", "drawn", "truth", "--quiet")):
        done = lungmask(*quiet, cwd=masks)
        assert (done.returncode, done.stdout, done.stderr) == (0, loud.stdout, "")
    assert "Next: " in loud.stderr


def test_verbose_names_each_file(lungmask, plain_set, tmp_path):
    for arguments, told in (((), False), (("-v",), True)):
        done = lungmask("preprocess", plain_set, "-o", tmp_path / str(told), *arguments)
        assert ("p007: " in done.stderr) == told


def test_settings_are_defaults_that_flags_override(inside, masks, tmp_path):
    (tmp_path / "lungmask.toml").write_text('[score]\nmetrics = "dice,iou"\nseed = 3\n')
    terms = ("score", masks / "drawn", masks / "truth")
    done = inside(*terms, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "settings: lungmask.toml" in done.stderr
    header = done.stdout.splitlines()[0].split(",")
    assert "iou" in header
    assert "hd95_px" not in header
    assert "iou" not in inside(*terms, "--metrics", "dice", cwd=tmp_path).stdout
    other = tmp_path / "other.toml"
    other.write_text('[score]\nmetrics = "hd95"\n')
    assert "dice" not in inside("--settings", other, *terms, cwd=tmp_path).stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[scor]\nseed = 1\n", ("scor is no table of a command", "Did you mean score?")),
        ("[score]\nmetric = 'dice'\n", ("no option --metric", "Did you mean metrics?")),
        ("seed = 1\n", ("seed is no table of a command",)),
        ("[score]\nseed = 'many'\n", ("seed",)),
        ("[score\n", ("bad.toml",)),
    ],
)
def test_settings_that_cannot_be_are_named(inside, masks, tmp_path, text, words):
    (tmp_path / "bad.toml").write_text(text)
    done = inside("--settings", tmp_path / "bad.toml", "score", masks / "drawn", masks / "truth")
    assert done.returncode == 2
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.stderr


def test_a_path_that_is_nearly_right_is_offered(inside, masks):
    for command in (("score", "drwan", "truth"), ("train", "truth-sets"), ("segment", "drawm", "-o", "new")):
        done = inside(*command, cwd=masks)
        assert done.returncode == 2
        assert "Did you mean" in done.stderr
    assert inside("score", "nothing-like-it", "truth", cwd=masks).stderr.count("Did you mean") == 0


def test_the_nearest_path_is_sought_where_the_path_ends(tmp_path):
    (tmp_path / "xrays").mkdir()
    assert suggest_path(tmp_path / "xryas" / "a" / "b", "?") == f"Did you mean {tmp_path / 'xrays'}?"
    assert suggest_path(tmp_path / "masks", "Look again.") == "Look again."

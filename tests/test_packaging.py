"""What is around the package: that it agrees with pyproject.toml, and that what it names is there."""

import fnmatch
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import lungmask_cli
from lungmask_cli import __version__
from lungmask_cli.config import read_toml

ROOT = Path(__file__).parent.parent
PYPROJECT = read_toml(ROOT / "pyproject.toml")
PROJECT = PYPROJECT["project"]
ISSUE_FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.stem != "config")


def requirements_of(lock: Path) -> dict[str, list[Version]]:
    """The versions of each package: older Pythons may have one of their own."""
    pins: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text(), re.MULTILINE):
        pins.setdefault(name, []).append(Version(version))
    return pins


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile, and its arguments in one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def of_last_stage() -> dict[str, str]:
    last = max(index for index, (name, _) in enumerate(instructions()) if name == "FROM")
    return dict(instructions()[last:])


def test_the_quick_start_has_a_row_for_every_extra():
    section = (ROOT / "docs" / "quickstart.md").read_text().split("## Extras")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(PROJECT["optional-dependencies"])


def test_the_classifiers_name_the_pythons_that_are_supported():
    named = [Version(kind.rsplit(" ", 1)[1]) for kind in PROJECT["classifiers"] if "Python :: 3." in kind]
    assert all(version in SpecifierSet(PROJECT["requires-python"]) for version in named)
    oldest = f"{min(named)}".replace(".", "")
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest}"
    assert f">={min(named)}" == PROJECT["requires-python"]


def test_the_package_is_described_in_the_same_words_everywhere():
    assert lungmask_cli.__doc__ == f"{PROJECT['description']}."
    assert f'\nabstract: "{PROJECT["description"]}"\n' in (ROOT / "CITATION.cff").read_text()
    assert "adversarial" not in PROJECT["description"]


def test_the_citation_is_of_this_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize(("lock", "extras"), [("requirements.lock", []), ("requirements-gpu.lock", ["gpu"])])
def test_the_lock_files_hold_what_pyproject_asks_for_from_the_public_index_alone(lock, extras):
    pinned = requirements_of(ROOT / lock)
    optional = [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for wanted in map(Requirement, PROJECT["dependencies"] + optional):
        assert pinned[wanted.name]
        assert all(version in wanted.specifier for version in pinned[wanted.name])
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert text.count("--hash=sha256:") >= sum(map(len, pinned.values()))


def test_what_the_dockerfile_copies_is_there_and_let_in():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    arguments = dict(text.split("=", 1) for name, text in instructions() if name == "ARG")
    copied = [text for name, text in instructions() if name == "COPY" and not text.startswith("--from")]
    sources = [source for text in copied for source in text.split()[:-1]]
    assert rules[0] == "*"
    for source in [re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], source) for source in sources]:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, rule) for rule in allowed), source
    assert {"requirements.lock", "requirements-gpu.lock"} <= set(allowed)


def test_what_the_wheel_is_built_from_is_copied():
    copied = " ".join(text for name, text in instructions() if name == "COPY")
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source in [*wheel["packages"], *wheel["force-include"], *PROJECT["license-files"], PROJECT["readme"]]:
        assert source in copied.split(), source


def test_the_image_runs_lungmask_as_nobody_special_and_says_what_it_is():
    last = of_last_stage()
    assert last["ENTRYPOINT"] == '["lungmask"]'
    assert int(last["USER"]) > 0
    assert "Research software, not a medical device." in last["LABEL"]
    assert f'licenses="{PROJECT["license"]}"' in last["LABEL"]
    assert last["COPY"].startswith("--from=build ")


@pytest.mark.parametrize("form", ISSUE_FORMS, ids=lambda path: path.stem)
def test_every_issue_form_asks_for_no_patient_images(form):
    assert "Never attach radiographs, masks or DICOM headers of patients" in form.read_text()

import re
import runpy
from pathlib import Path

import pytest

from lungmask_cli.networks.presets import PRESETS

ROOT = Path(__file__).parent.parent


def test_the_command_line_reference_is_current():
    generator = runpy.run_path(str(ROOT / "docs" / "generate_cli_reference.py"))
    assert (ROOT / "docs" / "reference" / "cli.md").read_text() == generator["reference"]()


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("weights/*.md")]), ids=str
)
def test_links_within_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", PRESETS)
def test_the_configuration_reference_shows_the_presets_as_they_are(name):
    assert PRESETS[name].config.to_toml() in (ROOT / "docs" / "reference" / "config.md").read_text()

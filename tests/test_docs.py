import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["cli", "config"])
def test_the_reference_is_current(page):
    generator = runpy.run_path(str(ROOT / "docs" / "generate_reference.py"))
    assert (ROOT / "docs" / "reference" / f"{page}.md").read_text() == generator[f"{page}_reference"]()


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("weights/*.md")]), ids=str
)
def test_links_within_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target

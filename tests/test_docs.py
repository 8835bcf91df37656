import json
import re
import runpy
from pathlib import Path

import pytest

from lungmask_cli.networks import generators
from lungmask_cli.networks.adversarial import build_adversarial_model
from lungmask_cli.networks.parts import GENERATORS, Part
from lungmask_cli.networks.presets import PRESETS

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


@pytest.mark.parametrize("manifest", sorted(ROOT.glob("weights/*.json")), ids=lambda path: path.stem)
def test_the_model_card_gives_every_score_of_the_manifest(manifest):
    card = manifest.with_suffix(".md").read_text()
    told = json.loads(manifest.read_text())
    assert "not a medical device" in card
    for score in told["scores"]:
        for figure in (score["mean_dice"], score["worst_dice"]):
            assert f"{figure:.4f}" in card, score["data"]


def test_a_network_is_added_as_the_how_to_says(monkeypatch, tmp_path):
    page = (ROOT / "docs" / "how-to" / "combine.md").read_text()
    code = re.search(r"```python\n(\"\"\"A network.*?)```", page, re.DOTALL).group(1)
    (tmp_path / "plain.py").write_text(code)
    line = re.search(r"\"plain\": (Part\(.*\)),", page).group(1)
    monkeypatch.setattr(generators, "__path__", [*generators.__path__, str(tmp_path)])
    monkeypatch.setitem(GENERATORS, "plain", eval(line, {"Part": Part}))
    config = PRESETS["compact"].config.merged({"image_size": 32, "generator": {"name": "plain", "filters": 16}})
    model = build_adversarial_model(config)
    assert model.generator.output_shape == (None, 32, 32, 1)
    assert model.discriminator is not None

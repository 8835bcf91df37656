import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from lungmask_cli.networks import discriminators, generators, losses
from lungmask_cli.networks.adversarial import build_adversarial_model
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS, LOSSES, Part
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


@pytest.fixture
def parts_of_the_how_to(monkeypatch, tmp_path):
    """The files that the page writes are there, and the lines that it adds are registered."""
    page = (ROOT / "docs" / "how-to" / "add-a-part.md").read_text()
    for module, registry in ((generators, GENERATORS), (discriminators, DISCRIMINATORS), (losses, LOSSES)):
        name = module.__name__.rpartition(".")[2]
        file = re.search(rf"`lungmask_cli/networks/{name}(?:/(\w+))?\.py`", page)
        code = re.search(r"```python\n(.*?)```", page[file.end() :], re.DOTALL)[1]
        if file[1]:
            (tmp_path / name).mkdir()
            (tmp_path / name / f"{file[1]}.py").write_text(code)
            monkeypatch.setattr(module, "__path__", [*module.__path__, str(tmp_path / name)])
        else:
            function = re.search(r"^def (\w+)", code, re.MULTILINE)[1]
            exec(code, added := dict(vars(module)))
            monkeypatch.setattr(module, function, added[function], raising=False)
        line = re.search(rf"^{name.upper()} = {{\n    \.\.\.\n    \"([\w-]+)\": (Part\(.*\)),", page, re.MULTILINE)
        monkeypatch.setitem(registry, line[1], eval(line[2], {"Part": Part}))


@pytest.mark.usefixtures("parts_of_the_how_to")
def test_parts_are_added_as_the_how_to_says():
    changes = {
        "image_size": 32,
        "generator": {"name": "plain", "filters": 16},
        "discriminator": {"name": "plain-critic"},
        "loss": {"terms": {"squared": 1.0, "dice": 0.5}},
    }
    model = build_adversarial_model(PRESETS["compact"].config.merged(changes))
    assert model.generator.output_shape == (None, 32, 32, 1)
    assert model.discriminator.output_shape == (None, 8, 8, 1)
    truth, drawn = np.zeros((1, 2, 2, 1), np.float32), np.full((1, 2, 2, 1), 0.5, np.float32)
    assert float(losses.segmentation_loss({"squared": 2.0}, truth, drawn)) == pytest.approx(0.5)

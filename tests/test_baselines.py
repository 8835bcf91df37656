"""The baselines of Table 1, on phantoms."""

import importlib
import sys
from pathlib import Path

import pytest

from tests.phantoms import draw_phantom

FOLDER = Path(__file__).parents[1] / "benchmarks" / "baselines"
SIZES = {"rules": 256, "pixels": 128, "shape": 128, "mask_rcnn": 64}
NEEDS = {"rules": "skimage", "pixels": "sklearn", "shape": "skimage", "mask_rcnn": "torchvision"}


@pytest.mark.parametrize("name", SIZES)
def test_a_baseline_finds_the_lungs_of_phantoms(name, monkeypatch):
    pytest.importorskip(NEEDS[name])
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(FOLDER.parent), *sys.path])
    baseline, method = (importlib.import_module(module) for module in ("baseline", name))
    if name == "pixels":
        monkeypatch.setattr(method, "PIXELS", 100)
    phantoms = [draw_phantom(SIZES[name], SIZES[name], seed) for seed in range(13)]
    examples = [baseline.Example(phantom.image, phantom.lungs) for phantom in phantoms]
    predict = method.fit(examples[:10], examples[10:11], 0)
    assert baseline.mean_dice(predict, examples[11:]) > 0.85


def test_a_baseline_names_the_extra_that_it_needs(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    baseline = importlib.import_module("baseline")
    with pytest.raises(SystemExit, match=r"\.\[baselines\]"):
        baseline.require("no_such_module")

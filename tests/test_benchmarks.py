import importlib.util
import math
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_finds_what_it_imports(path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:  # packages that only a comparison needs
        if error.name.startswith("lungmask_cli"):
            raise
        pytest.skip(f"needs {error.name}")


def test_the_limit_of_the_quality_score_is_where_the_given_share_of_masks_is_bad(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    fit = importlib.import_module("quality_fit")
    model = {"best": 3.0, "tables": {"inside": {"value": [0.8, 1.0], "cost": [2.0, 0.0]}}}  # log-odds 1 and 3

    def masks(bad, good, inside, case=fit.AS_IT_IS):
        dices = [0.8] * bad + [0.95] * good
        return [fit.Row("net", f"{n}", "set", case, True, dice, {"inside": inside}) for n, dice in enumerate(dices)]

    rows = masks(2, 18, inside=1.0) + masks(10, 10, inside=0.8) + masks(50, 0, inside=1.0, case="blurred")
    assert fit.fit_limit(rows, model, bad_share=0.1) == pytest.approx(1 / (1 + math.exp(-3)), abs=0.001)
    assert fit.fit_limit(rows, model, bad_share=0.5) == pytest.approx(1 / (1 + math.exp(-1)), abs=0.001)

"""The shipped weights on real radiographs, if available; the figures in the docs come from benchmarks/."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("LUNGMASK_DATA", ROOT.parent / "shared" / "data"))


def test_the_lungs_of_the_demo_radiograph_are_where_lungs_are(lungmask, tmp_path):
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    if path is None:
        pytest.skip("pydicom-data is not installed")
    done = lungmask("segment", path, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    mask = np.asarray(Image.open(tmp_path / "RG1_UNCR.png")) > 0
    height, width = mask.shape
    left_half, right_half = mask[:, : width // 2].mean(), mask[:, width // 2 :].mean()
    assert 0.2 < left_half < 0.8
    assert 0.2 < right_half < 0.8
    assert not mask[:, int(0.49 * width) : int(0.51 * width)][height // 3 : height // 2].any()  # the spine


@pytest.mark.skipif(not (DATA / "jsrt").is_dir(), reason="the JSRT radiographs are not available (set LUNGMASK_DATA)")
def test_validation_radiographs_of_jsrt_are_segmented_well(lungmask, tmp_path):
    rows = csv.DictReader((ROOT / "benchmarks" / "splits" / "jsrt_160_40_40.csv").open())
    names = [row["id"] for row in rows if row["split"] == "val"][:6]
    images = [DATA / "jsrt" / "images" / f"{name}.png" for name in names]
    done = lungmask("segment", *images, "-o", tmp_path, "--truth", DATA / "jsrt")
    assert done.returncode == 0, done.stderr
    dices = [float(row["dice"]) for row in csv.DictReader((tmp_path / "segment.csv").open())]
    assert len(dices) == 6
    assert min(dices) > 0.93

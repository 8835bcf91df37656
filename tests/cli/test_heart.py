"""The heart and the cardiothoracic ratio on the command line: one path through all commands, and each output."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungmask_cli.cli.app import app
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.inference.segmenter import Segmenter
from tests.dicoms import write_dicom
from tests.inference.fake_network import fake_heart_network, fake_network
from tests.phantoms import draw_phantom, save_grey, save_mask, write_heart_set

__all__ = ["fake_heart_network", "fake_network"]
RATIO = "cardiothoracic_ratio"


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def heart_run(lungmask, tmp_path_factory):
    """A network of lungs and heart that the commands trained on phantoms, not all of which have a heart drawn."""
    folder = tmp_path_factory.mktemp("hearts")
    write_heart_set(folder / "data", 12, drawn=10)
    prepared = lungmask("preprocess", folder / "data", "-o", folder / "set", "--size", 64, "--split", "8/2/2")
    assert prepared.returncode == 0, prepared.stderr
    assert "10 hearts: train them, too, with lungmask train --heart" in prepared.stderr
    options = (
        "--preset",
        "compact-mild",
        "--discriminator",
        "none",
        "--image-size",
        64,
        "--epochs",
        12,
        "--batch-size",
        4,
        "--device",
        "cpu",
        "--learning-rate",
        0.004,
    )
    trained = lungmask("train", folder / "set", "--heart", "-o", folder / "run", *options)
    assert trained.returncode == 0, trained.stderr
    return folder


def test_a_set_with_hearts_is_prepared_trained_segmented_and_scored(heart_run, lungmask, tmp_path):
    manifest = read_csv(heart_run / "set" / "manifest.csv")
    assert [bool(row["heart"]) for row in manifest] == [True] * 10 + [False] * 2
    assert json.loads((heart_run / "set" / "dataset.json").read_text())["hearts"] == 10
    weights = json.loads((heart_run / "run" / "best.json").read_text())
    assert weights["config"]["structures"] == ["lungs", "heart"]
    assert weights["scores"]["val_heart_dice"] > 0.5
    tested = read_csv(heart_run / "run" / "test_dice.csv")
    assert all(float(row["dice"]) > 0.7 for row in tested)
    assert {"id", "dice", "heart_dice"} == set(tested[0])

    xrays, truth = tmp_path / "xrays", tmp_path / "truth"
    for seed in range(20, 26):
        phantom = draw_phantom(80, 80, seed, heart=True)
        save_grey(xrays / f"p{seed}.png", phantom.image)
        for name, mask in (("right_lung", phantom.right), ("left_lung", phantom.left), ("heart", phantom.heart)):
            save_mask(truth / name / f"p{seed}.png", mask)
    masks = tmp_path / "masks"
    done = lungmask("segment", xrays, "-o", masks, "--weights", heart_run / "run", "--heart", "--runtime", "keras")
    assert done.returncode == 0, done.stderr
    scored = lungmask(
        *("score", masks, truth, "-o", tmp_path / "scores.csv", "--summary", tmp_path / "summary.json"),
        *("--plots", tmp_path / "plots"),
    )
    assert scored.returncode == 0, scored.stderr
    rows = read_csv(tmp_path / "scores.csv")
    assert all(float(row["heart_dice"]) > 0.7 for row in rows)
    summary = json.loads((tmp_path / "summary.json").read_text())["summaries"]["all"][RATIO]
    differences = [float(row[f"{RATIO}_difference"]) for row in rows]
    assert summary["bias"] == pytest.approx(np.mean(differences))
    assert summary["mean_absolute_error"] == pytest.approx(np.mean(np.abs(differences)))
    assert summary["mean_absolute_error"] < 0.1
    assert summary["limits"][1] == pytest.approx(np.mean(differences) + 1.96 * np.std(differences, ddof=1))
    assert "limits of agreement" in scored.stderr
    assert (tmp_path / "plots" / f"bland_altman_{RATIO}.png").exists()
    for row, segmented in zip(rows, read_csv(masks / "segment.csv"), strict=True):
        assert float(row[f"{RATIO}_drawn"]) == pytest.approx(float(segmented[RATIO]), abs=1e-4)


def test_the_onnx_file_predicts_the_heart_like_keras(heart_run):
    image = draw_phantom(80, 80, 30, heart=True).image
    one, other = (Segmenter(heart_run / "run", heart=True, runtime=name).segment(image) for name in ("onnx", "keras"))
    assert np.abs(one.prediction.heart - other.prediction.heart).max() < 1e-3
    assert one.heart is not None
    assert one.heart.any()


@pytest.mark.usefixtures("eagerly")
def test_training_goes_on_from_lungs_alone_with_a_new_output(heart_run, tiny_run, train_inside, tmp_path):
    options = ("--init", tiny_run[0], "--epochs", 1, "--device", "cpu")
    done = train_inside(heart_run / "set", "--heart", "-o", tmp_path / "more", *options)
    assert done.returncode == 0, done.stderr
    before = next(line for line in done.stderr.splitlines() if line.startswith("before training"))
    assert float(before.split()[-1]) > 0.5
    refused = run("train", tiny_run[0].parent.parent / "tiny", "--heart", "-o", tmp_path / "none", *options)
    assert "no training image has a mask of the heart" in str(refused.exception)


def test_weights_of_lungs_alone_refuse_the_heart(inside, tmp_path):
    save_grey(tmp_path / "a.png", draw_phantom().image)
    done = inside("segment", tmp_path / "a.png", "-o", tmp_path / "out", "--heart", "--weights", "jsrt")
    assert done.returncode == 2
    assert "jsrt: these weights segment the lungs alone, not the heart" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fake_heart_network")
def test_all_outputs_have_the_heart(tmp_path):
    phantom = draw_phantom(120, 120, 3, heart=True)
    write_dicom(tmp_path / "in" / "a.dcm", np.round(phantom.image * 4000).astype(np.uint16), PixelSpacing=[2.0, 2.5])
    out = tmp_path / "out"
    done = run(
        *("segment", tmp_path / "in", "-o", out, "--heart", "--labels", "--overlay", "--contours"),
        *("--gallery", tmp_path / "gallery.html"),
    )
    assert done.exit_code == 0, done.output
    heart = read_lung_mask(out / "heart" / "a.png").lungs
    assert 2 * (heart & phantom.heart).sum() / (heart.sum() + phantom.heart.sum()) > 0.9
    labels = np.asarray(Image.open(out / "a.png"))
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert np.array_equal(labels == 3, heart & (labels != 1) & (labels != 2))
    (row,) = read_csv(out / "segment.csv")
    columns = np.flatnonzero(heart.any(0))
    width = int(columns[-1] - columns[0] + 1)
    lungs = np.flatnonzero(((labels == 1) | (labels == 2)).any(0))
    thorax = int(lungs[-1] - lungs[0] + 1)
    assert (int(row["heart_width_px"]), int(row["thorax_width_px"])) == (width, thorax)
    assert float(row["heart_width_mm"]) == 2.5 * width
    assert float(row[RATIO]) == pytest.approx(width / thorax, abs=1e-4)
    assert float(row["heart_area_cm2"]) == pytest.approx(int(row["heart_area_px"]) * 0.05, abs=0.01)
    document = json.loads((out / "contours.json").read_text())
    assert [category["name"] for category in document["categories"]] == ["right lung", "left lung", "heart"]
    assert {one["category_id"] for one in document["annotations"]} == {1, 2, 3}
    overlay = np.asarray(Image.open(out / "overlays" / "a.png"))
    assert (overlay == (255, 110, 180)).all(-1).sum() > width
    page = (tmp_path / "gallery.html").read_text()
    assert '"cardiothoracic_ratio"' in page
    assert "width of the thorax" in page


@pytest.mark.usefixtures("fake_heart_network")
def test_without_the_flag_nothing_changes(tmp_path):
    save_grey(tmp_path / "a.png", draw_phantom(heart=True).image)
    assert run("segment", tmp_path / "a.png", "-o", tmp_path / "out", "--contours").exit_code == 0
    assert not (tmp_path / "out" / "heart").exists()
    (row,) = read_csv(tmp_path / "out" / "segment.csv")
    assert row[RATIO] == row["heart_area_px"] == row["warnings"] == ""
    assert len(json.loads((tmp_path / "out" / "contours.json").read_text())["categories"]) == 2


HEADERS = {
    "AP": {"ViewPosition": "AP"},
    "supine": {"PatientPosition": "HFS"},
    "coded": {"ViewCodeSequence": "399348003"},
    "PA": {"ViewPosition": "PA"},
    "unknown": {},
}


@pytest.mark.usefixtures("fake_heart_network")
@pytest.mark.parametrize("name", HEADERS)
def test_views_that_magnify_the_heart_are_warned_of(name, tmp_path):
    header = dict(HEADERS[name])
    if "ViewCodeSequence" in header:
        from pydicom import Dataset

        view = Dataset()
        view.CodeValue = header["ViewCodeSequence"]
        header["ViewCodeSequence"] = [view]
    pixels = np.round(draw_phantom(120, 120, heart=True).image * 4000).astype(np.uint16)
    found = Segmenter(heart=True).segment(write_dicom(tmp_path / "a.dcm", pixels, **header))
    assert found.cardiothoracic_ratio is not None
    warned = any("anteroposterior or the patient supine" in warning for warning in found.warnings)
    assert warned == (name in ("AP", "supine", "coded"))
    assert not any("anteroposterior" in line for line in Segmenter().segment(tmp_path / "a.dcm").warnings)

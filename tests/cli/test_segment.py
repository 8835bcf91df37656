"""`lungmask segment` around the network: files, restarts, flags. The network itself is a fake."""

import csv
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungmask_cli.batch import engines, rows
from lungmask_cli.batch.worker import SegmentWorker
from lungmask_cli.cli.app import app
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.inference.quality import DOUBTFUL
from tests.dicoms import write_dicom
from tests.inference.fake_network import fake_network
from tests.phantoms import draw_phantom, save_grey, save_mask

__all__ = ["fake_network"]
pytestmark = pytest.mark.usefixtures("fake_network")


def run(*arguments):
    return CliRunner().invoke(app, ["segment", *map(str, arguments)])


def table(folder):
    with (folder / "segment.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def content(folder):
    """All files, without the seconds in the table."""
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: data for path, data in files.items() if path.name != "segment.csv"}, [
        {name: value for name, value in row.items() if name != "seconds"} for row in table(folder)
    ]


@pytest.fixture
def xrays(tmp_path):
    """Six phantoms of several sizes, one of them in a folder of its own, and one that is broken."""
    folder = tmp_path / "xrays"
    for number in range(6):
        place = folder / "ward" if number == 3 else folder
        save_grey(place / f"p{number}.png", draw_phantom(90 + 10 * number, 100, seed=number).image)
    (folder / "p9.png").write_text("no picture")
    return folder


def test_every_radiograph_has_a_row_and_every_lung_a_label(xrays, tmp_path):
    done = run(xrays, "-o", tmp_path / "out", "--labels")
    assert done.exit_code == 1
    found = {row["mask"]: row for row in table(tmp_path / "out")}
    for name in ("p0.png", "ward/p3.png"):
        phantom = draw_phantom(90 + 10 * int(name[-5]), 100, seed=int(name[-5]))
        mask = read_lung_mask(tmp_path / "out" / name)
        assert np.count_nonzero(mask.right & phantom.right) > 0.85 * np.count_nonzero(phantom.right)
        assert np.count_nonzero(mask.left & phantom.left) > 0.85 * np.count_nonzero(phantom.left)
        for side, area in (("right", mask.right), ("left", mask.left), ("lung", mask.lungs)):
            assert int(found[name][f"{side}_area_px"]) == np.count_nonzero(area)
        assert found[name]["right_area_cm2"] == ""
    assert found[""]["status"] == "failed"


def test_all_outputs_can_be_written(tmp_path):
    image = np.round(draw_phantom(120, 100).image * 4095).astype(np.uint16)
    source = write_dicom(tmp_path / "in" / "a.dcm", image, PixelSpacing=[2, 2], Modality="DX")
    out = tmp_path / "out"
    wanted = ("--probabilities", "--overlay", "--contours", "--dicom-seg")
    done = run(source, "-o", out, *wanted, "--report", tmp_path / "run.json")
    assert done.exit_code == 0, done.output
    mask = read_lung_mask(out / "a.png").lungs
    (row,) = table(out)
    assert float(row["lung_area_cm2"]) == pytest.approx(np.count_nonzero(mask) * 0.04, abs=0.01)
    probability = np.asarray(Image.open(out / "probabilities" / "a.png"))
    assert probability.dtype in (np.uint16, np.int32)
    assert np.count_nonzero((probability > 32767) != mask) < 0.01 * mask.size
    assert Image.open(out / "overlays" / "a.png").size == (100, 120)
    assert np.array_equal(read_lung_mask(out / "dicom_seg" / "a.dcm").lungs, mask)
    coco = json.loads((out / "contours.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [str(source)]
    assert {annotation["category_id"] for annotation in coco["annotations"]} == {1, 2}
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["counts"] == {
        "radiographs": 1, "written": 1, "failed": 0, "doubtful": int(row["quality"] == "doubtful"), "not_done": 0,
        "kept_from_an_earlier_run": 0,
    }  # fmt: skip
    assert report["weights"][0]["name"] == "general.weights.h5"
    assert len(report["weights"][0]["sha256"]) == 64


def test_results_are_neither_overwritten_by_default_nor_mixed(xrays, tmp_path):
    out = tmp_path / "out"
    assert run(xrays, "-o", out).exit_code == 1
    before = content(out)
    refused = run(xrays, "-o", out)
    assert isinstance(refused.exception, Exception)
    assert "exists already" in str(refused.exception)
    other = run(xrays, "-o", out, "--skip-existing", "--no-cleanup")
    assert "made with another cleanup" in str(other.exception)
    assert content(out) == before
    assert run(xrays, "-o", out, "--overwrite", "--no-cleanup").exit_code == 1
    assert json.loads((out / "segment.json").read_text())["cleanup"] is False


def test_a_resumed_batch_has_the_same_files(xrays, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(xrays, "-o", whole, "--contours").exit_code == 1
    assert run(xrays, "-o", parts, "--contours").exit_code == 1
    lines = (parts / "segment.csv").read_text().splitlines(keepends=True)
    (parts / "segment.csv").write_text("".join(lines[:3]) + lines[3][:10])  # killed while a line was written
    (parts / "ward" / "p3.png").unlink()
    (parts / "contours.json").unlink()
    done = run(xrays, "-o", parts, "--contours", "--skip-existing")
    assert done.exit_code == 1
    assert "2 kept" in done.output
    assert content(parts) == content(whole)


def test_a_dry_run_writes_nothing(xrays, tmp_path):
    done = run(xrays, "-o", tmp_path / "out", "--dry-run")
    assert done.exit_code == 0
    assert not (tmp_path / "out").exists()
    planned = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["action"] for row in planned] == ["write"] * 7
    assert f"{xrays / 'ward' / 'p3.png'}" in [row["file"] for row in planned]


def test_an_interrupt_finishes_the_radiographs_in_progress(xrays, tmp_path, monkeypatch):
    segment, started = SegmentWorker.run, []

    def interrupted(self, job):
        started.append(job)
        if len(started) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return segment(self, job)

    monkeypatch.setattr(SegmentWorker, "run", interrupted)
    done = run(xrays, "-o", tmp_path / "out", "--jobs", 1)
    assert done.exit_code == 130
    assert "stopping" in done.output
    kept = table(tmp_path / "out")
    assert 2 <= len(kept) == len(started) < 7
    assert all((tmp_path / "out" / row["mask"]).is_file() for row in kept)
    monkeypatch.undo()


def test_strict_makes_a_doubtful_mask_a_failure(tmp_path):
    save_grey(tmp_path / "in" / "good.png", draw_phantom(120, 100).image)
    save_grey(tmp_path / "in" / "empty.png", np.repeat([[0.0, 1.0]], 64, 1).repeat(128, 0).astype(np.float32))
    assert run(tmp_path / "in", "-o", tmp_path / "lenient").exit_code == 0
    found = {row["file"].rsplit("/", 1)[1]: row for row in table(tmp_path / "lenient")}
    assert found["empty.png"]["quality"] == DOUBTFUL
    assert "no lung" in found["empty.png"]["doubts"]
    assert run(tmp_path / "in", "-o", tmp_path / "strict", "--strict").exit_code == 1
    (failed,) = [row for row in table(tmp_path / "strict") if row["file"].endswith("empty.png")]
    assert failed["status"] == rows.FAILED
    assert "no lung" in failed["reason"]
    assert not (tmp_path / "strict" / "empty.png").exists()


def test_two_empty_masks_have_no_dice(tmp_path):
    save_grey(tmp_path / "in" / "empty.png", np.repeat([[0.0, 1.0]], 64, 1).repeat(128, 0).astype(np.float32))
    save_grey(tmp_path / "in" / "good.png", draw_phantom(120, 100).image)
    save_mask(tmp_path / "truth" / "empty.png", np.zeros((128, 128), bool))
    save_mask(tmp_path / "truth" / "good.png", draw_phantom(120, 100).lungs)
    page, report = tmp_path / "page.html", tmp_path / "report.json"
    options = ("--truth", tmp_path / "truth", "--gallery", page, "--report", report)
    done = run(tmp_path / "in", "-o", tmp_path / "out", *options)
    assert "of 1, 1 without a Dice" in done.output
    empty, good = table(tmp_path / "out")
    assert (empty["dice"], empty["reason"]) == ("", "no Dice: both masks are empty")
    assert float(good["dice"]) > 0.9
    data = page.read_text().split('id="data">')[1].split("</script>")[0]
    assert "mean Dice 0.9" in data
    for text in ((tmp_path / "out" / "segment.csv").read_text(), report.read_text(), data):
        assert "nan" not in text.lower()


def test_reference_masks_that_are_ambiguous_or_implausible_are_said(tmp_path):
    phantom = draw_phantom(120, 100)
    truths = {
        "good": phantom.lungs * 255,
        "inverted": ~phantom.lungs * 255,
        "organs": phantom.right * 1 + phantom.left * 3,
        "upside_down": np.roll(phantom.lungs, 40, 0)[::-1] * 255,
    }
    (tmp_path / "truth").mkdir()
    for name, truth in truths.items():
        image = np.roll(phantom.image, 40, 0) if name == "upside_down" else phantom.image
        save_grey(tmp_path / "in" / f"{name}.png", image)
        Image.fromarray(truth.astype(np.uint8)).save(tmp_path / "truth" / f"{name}_mask.png")
    done = run(tmp_path / "in", "-o", tmp_path / "out", "--truth", tmp_path / "truth")
    assert done.exit_code == 0  # the predicted masks are good
    rows_by_mask = {row["mask"]: row for row in table(tmp_path / "out")}
    assert float(rows_by_mask["good.png"]["dice"]) > 0.9
    assert "reference" not in rows_by_mask["good.png"]["warnings"]
    assert "inverted" in rows_by_mask["inverted.png"]["warnings"]
    assert "upside down" in rows_by_mask["upside_down.png"]["warnings"]
    assert rows_by_mask["organs.png"]["dice"] == ""
    assert "lungmask score: Give the labels" in rows_by_mask["organs.png"]["reason"]


def test_files_that_are_no_images_are_counted(xrays, tmp_path):
    for name in ("a.npy", "b.npy", "c.docx"):
        (xrays / name).write_text("x")
    done = run(xrays, "-o", tmp_path / "out")
    assert "3 files skipped, in no known image format: 1 .docx, 2 .npy" in done.output
    assert len(table(tmp_path / "out")) == 7


def test_a_list_selects_radiographs(xrays, tmp_path):
    (tmp_path / "list.csv").write_text("file\nxrays/p1.png\nxrays/ward/p3.png\n")
    done = run("--list", tmp_path / "list.csv", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert [row["mask"] for row in table(tmp_path / "out")] == ["p1.png", "ward/p3.png"]


def test_hashed_names_exclude_the_patients_identity(xrays, tmp_path):
    done = run(xrays, "-o", tmp_path / "out", "--dicom-seg", "--hash-names")
    assert "--hash-names is to hide" in str(done.exception)


def test_hashed_names_can_be_resumed(xrays, tmp_path):
    out = tmp_path / "out"
    assert run(xrays, "-o", out, "--hash-names").exit_code == 1
    before = content(out)
    done = run(xrays, "-o", out, "--hash-names", "--skip-existing")
    assert "6 kept" in done.output
    assert content(out) == before


def test_a_defect_of_lungmask_costs_one_radiograph(xrays, tmp_path, monkeypatch):
    segment = SegmentWorker._segment

    def broken(self, job, *rest):
        if job.source.name == "p1.png":
            raise KeyError("a defect")
        return segment(self, job, *rest)

    monkeypatch.setattr(SegmentWorker, "_segment", broken)
    done = run(xrays, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "p1.png: could not be segmented (KeyError)" in done.output
    assert sum(row["status"] == "written" for row in table(tmp_path / "out")) == 5


def test_the_gallery_has_every_mask(xrays, tmp_path):
    save_mask(tmp_path / "truth" / "p0.png", draw_phantom(90, 100, seed=0).lungs)
    page = tmp_path / "gallery.html"
    run(xrays, "-o", tmp_path / "out", "--gallery", page, "--truth", tmp_path / "truth")
    text = page.read_text()
    assert text.count('<script type="text/plain"') == 6
    assert "p9.png" in text


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--runtime", "foo"), "'foo' is not one of 'auto', 'keras', 'onnx'"),
        (("--engine", "foo"), "'foo' is not one of 'local', 'ray'"),
        (("--device", "gpux"), "there is no device named 'gpux'"),
        (("--address", "head:6379"), "--address is that of a Ray cluster"),
        (("--skip-existing", "--overwrite"), "exclude each other"),
    ],
)
def test_wrong_words_are_refused_before_any_path_is_read(tmp_path, option, message):
    done = run(tmp_path / "missing", "-o", tmp_path / "out", *option)
    assert done.exit_code != 0
    assert message in " ".join((done.output + str(done.exception)).replace("│", "").split())
    assert not (tmp_path / "out").exists()


def test_an_error_of_the_engine_is_not_blamed_on_the_table(xrays, tmp_path, monkeypatch):
    def lose_connection(self, jobs):
        yield rows.Row(str(next(iter(jobs)).source), reason="broken")
        raise ConnectionError("the engine is gone")

    monkeypatch.setattr(engines.LocalEngine, "run", lose_connection)
    done = run(xrays, "-o", tmp_path / "out")
    assert isinstance(done.exception, ConnectionError)
    assert "cannot be written" not in done.output
    assert len(table(tmp_path / "out")) == 1

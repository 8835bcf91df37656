"""Each command in a subprocess, as a user types it."""

import csv
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import PATIENCE, wait_until
from tests.phantoms import draw_phantom, save_grey, save_mask, write_jsrt_set, write_plain_set


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (["--help"], set()),
        (["info", "presets"], set()),
        (["info", "weights", "--json"], set()),
        (["score", "--help"], set()),
        (["score", "PREDS", "TRUTH", "--metrics", "dice"], set()),
        (["score", "PREDS", "TRUTH"], {"scipy"}),
    ],
)
def test_help_and_score_load_no_network_library(tmp_path, command, allowed):
    for name in ("PREDS", "TRUTH"):
        save_mask(tmp_path / name / "a.png", np.ones((4, 4), bool))
    code = (
        "import sys; from lungmask_cli.cli.app import main\n"
        f"sys.argv = ['lungmask', *{command!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'torch', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        f"assert heavy <= {allowed!r}, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_preprocess_writes_a_set_and_reports_unpaired_files(lungmask, tmp_path):
    source = write_jsrt_set(tmp_path / "src", 4)
    (source / "scratch" / "fold1" / "masks" / "left lung" / "JPCLN003.gif").unlink()
    done = lungmask("preprocess", source, "-o", tmp_path / "dst", "--size", 128, "--split", "1/1/1", "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert "JPCLN003.IMG: has 1 mask file of the same name, not 2" in done.stderr
    assert done.stdout.strip() == str(tmp_path / "dst")
    rows = rows_of(tmp_path / "dst" / "manifest.csv")
    assert [row["id"] for row in rows] == ["JPCLN001", "JPCLN002", "JPCLN004"]
    assert sorted(row["split"] for row in rows) == ["test", "train", "val"]
    assert float(rows[0]["spacing_row_mm"]) == pytest.approx(0.175 * 16)
    assert rows[0]["source"].endswith("JPCLN001.IMG")


def test_preprocess_with_a_broken_pair_exits_with_1(lungmask, tmp_path):
    source = write_plain_set(tmp_path / "src", 2)
    (source / "images" / "p000.png").write_bytes(b"")
    done = lungmask("preprocess", source, "-o", tmp_path / "dst")
    assert done.returncode == 1
    assert "p000.png: is empty" in done.stderr
    assert len(rows_of(tmp_path / "dst" / "manifest.csv")) == 1


def test_train_reports_each_epoch_and_the_test_dice(tiny_run):
    folder, done = tiny_run
    assert done.stdout.strip() == str(folder)
    assert "device: cpu (requested)" in done.stderr
    assert "8 training images may be too few; --init general" in done.stderr
    assert "epoch 15/15: train Dice" in done.stderr
    assert "on 2 images" in done.stderr
    assert "oneDNN" not in done.stderr


def test_train_refuses_an_unknown_preset(lungmask, plain_set, tmp_path):
    done = lungmask("train", plain_set, "-o", tmp_path / "run", "--preset", "papr")
    assert done.returncode == 2
    assert "Did you mean paper?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_gpu_is_an_error_that_names_the_extra(lungmask, plain_set, tmp_path):
    done = lungmask("train", plain_set, "-o", tmp_path / "run", "--device", "gpu", CUDA_VISIBLE_DEVICES="-1")
    assert done.returncode == 2
    assert 'pip install "lungmask-cli[gpu]"' in done.stderr
    assert not (tmp_path / "run").exists()


def test_segment_gives_every_file_its_row(lungmask, tiny_run, tmp_path):
    source = tmp_path / "xrays"
    phantom = draw_phantom(90, 70, seed=5)
    good = save_grey(source / "good.png", phantom.image)
    save_grey(source / "ward" / "deep.tif", phantom.image)
    (source / "truncated.png").write_bytes(good.read_bytes()[:1500])
    (source / "empty.png").touch()
    (source / "text.png").write_text("no picture")
    (source / "JPCLN001.IMG").write_bytes(bytes(1000))
    (source / "unreadable.png").symlink_to(tmp_path / "nowhere")
    (source / "junk.dcm").write_text("junk")
    truth = tmp_path / "truth"
    save_mask(truth / "good.png", phantom.lungs)
    output = tmp_path / "masks"
    done = lungmask("segment", source, "-o", output, "--weights", tiny_run[0], "--overlay", "--truth", truth)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    rows = {row["file"].removeprefix(f"{source}/"): row for row in rows_of(output / "segment.csv")}
    assert len(rows) == 8
    written = {name for name, row in rows.items() if row["status"] == "written"}
    assert written == {"good.png", "ward/deep.tif"}
    for name, words in {
        "truncated.png": "truncated",
        "empty.png": "is empty",
        "text.png": "not a picture",
        "JPCLN001.IMG": "8388608 bytes",
        "unreadable.png": "cannot be read",
        "junk.dcm": "not readable as DICOM",
    }.items():
        assert words in rows[name]["reason"]
        assert words in done.stderr
    for name in ("good.png", "ward/deep.png"):
        with Image.open(output / name) as mask, Image.open(output / "overlays" / name) as overlay:
            assert (mask.mode, mask.size, overlay.size) == ("L", (70, 90), (70, 90))
            values = np.asarray(mask)
        assert set(np.unique(values)) <= {0, 255}
    row = rows["good.png"]
    assert (row["width"], row["height"]) == ("70", "90")
    assert int(row["lung_area_px"]) == np.count_nonzero(np.asarray(Image.open(output / "good.png")))
    assert float(row["dice"]) > 0.7
    assert rows["ward/deep.tif"]["dice"] == ""
    assert "has no mask of this name" in rows["ward/deep.tif"]["reason"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_gets_its_row(lungmask, tiny_run, tmp_path):
    good = save_grey(tmp_path / "good.png", draw_phantom().image)
    locked = save_grey(tmp_path / "locked.png", draw_phantom().image)
    locked.chmod(0)
    done = lungmask("segment", locked, good, "-o", tmp_path / "out", "--weights", tiny_run[0])
    assert done.returncode == 1
    assert [row["status"] for row in rows_of(tmp_path / "out" / "segment.csv")] == ["failed", "written"]
    assert "Permission denied" in done.stderr


def test_segment_and_score_agree(lungmask, tiny_run, plain_set, tmp_path):
    masks = tmp_path / "masks"
    done = lungmask(
        "segment", plain_set / "images", "-o", masks, "--weights", tiny_run[0], "--truth", plain_set / "masks"
    )
    assert done.returncode == 0, done.stderr
    scored = lungmask("score", masks, plain_set / "masks", "-o", tmp_path / "dice.csv")
    assert scored.returncode == 0, scored.stderr
    from_segment = [row["dice"] for row in rows_of(masks / "segment.csv")]
    assert from_segment == [row["dice"] for row in rows_of(tmp_path / "dice.csv")]
    assert "12 scored" in scored.stderr


def test_segment_without_radiographs_or_with_wrong_inputs_exits_with_2(lungmask, tmp_path):
    for arguments in ((tmp_path,), (tmp_path / "nowhere",)):
        done = lungmask("segment", *arguments, "-o", tmp_path / "out")
        assert done.returncode == 2
        assert "Error:" in done.stderr
        assert "Hint:" in done.stderr
    assert lungmask("segment").returncode == 2


def test_segment_uses_the_shipped_weights(lungmask, tmp_path):
    save_grey(tmp_path / "in" / "a.png", draw_phantom(100, 100).image)
    done = lungmask("segment", tmp_path / "in", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.png").is_file()


def test_an_unwritable_output_is_an_error_of_one_line(lungmask, tmp_path):
    save_mask(tmp_path / "a.png", np.ones((4, 4), bool))
    done = lungmask("score", tmp_path, tmp_path, "-o", tmp_path / "a.png" / "dice.csv")
    assert done.returncode == 2
    assert "a.png" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(lungmask, tmp_path):
    done = lungmask("--debug", "score", tmp_path, tmp_path)
    assert "Traceback" in done.stderr


def test_version_and_module_agree(lungmask):
    done = lungmask("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("lungmask 0.")
    assert shutil.which("lungmask-cxr", path=str(sys.prefix) + "/bin")


def test_an_interrupted_batch_keeps_its_results(tiny_run, tmp_path):
    image = draw_phantom(1500, 1500).image
    for number in range(300):
        (tmp_path / "in").mkdir(exist_ok=True)
        if number:
            (tmp_path / "in" / f"{number}.png").hardlink_to(tmp_path / "in" / "0.png")
        else:
            save_grey(tmp_path / "in" / "0.png", image)
    arguments = ["segment", tmp_path / "in", "-o", tmp_path / "out", "--weights", tiny_run[0]]
    # A shell that runs the tests in the background makes its children ignore interrupts; a terminal does not.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from lungmask_cli.cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(list((tmp_path / "out").glob("[0-9]*.png"))) >= 3, process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    rows = rows_of(tmp_path / "out" / "segment.csv")
    assert 1 <= len(rows) < 300
    assert f"{len(rows)} masks written" in stderr
    assert f"0 failed, {300 - len(rows)} not done" in stderr

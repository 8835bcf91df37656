"""Broken and malicious files and folders: each gets a clear message, and no other file is affected."""

import csv
import os
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dicoms import write_dicom
from tests.phantoms import draw_phantom, save_grey, save_mask


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def png_header(path: Path, width: int, height: int) -> Path:
    """A PNG whose header claims a wrong size."""
    Image.new("L", (5, 5)).save(path)
    content = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    path.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    return path


def test_bombs_and_odd_names_do_not_stop_a_batch(lungmask, tiny_run, tmp_path):
    source = tmp_path / "in"
    image = draw_phantom(60, 50).image
    good = save_grey(source / "good.png", image)
    png_header(source / "bomb.png", 100_000, 100_000)
    write_dicom(source / "bomb.dcm", np.zeros((2, 2), np.uint16), Rows=60000, Columns=60000)
    (source / "bomb.tif").write_bytes(
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", 2)
        + b"".join(struct.pack("<HHII", tag, 4, 1, 100_000) for tag in (256, 257))
        + bytes(4)
    )
    (source / "self.png").symlink_to("self.png")
    (source / "circle").symlink_to(source)
    odd = [
        "=1+1.png",
        "two\nlines.png",
        'it\'s "quoted", here.png',
        "\x1b[31mred.png",
        "Müller 山田.png",
        "x" * 251 + ".png",
    ]
    for name in [*odd, os.fsdecode(b"M\xfcller.png")]:
        shutil.copy(good, source / name)
    shutil.copy(write_dicom(tmp_path / "d", np.round(image * 4095).astype(np.uint16)), source / ("9." * 127 + "1"))
    done = lungmask("segment", source, "-o", tmp_path / "out", "--weights", tiny_run[0])
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b[31m" not in done.stderr
    rows = rows_of(tmp_path / "out" / "segment.csv")
    failed = {Path(name).name: row["reason"] for name, row in rows.items() if row["status"] == "failed"}
    assert set(failed) == {"bomb.png", "bomb.dcm", "bomb.tif", "self.png"}
    assert "100000 x 100000 pixels are more than --max-pixels allows" in failed["bomb.png"]
    assert "60000 x 60000 pixels" in failed["bomb.dcm"]
    assert "Too many levels of symbolic links" in failed["self.png"]
    masks = {row["mask"] for row in rows.values()} - {""}
    assert len(masks) == len(odd) + 3
    assert {"two%0Alines.png", "%1B[31mred.png", "M%FCller.png", "Müller 山田.png", "'=1+1.png"} <= masks
    for mask in masks:
        assert (tmp_path / "out" / mask.removeprefix("'")).is_file()
    assert len((tmp_path / "out" / "segment.csv").read_text().splitlines()) == len(rows) + 1


def test_the_pixel_limit_is_an_option(lungmask, tiny_run, tmp_path):
    save_grey(tmp_path / "a.png", draw_phantom(60, 50).image)
    for limit, code in ((3000, 0), (2999, 1)):
        done = lungmask(
            "segment", tmp_path / "a.png", "-o", tmp_path / str(limit), "--weights", tiny_run[0], "--max-pixels", limit
        )
        assert done.returncode == code, done.stderr
    assert "50 x 60 pixels are more than --max-pixels allows (2999)" in done.stderr


def test_files_with_the_same_stem_have_different_masks(lungmask, tiny_run, tmp_path):
    image = draw_phantom(60, 50).image
    for name in ("a.png", "a.tif", "A.bmp", "b/a.png"):
        save_grey(tmp_path / "in" / name, image)
    done = lungmask(
        "segment", tmp_path / "in", tmp_path / "in" / "b", "-o", tmp_path / "in" / "out", "--weights", tiny_run[0]
    )
    assert done.returncode == 0, done.stderr
    written = sorted(
        str(path.relative_to(tmp_path / "in" / "out")) for path in (tmp_path / "in" / "out").rglob("*.png")
    )
    assert written == ["A.png", "a.png.png", "a.tif.png", "b/a.png"]
    # The output lies within the input: a second run does not take masks for radiographs.
    again = lungmask("segment", tmp_path / "in", "-o", tmp_path / "in" / "out", "--weights", tiny_run[0], "--overwrite")
    assert again.returncode == 0, again.stderr
    assert "4 files" in again.stderr


def test_the_input_folder_is_refused_as_output_folder(inside, tmp_path):
    write_dicom(tmp_path / "a.dcm", np.zeros((4, 4), np.uint16))
    done = inside("segment", tmp_path, "-o", tmp_path)
    assert done.returncode == 2
    assert "would be taken for radiographs the next time" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dcm"]


def test_an_invalid_output_folder_is_refused_before_any_work(inside, tmp_path):
    image = save_grey(tmp_path / "a.png", draw_phantom(60, 50).image)
    save_mask(tmp_path / "set" / "masks" / "a.png", np.ones((4, 4), bool))
    save_grey(tmp_path / "set" / "images" / "a.png", draw_phantom(60, 50).image)
    for output, words in ((image, "is a file, not a folder"), (Path("/proc/out"), "cannot be written to")):
        for arguments in (("segment", image), ("preprocess", tmp_path / "set")):
            done = inside(*arguments, "-o", output)
            assert done.returncode == 2, done.stderr
            assert words in done.stderr
            assert "Traceback" not in done.stderr


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file sizes here")
def test_a_mask_that_cannot_be_written_is_a_failed_row(tiny_run, tmp_path):
    """As on a full disk: writing fails in the middle of a file."""
    save_grey(tmp_path / "in" / "small.png", draw_phantom(60, 50).image)
    noise = np.random.default_rng(0).random((700, 700)).astype(np.float32)
    save_grey(tmp_path / "in" / "large.png", noise)
    command = [sys.executable, "-m", "lungmask_cli", "segment", tmp_path / "in", "-o", tmp_path / "out"]
    options = ["--weights", tiny_run[0], "--overlay"]
    environment = {**os.environ, "COVERAGE_PROCESS_CONFIG": ""}  # its file would be too large as well
    done = subprocess.run(
        [*command, *options], preexec_fn=limit_file_size, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "large.png: cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    statuses = {Path(name).name: row["status"] for name, row in rows_of(tmp_path / "out" / "segment.csv").items()}
    assert statuses == {"large.png": "failed", "small.png": "written"}
    assert not list((tmp_path / "out").rglob(".partial*"))


def test_a_table_that_cannot_be_written_is_printed(tiny_run, tmp_path):
    for number in range(8):
        save_grey(tmp_path / "in" / f"{number}.png", draw_phantom(60, 50, number).image)
    command = [sys.executable, "-m", "lungmask_cli", "segment", tmp_path / "in", "-o", tmp_path / "out"]
    done = subprocess.run(
        [*command, "--weights", tiny_run[0]],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "segment.csv: cannot be written: File too large; the table is on standard output" in done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    kept = rows_of(tmp_path / "out" / "segment.csv")
    assert 1 < len(rows) <= 8
    assert len(kept) >= len(rows) - 1


def test_preprocess_reports_broken_radiographs(lungmask, plain_set, tmp_path):
    source = tmp_path / "set"
    shutil.copytree(plain_set, source)
    png_header(source / "images" / "p003.png", 100_000, 100_000)
    done = lungmask("preprocess", source, "-o", tmp_path / "dst")
    assert done.returncode == 1
    assert "p003.png: 100000 x 100000 pixels" in done.stderr
    assert "11 pairs" in done.stderr

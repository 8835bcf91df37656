import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from lungmask_cli.formats.dicom import decode_subprocess
from lungmask_cli.formats.radiographs import read_radiograph
from tests.conftest import PATIENCE
from tests.phantoms import save_mask

pytest.importorskip("gdcm", reason="the extra [dicom] is not installed")


@pytest.fixture
def lossless(tmp_path) -> Path:
    """A radiograph in lossless JPEG, which GDCM decodes in a separate process."""
    dataset = get_testdata_file("JPGLosslessP14SV1_1s_1f_8b.dcm", read=True, download=False)
    if dataset is None:
        pytest.skip("pydicom-data is not installed")
    dataset.Modality = "CR"
    path = tmp_path / "images" / "a.dcm"
    path.parent.mkdir()
    dataset.save_as(path)
    return path


def test_if_the_decoder_dies_one_file_fails_and_the_next_is_read(lossless):
    expected, _ = decode_subprocess.decode_in_subprocess(lossless, "gdcm")
    (process,) = decode_subprocess._processes[0]._processes.values()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with pytest.raises(RuntimeError, match="died"):
        decode_subprocess.decode_in_subprocess(lossless, "gdcm")
    assert np.array_equal(decode_subprocess.decode_in_subprocess(lossless, "gdcm")[0], expected)
    assert read_radiograph(lossless).shape == expected.shape


def test_a_process_that_computes_too_long_is_ended():
    code = "from lungmask_cli.formats.dicom.decode_subprocess import _limit_cpu; _limit_cpu(0.1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=PATIENCE)
    assert done.returncode == -signal.SIGXCPU


def test_a_decoder_that_waits_for_a_busy_core_is_not_ended(lossless, monkeypatch):
    expected, _ = decode_subprocess.decode_in_subprocess(lossless, "gdcm")
    (process,) = decode_subprocess._processes[0]._processes.values()
    monkeypatch.setattr(decode_subprocess, "_CPU_SECONDS", 1.0)
    os.kill(process.pid, signal.SIGSTOP)  # it does not compute for longer than the limit
    Timer(2, os.kill, (process.pid, signal.SIGCONT)).start()
    assert np.array_equal(decode_subprocess.decode_in_subprocess(lossless, "gdcm")[0], expected)


def test_workers_that_decode_in_separate_processes_exit(lossless, tmp_path):
    shape = read_radiograph(lossless).shape
    for number in range(9):
        (tmp_path / "images" / f"{number}.dcm").hardlink_to(lossless)
    for path in (tmp_path / "images").iterdir():
        save_mask(tmp_path / "masks" / f"{path.stem}.png", np.ones(shape, bool))
    command = [sys.executable, "-m", "lungmask_cli", "preprocess", tmp_path, "-o", tmp_path / "dst", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "10 pairs" in done.stderr
    assert "leaked" not in done.stderr

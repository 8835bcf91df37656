"""No text of a DICOM file reaches a picture, a table, the terminal or a traceback."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEGLSLossless

from tests.dicoms import make_dicom
from tests.phantoms import draw_phantom, save_mask

SECRET = "ZQXSECRET"
# The text elements that a radiograph may have, including those that the reader uses.
TEXTS = (
    "PatientName PatientID PatientComments OtherPatientIDs PatientAddress ReferringPhysicianName InstitutionName "
    "StudyDescription SeriesDescription ProtocolName AccessionNumber StationName OperatorsName ImageComments "
    "DerivationDescription BodyPartExamined ViewPosition PresentationIntentType PresentationLUTShape PatientAge "
    "BurnedInAnnotation WindowCenterWidthExplanation RescaleType VOILUTFunction ImageType Manufacturer"
)


def secretive(folder: Path, name: str, **changes: object) -> Path:
    """A radiograph whose text elements all contain the secret."""
    stored = np.round(draw_phantom(60, 50).image * 4095).astype(np.uint16)
    dataset = make_dicom(stored)
    for keyword in TEXTS.split():
        setattr(dataset, keyword, f"{SECRET}^JANE" if dictionary_VR(keyword) == "PN" else SECRET)
    dataset.Modality = "CR"
    view = Dataset()
    view.CodeValue = view.CodeMeaning = SECRET
    dataset.ViewCodeSequence = Sequence([view])
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    path = folder / name
    dataset.save_as(path)
    return path


def break_one(path: Path, element: bytes) -> Path:
    """Replace the number of an element by text."""
    content = path.read_bytes()
    start = content.index(element)
    path.write_bytes(content[: start + 8] + SECRET.encode()[:2] + content[start + 10 :])
    return path


@pytest.fixture(scope="module")
def ward(tmp_path_factory) -> Path:
    """A valid radiograph, and broken ones for every part of the reader."""
    folder = tmp_path_factory.mktemp("ward")
    secretive(folder, "good.dcm")
    secretive(folder, "modality.dcm", Modality=SECRET)
    secretive(folder, "ct.dcm", Modality="CT")
    secretive(folder, "photometric.dcm", PhotometricInterpretation=SECRET)
    secretive(folder, "frames.dcm", NumberOfFrames=7)
    secretive(folder, "rows.dcm", Rows=999)
    secretive(folder, "lut.dcm", VOILUTSequence=Sequence([Dataset()]))
    break_one(secretive(folder, "columns.dcm"), b"\x28\x00\x11\x00US")
    break_one(secretive(folder, "bits.dcm"), b"\x28\x00\x01\x01US")
    whole = secretive(folder, "truncated.dcm").read_bytes()
    (folder / "truncated.dcm").write_bytes(whole[: len(whole) // 3])
    (folder / "header.dcm").write_bytes(whole[:500])
    dataset = dcmread(secretive(folder, "compressed.dcm"))
    dataset.compress(JPEGLSLossless)
    dataset.save_as(folder / "compressed.dcm")
    content = (folder / "compressed.dcm").read_bytes()
    (folder / "syntax.dcm").write_bytes(content.replace(b"1.2.840.10008.1.2.4.80", SECRET.encode().ljust(22, b"\0")))
    (folder / "compressed.dcm").write_bytes(content[:-300] + bytes(300))
    number = dcmread(secretive(folder, "window.dcm", WindowCenter=1, WindowWidth=2))
    number.save_as(folder / "window.dcm")
    raw = (folder / "window.dcm").read_bytes()
    start = raw.index(b"\x28\x00\x50\x10DS")
    (folder / "window.dcm").write_bytes(raw[: start + 8] + b"ZQ" + raw[start + 10 :])
    return folder


def assert_nowhere(output: str, *folders: Path) -> None:
    assert SECRET not in output
    assert "JANE" not in output
    for folder in folders:
        for path in folder.rglob("*"):
            assert SECRET not in str(path)
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_segment_reveals_nothing_of_the_header(lungmask, tiny_run, ward, tmp_path, debug):
    done = lungmask(*debug, "segment", ward, "-o", tmp_path, "--weights", tiny_run[0], "--overlay")
    assert done.returncode == 1, done.stderr
    assert_nowhere(done.stdout + done.stderr, tmp_path)
    rows = list(csv.DictReader((tmp_path / "segment.csv").open()))
    assert len(rows) == len(list(ward.iterdir()))
    assert {Path(row["file"]).name: row["status"] for row in rows}["good.dcm"] == "written"


def test_preprocess_and_its_tracebacks_reveal_nothing(lungmask, ward, tmp_path):
    for path in ward.iterdir():
        (tmp_path / "set" / "images").mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / "images" / path.name).write_bytes(path.read_bytes())
        save_mask(tmp_path / "set" / "masks" / f"{path.stem}.png", draw_phantom(60, 50).lungs)
    done = lungmask("--debug", "preprocess", tmp_path / "set", "-o", tmp_path / "dst", "--jobs", 2)
    assert done.returncode == 1, done.stderr
    assert_nowhere(done.stdout + done.stderr, tmp_path / "dst")


def test_a_traceback_of_the_reader_reveals_nothing(ward):
    import subprocess
    import sys

    code = "import sys; from pathlib import Path; from lungmask_cli.formats.radiographs import read_radiograph\n"
    for path in sorted(ward.iterdir()):
        command = [sys.executable, "-c", f"{code}read_radiograph(Path({str(path)!r}))"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert_nowhere(done.stdout + done.stderr)


def test_hashed_names_reveal_no_file_name(lungmask, tiny_run, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    good = secretive(source, f"{SECRET}_1.dcm")
    (source / f"{SECRET}_2.png").write_bytes(b"broken")
    (source / f"{SECRET}_3.png").symlink_to(source / "nowhere")
    secretive(source, f"{SECRET}_4.dcm", NumberOfFrames=3)
    save_mask(tmp_path / "truth" / f"{SECRET}_1.png", np.ones((3, 3), bool))
    done = lungmask(
        "segment", source, "-o", tmp_path / "out", "--weights", tiny_run[0], "--hash-names", "--overlay",
        "--truth", tmp_path / "truth",
    )  # fmt: skip
    assert done.returncode == 1
    assert_nowhere(done.stdout + done.stderr, tmp_path / "out")
    digest = hashlib.sha256(good.read_bytes()).hexdigest()[:16]
    assert (tmp_path / "out" / f"{digest}.png").is_file()
    assert (tmp_path / "out" / "overlays" / f"{digest}.png").is_file()
    rows = list(csv.DictReader((tmp_path / "out" / "segment.csv").open()))
    assert [row["status"] for row in rows] == ["written", "failed", "failed", "failed"]
    assert rows[0]["file"] == digest
    assert "file 3: cannot be read" in rows[2]["reason"]

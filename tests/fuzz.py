"""Damaged files for the readers: python -m tests.fuzz [--count 5000] [--seed 0] [--keep FOLDER]

Valid PNG, JPEG, TIFF, BMP, GIF, DICOM, NIfTI and .IMG files are damaged at random and read in a process of its own, as
radiographs and as masks; its time and memory are watched. It is a finding when a file makes the process die, takes over
5 seconds or over 1 GiB, or raises anything but an `ImageError` that names the file. Findings are kept in FOLDER, and
make the exit code 1.
"""

import argparse
import contextlib
import gzip
import io
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import nibabel
import numpy as np
from numpy.random import Generator
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.polarity import to_network_input
from tests.dicoms import make_dicom
from tests.phantoms import draw_phantom
from tests.segmentations import LABEL_MAP, make_seg, segment

MOST_SECONDS, MOST_BYTES = 5.0, 2**30
HEADER = 600  # bytes, in which damage does most
SPECIAL = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\1\0\0", b"\0\0\1\0", b"\x80\0\0\0")

Seed = tuple[str, bytes]


def seeds() -> list[Seed]:
    """Small valid files, each with its suffix."""
    grey = (draw_phantom(48, 40).image * 255).astype(np.uint8)
    deep = grey.astype(np.uint16) * 257
    pictures = [Image.fromarray(grey), Image.fromarray(deep), Image.fromarray(grey).convert("RGB")]
    found = [(".png", saved(picture, "PNG")) for picture in pictures]
    found += [(".png", saved(pictures[0].convert(mode), "PNG")) for mode in ("1", "P", "RGBA", "LA")]
    found += [(".tif", saved(picture, "TIFF")) for picture in pictures]
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
        found.append((".tif", saved(pictures[0], "TIFF", compression=compression)))
    for suffix, kind in ((".jpg", "JPEG"), (".bmp", "BMP"), (".gif", "GIF")):
        found.append((suffix, saved(pictures[0], kind)))
    found += [(".dcm", dicom) for dicom in dicom_seeds(deep // 16, pictures[0])]
    return found + list(mask_seeds())


def mask_seeds() -> Iterator[Seed]:
    """Segmentations and NIfTI masks."""
    phantom = draw_phantom(24, 20)
    lungs = [segment(1, kind="3341006"), segment(2, kind="44029006")]
    yield ".dcm", written(make_seg([phantom.right, phantom.left], lungs))
    labels = (phantom.right + 2 * phantom.left).astype(np.uint8)
    label_map = make_seg([labels], lungs, **LABEL_MAP)
    yield ".dcm", written(label_map)
    label_map.compress(JPEGLSLossless)
    yield ".dcm", written(label_map)
    for kind in (np.uint8, np.float32):
        nifti = nibabel.Nifti1Image(labels.T.astype(kind), np.eye(4)).to_bytes()
        yield ".nii", nifti
        yield ".nii.gz", gzip.compress(nifti)


def saved(picture: Image.Image, kind: str, **options: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def dicom_seeds(stored: np.ndarray, picture: Image.Image) -> Iterator[bytes]:
    windowed = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 2, "RescaleIntercept": -100}
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        yield written(make_dicom(stored, syntax=syntax, PixelPaddingValue=0, **windowed))
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        dataset = make_dicom(stored)
        dataset.compress(UID(syntax))
        yield written(dataset)
    baseline = make_dicom(np.asarray(picture), syntax=JPEGBaseline8Bit)
    baseline.PixelData = encapsulate([saved(picture, "JPEG")])
    baseline["PixelData"].VR = "OB"
    yield written(baseline)
    if lossless := get_testdata_file("JPGLosslessP14SV1_1s_1f_8b.dcm", read=True, download=False):
        lossless.Modality = "CR"
        yield written(lossless)


def written(dataset: FileDataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def damage(content: bytes, other: bytes, rng: Generator) -> bytes:
    """The content with one to three random damages."""
    for _ in range(int(rng.integers(1, 4))):
        content = damage_once(content, other, rng) or b"\0"
    return content


def damage_once(content: bytes, other: bytes, rng: Generator) -> bytes:
    place, end = sorted(int(p) for p in rng.integers(0, len(content) + 1, 2))
    near = place % HEADER
    special = SPECIAL[int(rng.integers(len(SPECIAL)))]
    ways = [
        flipped(content, len(content), rng),
        flipped(content, HEADER, rng),
        content[:place] + special + content[place + 4 :],
        content[:near] + special + content[near + 4 :],
        content[:place],
        content[:place] + content[end:],
        content[:end] + content[place:],
        content[:place] + other[place:],
    ]
    return ways[int(rng.integers(len(ways)))]


def flipped(content: bytes, within: int, rng: Generator) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(0, min(len(changed), within), int(rng.integers(1, 17))):
        changed[place] = int(rng.integers(256))
    return bytes(changed)


def damaged_files(count: int, seed: int) -> Iterator[Seed]:
    """`count` damaged files; each two-hundredth is an `.IMG`, which are large."""
    known, rng = seeds(), np.random.default_rng(seed)
    for number in range(count):
        if number % 200 == 199:
            content = rng.integers(0, int(rng.choice([256, 4096, 65536])), 2048 * 2048).astype(">u2").tobytes()
            yield ".IMG", content if rng.random() < 0.5 else damage(content, b"", rng)
            continue
        suffix, content = known[number % len(known)]
        other = known[int(rng.integers(len(known)))][1]
        shown = suffix if rng.random() < 0.95 else str(rng.choice([".png", ".dcm", ".tif", ".IMG", ""]))
        yield shown, damage(content, other, rng)


def read(path: Path) -> str:
    """What came of it: `read`, `refused`, or the name of what was raised and should not have been."""
    outcomes = {tried(path, lambda given: to_network_input(read_radiograph(given))), tried(path, read_lung_mask)}
    bad = outcomes - {"read", "refused"}
    return min(bad) if bad else min(outcomes)


def tried(path: Path, reader: Callable[[Path], object]) -> str:
    try:
        reader(path)
    except ImageError as error:
        return "refused" if path.name in error.message else f"an error that does not name the file: {error.message}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def serve(connection: Connection) -> None:
    """Read the files whose paths come; answer with what came of each, and the most memory taken so far."""
    while (path := connection.recv()) is not None:
        outcome = read(path)
        connection.send((outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


class Reader:
    """A process that reads, started anew after each finding."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,))
        self.process.start()
        theirs.close()

    def try_file(self, path: Path) -> str:
        """`read`, `refused`, or the finding."""
        started = time.monotonic()
        try:
            self.connection.send(path)
            if not self.connection.poll(MOST_SECONDS + 5):
                return "hangs"
            outcome, memory = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return f"dies with exit code {self.process.exitcode}"
        if memory > MOST_BYTES:
            return f"takes {memory / 2**30:.1f} GiB"
        seconds = time.monotonic() - started
        return outcome if seconds < MOST_SECONDS else f"takes {seconds:.1f} s"

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join(5)
        self.process.kill()
        self.process.join()


def warm_up(reader: Reader, folder: Path) -> None:
    """Let the process import what it needs, so that this counts for no file."""
    for number, (suffix, content) in enumerate(seeds()):
        path = folder / f"valid{number}{suffix}"
        path.write_bytes(content)
        outcome = reader.try_file(path)
        assert outcome == "read" or outcome.startswith("takes"), f"{path}: {outcome}"


def fuzz(count: int, seed: int, keep: Path | None = None) -> tuple[Counter[str], list[str]]:
    """How many files were read and refused, and a sentence for each finding."""
    outcomes: Counter[str] = Counter()
    findings = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reader = Reader()
        warm_up(reader, folder)
        for number, (suffix, content) in enumerate(damaged_files(count, seed)):
            path = folder / f"f{number}{suffix}"
            path.write_bytes(content)
            outcome = reader.try_file(path)
            outcomes[outcome if outcome in {"read", "refused"} else "finding"] += 1
            if outcome not in {"read", "refused"}:
                findings.append(f"{path.name}: {outcome}")
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / path.name).write_bytes(content)
                reader.stop()
                reader = Reader()
                warm_up(reader, folder)
            path.unlink()
        reader.stop()
    return outcomes, findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    outcomes, findings = fuzz(options.count, options.seed, options.keep)
    for finding in findings:
        print(finding)
    print(f"{options.count} files, seed {options.seed}: {dict(outcomes)}")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()

"""Fuzz the readers with damaged files: python -m tests.fuzz [--count 5000] [--seed 0] [--keep FOLDER]

Valid PNG, JPEG, TIFF, BMP, GIF, DICOM, NIfTI and .IMG files are damaged at random, DICOM files also element by element,
and read in a separate process, as radiographs and as masks. A file is a finding if it crashes the process, takes over
5 seconds of computing or over 1 GiB, or raises anything but an `ImageError` that names the file. Findings are saved to
FOLDER, and the exit code is then 1.
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
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import BaseTag, Tag
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
from tests.dicoms import NEUTRAL, Odd, encode_odd_dicom, make_dicom
from tests.phantoms import draw_phantom
from tests.segmentations import LABEL_MAP, make_seg, segment

MOST_SECONDS, MOST_BYTES = 5.0, 2**30
PATIENCE = 120  # seconds until a file hangs; other programs may keep the machine busy
HEADER = 600  # bytes, in which damage has most effect
# DICOM elements that are used if a file has them, and values that make sense for none or for some of them.
NAMES = (*NEUTRAL, "SpecificCharacterSet", "FloatPixelData", "PlanarConfiguration", 0x60000102)
OPTIONAL = [Tag(name) for name in NAMES]
REPRESENTATIONS = (
    "UN", "OB", "OW", "UT", "LO", "CS", "DS", "IS", "US", "SS", "UL", "FD", "FL", "SQ", "AS", "PN", "AT", "XX"
)  # fmt: skip
ODD_CONTENTS = (
    b"", b"  ", b"\0\0", b"0,5 ", b"1,024", b"abc ", b"nan ", b"1e999 ", b"-1", b"0 ", b"1\\2\\3\\4", b"\\ ",
    b"\1\0", b"\xff\xff", b"\xfe\xff\0\xe0\0\0\0\0", b"\xfe\xff\0\xe0\xff\xff\xff\xff", b"\0\0\0\0\0\0\xf8\x7f",
    b"0.2\\0.1", b"7" * 400,
)  # fmt: skip
SPECIAL = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\1\0\0", b"\0\0\1\0", b"\x80\0\0\0")

Seed = tuple[str, bytes]


def seeds() -> list[Seed]:
    """Small valid files, each with its suffix."""
    grey = (draw_phantom(48, 40).image * 255).astype(np.uint8)
    deep = grey.astype(np.uint16) * 257
    pictures = [Image.fromarray(grey), Image.fromarray(deep), Image.fromarray(grey).convert("RGB")]
    files = [(".png", encode_image(picture, "PNG")) for picture in pictures]
    files += [(".png", encode_image(pictures[0].convert(mode), "PNG")) for mode in ("1", "P", "RGBA", "LA")]
    files += [(".tif", encode_image(picture, "TIFF")) for picture in pictures]
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
        files.append((".tif", encode_image(pictures[0], "TIFF", compression=compression)))
    for suffix, kind in ((".jpg", "JPEG"), (".bmp", "BMP"), (".gif", "GIF")):
        files.append((suffix, encode_image(pictures[0], kind)))
    files += [(".dcm", dicom) for dicom in dicom_seeds(deep // 16, pictures[0])]
    return files + list(mask_seeds())


def mask_seeds() -> Iterator[Seed]:
    """Segmentations and NIfTI masks."""
    phantom = draw_phantom(24, 20)
    lungs = [segment(1, kind="3341006"), segment(2, kind="44029006")]
    yield ".dcm", encode_dicom(make_seg([phantom.right, phantom.left], lungs))
    labels = (phantom.right + 2 * phantom.left).astype(np.uint8)
    label_map = make_seg([labels], lungs, **LABEL_MAP)
    yield ".dcm", encode_dicom(label_map)
    label_map.compress(JPEGLSLossless)
    yield ".dcm", encode_dicom(label_map)
    for kind in (np.uint8, np.float32):
        nifti = nibabel.Nifti1Image(labels.T.astype(kind), np.eye(4)).to_bytes()
        yield ".nii", nifti
        yield ".nii.gz", gzip.compress(nifti)


def encode_image(picture: Image.Image, kind: str, **options: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def dicom_seeds(stored: np.ndarray, picture: Image.Image) -> Iterator[bytes]:
    windowed = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 2, "RescaleIntercept": -100}
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        yield encode_dicom(make_dicom(stored, syntax=syntax, PixelPaddingValue=0, **windowed))
    neutral = {"BitsStored": 12, "HighBit": 11, **NEUTRAL}
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        yield encode_dicom(correct_ambiguous_vr(make_dicom(stored, syntax, **neutral), True))
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        dataset = make_dicom(stored)
        dataset.compress(UID(syntax))
        yield encode_dicom(dataset)
    baseline = make_dicom(np.asarray(picture), syntax=JPEGBaseline8Bit)
    baseline.PixelData = encapsulate([encode_image(picture, "JPEG")])
    baseline["PixelData"].VR = "OB"
    yield encode_dicom(baseline)
    if lossless := get_testdata_file("JPGLosslessP14SV1_1s_1f_8b.dcm", read=True, download=False):
        lossless.Modality = "CR"
        yield encode_dicom(lossless)


def encode_dicom(dataset: FileDataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def damage(content: bytes, other: bytes, rng: Generator) -> bytes:
    """The content with one to three random damages."""
    for _ in range(int(rng.integers(1, 4))):
        content = damage_once(content, other, rng) or b"\0"
    return content


def damage_once(content: bytes, other: bytes, rng: Generator) -> bytes:
    start, end = sorted(int(index) for index in rng.integers(0, len(content) + 1, 2))
    near = start % HEADER
    special = SPECIAL[int(rng.integers(len(SPECIAL)))]
    variants = [
        replace_bytes(content, len(content), rng),
        replace_bytes(content, HEADER, rng),
        content[:start] + special + content[start + 4 :],
        content[:near] + special + content[near + 4 :],
        content[:start],
        content[:start] + content[end:],
        content[:end] + content[start:],
        content[:start] + other[start:],
    ]
    return variants[int(rng.integers(len(variants)))]


def replace_bytes(content: bytes, within: int, rng: Generator) -> bytes:
    damaged = bytearray(content)
    for index in rng.integers(0, min(len(damaged), within), int(rng.integers(1, 17))):
        damaged[index] = int(rng.integers(256))
    return bytes(damaged)


def garble_elements(content: bytes, rng: Generator) -> bytes:
    """A DICOM file in which one to four elements are removed, emptied or garbled, or are of another representation."""
    dataset = dcmread(io.BytesIO(content))
    present = [element.tag for element in dataset]
    chosen = [present[int(index)] for index in rng.integers(0, len(present), int(rng.integers(1, 4)))]
    chosen += [OPTIONAL[int(rng.integers(len(OPTIONAL)))]] * int(rng.integers(0, 2))
    odd = {tag: garble_element(tag, rng) for tag in dict.fromkeys(chosen) if not garble_item(dataset, tag, rng)}
    return encode_odd_dicom(dataset, odd)


def garble_element(tag: BaseTag, rng: Generator) -> Odd | None:
    """Another value, another representation or both; None to remove the element."""
    known = dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "UN"
    representation = known if rng.random() < 0.6 else str(rng.choice(REPRESENTATIONS))
    contents = [*ODD_CONTENTS, rng.bytes(int(rng.integers(0, 20)))]
    return None if rng.random() < 0.2 else (representation, contents[int(rng.integers(len(contents)))])


def garble_item(dataset: Dataset, tag: BaseTag, rng: Generator) -> bool:
    """Garble an element in the first item of a sequence, in place, in half of all cases; whether it was done."""
    if tag not in dataset or dataset[tag].VR != "SQ" or not dataset[tag].value or rng.random() < 0.5:
        return False
    item = dataset[tag].value[0]
    tags = list(item.keys())
    if not tags or garble_item(item, inner := tags[int(rng.integers(len(tags)))], rng):
        return bool(tags)
    item.pop(inner)
    if odd := garble_element(inner, rng):
        little = dataset.original_encoding[1] is not False
        item[inner] = RawDataElement(inner, odd[0], len(odd[1]), odd[1], 0, bool(dataset.original_encoding[0]), little)
    return True


def damaged_files(count: int, seed: int) -> Iterator[Seed]:
    """`count` damaged files; every two-hundredth is an `.IMG` file, because these are large."""
    known, rng = seeds(), np.random.default_rng(seed)
    for number in range(count):
        if number % 200 == 199:
            content = rng.integers(0, int(rng.choice([256, 4096, 65536])), 2048 * 2048).astype(">u2").tobytes()
            yield ".IMG", content if rng.random() < 0.5 else damage(content, b"", rng)
            continue
        suffix, content = known[number % len(known)]
        other = known[int(rng.integers(len(known)))][1]
        name_suffix = suffix if rng.random() < 0.95 else str(rng.choice([".png", ".dcm", ".tif", ".IMG", ""]))
        if suffix == ".dcm" and rng.random() < 0.6:
            content = garble_elements(content, rng)
            yield name_suffix, content if rng.random() < 0.9 else damage(content, other, rng)
        else:
            yield name_suffix, damage(content, other, rng)


def read(path: Path) -> str:
    """The outcome: `read`, `refused`, or the error that should not have been raised."""
    outcomes = {
        try_reader(path, lambda file: to_network_input(read_radiograph(file))),
        try_reader(path, read_lung_mask),
    }
    findings = outcomes - {"read", "refused"}
    return min(findings or outcomes)


def try_reader(path: Path, reader: Callable[[Path], object]) -> str:
    try:
        reader(path)
    except ImageError as error:
        return "refused" if path.name in error.message else f"an error that does not name the file: {error.message}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def serve(connection: Connection) -> None:
    """Read each file whose path is received; send the outcome, the peak memory in bytes and the computing time."""
    while (path := connection.recv()) is not None:
        started = time.process_time()
        outcome = read(path)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        connection.send((outcome, memory, time.process_time() - started))


class Reader:
    """A reading process."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, child = context.Pipe()
        self.process = context.Process(target=serve, args=(child,))
        self.process.start()
        child.close()

    def try_file(self, path: Path) -> str:
        """`read`, `refused`, or the finding."""
        try:
            self.connection.send(path)
            if not self.connection.poll(PATIENCE):
                return "hangs"
            outcome, memory, seconds = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return f"dies with exit code {self.process.exitcode}"
        if memory > MOST_BYTES:
            return f"takes {memory / 2**30:.1f} GiB"
        return outcome if seconds < MOST_SECONDS else f"takes {seconds:.1f} s"

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join(5)
        self.process.kill()
        self.process.join()


def warm_up(reader: Reader, folder: Path) -> None:
    """Let the process import its modules, so that their time and memory are not counted."""
    for number, (suffix, content) in enumerate(seeds()):
        path = folder / f"valid{number}{suffix}"
        path.write_bytes(content)
        outcome = reader.try_file(path)
        assert outcome == "read" or outcome.startswith("takes"), f"{path}: {outcome}"


def fuzz(count: int, seed: int, keep: Path | None = None) -> tuple[Counter[str], list[str]]:
    """The numbers of files read and refused, and a line per finding."""
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

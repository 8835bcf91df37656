"""Compares the pixels of DICOM files with two other readers: pydicom's own pipeline, and DCMTK's `dcmj2pnm`.

    python benchmarks/dicom_agreement.py FILE_OR_FOLDER ...

JPEG 2000 and JPEG-LS, which `dcmj2pnm` cannot decode, are first decompressed by GDCM.

Each result is scaled from its minimum and maximum to [0, 1]. The largest and the mean absolute difference of the pixels
are printed. Files that the tool refuses are listed with the reason. Without `dcmj2pnm` (Debian: dcmtk), the second
column is empty.
"""

import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.find import find_images
from lungmask_cli.formats.radiographs import read_radiograph

LUMINANCE = (0.299, 0.587, 0.114)


def scale(pixels: NDArray) -> NDArray:
    pixels = pixels.astype(float)
    return (pixels - pixels.min()) / max(np.ptp(pixels), 1e-9)


def read_with_pydicom(path: Path) -> NDArray:
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array
    if pixels.ndim == 3:
        return scale(pixels @ LUMINANCE)
    displayed = scale(apply_voi_lut(apply_modality_lut(pixels, dataset), dataset))
    return 1 - displayed if dataset.PhotometricInterpretation == "MONOCHROME1" else displayed


def read_with_dcmtk(path: Path) -> NDArray:
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    choice = ["+Wl", "1"] if "VOILUTSequence" in dataset else ["+Wi", "1"] if "WindowCenter" in dataset else ["+Wm"]
    with tempfile.TemporaryDirectory() as folder:
        plain, picture = Path(folder, "plain.dcm"), Path(folder, "picture.png")
        for source in (path, plain):
            if source == plain:
                decompress_with_gdcm(path, plain)
            done = subprocess.run(
                ["dcmj2pnm", "-O", *choice, "+on2", source, picture], capture_output=True, check=False
            )
            if done.returncode == 0 and picture.exists():
                break
        with Image.open(picture) as opened:
            pixels = np.asarray(opened)
    return scale(pixels @ LUMINANCE if pixels.ndim == 3 else pixels)


def decompress_with_gdcm(path: Path, plain: Path) -> None:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read(), path
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian))
    change.SetInput(reader.GetImage())
    assert change.Change(), path
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(plain))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write(), path


def format_difference(one: NDArray, other: NDArray | None) -> str:
    if other is None:
        return f"{'-':>9} {'-':>9}"
    differences = np.abs(one - other)
    return f"{differences.max():9.6f} {differences.mean():9.6f}"


def main() -> None:
    warnings.simplefilter("ignore")
    dcmtk = shutil.which("dcmj2pnm")
    print(f"{'file':44} {'pydicom':>9} {'mean':>9} {'DCMTK':>9} {'mean':>9}")
    for path, _ in find_images(map(Path, sys.argv[1:])):
        try:
            ours = scale(read_radiograph(path).pixels)
        except ImageError as error:
            print(f"{path.name:44} {error.message.removeprefix(f'{path}: ')}")
            continue
        others = read_with_pydicom(path), read_with_dcmtk(path) if dcmtk else None
        print(f"{path.name:44} {' '.join(format_difference(ours, other) for other in others)}")


if __name__ == "__main__":
    main()

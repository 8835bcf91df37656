"""One case per row of the tables in docs/reference/formats.md."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, convert_color_space, get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.radiographs import read_radiograph
from tests.dicoms import make_dicom, write_dicom

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"
RAMP8 = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP16 = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
COLOURS = np.stack([RAMP8, RAMP8[::-1], RAMP8.T], axis=-1)
LUMINANCE = COLOURS @ (0.299, 0.587, 0.114)


def rg1() -> np.ndarray:
    """The middle of NEMA's real PA chest: 256 x 256 of 15 bits."""
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    if path is None:
        pytest.skip("pydicom-data is not installed")
    pixels: np.ndarray = dcmread(path).pixel_array[800:1056, 700:956]
    return pixels


def picture(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def deep_colour_png(folder: Path) -> Path:
    """A 16-bit RGB PNG, which Pillow cannot write."""
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in RAMP16)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return folder / "a.png"


def inverted_deep_tiff(folder: Path) -> Path:
    image = Image.fromarray(65535 - RAMP16)
    return picture(folder, "a.tif", image, tiffinfo={262: 0})


def pages(folder: Path) -> Path:
    return picture(folder, "a.tif", Image.fromarray(RAMP8), save_all=True, append_images=[Image.fromarray(RAMP8)])


def with_reduced_copy(folder: Path) -> Path:
    copy = Image.fromarray(RAMP8[::2, ::2].copy())
    copy.encoderinfo = {"tiffinfo": {254: 1}}  # type: ignore[attr-defined]  # NewSubfileType
    return picture(folder, "a.tif", Image.fromarray(RAMP8), save_all=True, append_images=[copy])


def with_preview(folder: Path) -> Path:
    preview = Image.fromarray(RAMP8[::2, ::2].copy())
    options = {"format": "MPO", "quality": 100, "save_all": True, "append_images": [preview]}
    return picture(folder, "a.jpg", Image.fromarray(RAMP8), **options)


def rotated(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side: turned by 90 degrees
    return picture(folder, "a.png", Image.fromarray(RAMP8), exif=exif)


def jsrt(order: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        stored = np.zeros((2048, 2048), f"{order}u2")
        stored[0, :256] = np.arange(256) * 16
        stored.tofile(folder / "a.IMG")
        return folder / "a.IMG"

    return write


def jsrt_pixels() -> np.ndarray:
    expected = np.full((2048, 2048), 4095)
    expected[0, :256] -= np.arange(256) * 16
    return expected


def plain(stored: np.ndarray, syntax: str = ExplicitVRLittleEndian, **changes: object) -> Callable[[Path], Path]:
    return lambda folder: write_dicom(folder / "a.dcm", stored, syntax, **changes)


def reencoded(syntax: str, **options: object) -> Callable[[Path], Path]:
    """RG1 in another transfer syntax, by pydicom."""

    def write(folder: Path) -> Path:
        native = syntax in {ExplicitVRBigEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian}
        dataset = make_dicom(rg1(), syntax if native else ExplicitVRLittleEndian, BitsStored=15, HighBit=14)
        if not native and syntax != ExplicitVRLittleEndian:
            dataset.compress(UID(syntax), **options)
        dataset.save_as(folder / "a.dcm")
        return folder / "a.dcm"

    return write


def baseline(folder: Path) -> Path:
    dataset = make_dicom((rg1() >> 7).astype(np.uint8), JPEGBaseline8Bit)
    stream = io.BytesIO()
    Image.fromarray((rg1() >> 7).astype(np.uint8)).save(stream, "JPEG", quality=95)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(folder / "a.dcm")
    return folder / "a.dcm"


def gdcm_encoded(kind: str) -> Callable[[Path], Path]:
    """RG1 in a syntax that pydicom cannot write."""

    def write(folder: Path) -> Path:
        gdcm = pytest.importorskip("gdcm", reason="the extra [dicom] is not installed")
        reader = gdcm.ImageReader()
        reader.SetFileName(str(reencoded(ExplicitVRLittleEndian)(folder)))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(folder / "b.dcm"))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return folder / "b.dcm"

    return write


def extended(folder: Path) -> Path:
    pytest.importorskip("libjpeg", reason="the extra [gpl] is not installed")
    dataset = get_testdata_file("JPGExtended.dcm", read=True, download=False)
    dataset.Modality = "CR"
    dataset.save_as(folder / "a.dcm")
    return folder / "a.dcm"


def extended_pixels() -> np.ndarray:
    dataset = get_testdata_file("JPGExtended.dcm", read=True, download=False)
    pixels, _ = get_decoder(JPEGExtended12Bit).as_array(dataset, decoding_plugin="pylibjpeg")
    shown: np.ndarray = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset)
    return shown


def palette(folder: Path) -> Path:
    changes: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for channel, name in enumerate(("Red", "Green", "Blue")):
        changes[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        table = (COLOURS.reshape(-1, 3)[:, channel].astype("<u2") * 257).tobytes()
        changes[f"{name}PaletteColorLookupTableData"] = table
    return write_dicom(folder / "a.dcm", RAMP8, **changes)


def ybr(folder: Path) -> Path:
    stored = convert_color_space(COLOURS, "RGB", "YBR_FULL")
    return write_dicom(folder / "a.dcm", stored, PhotometricInterpretation="YBR_FULL")


def ybr_422(_: Path) -> Path:
    return Path(str(get_testdata_file("SC_ybr_full_422_uncompressed.dcm", download=False)))


def ybr_422_pixels() -> np.ndarray:
    shown = dcmread(ybr_422(Path())).pixel_array  # pydicom converts to RGB
    return shown @ (0.299, 0.587, 0.114)


def planes(folder: Path) -> Path:
    stored = np.moveaxis(COLOURS, -1, 0)
    dataset = make_dicom(COLOURS, PlanarConfiguration=1)
    dataset.PixelData = stored.tobytes()
    dataset.save_as(folder / "a.dcm")
    return folder / "a.dcm"


def ramp_of_bits(bits: int, signed: bool = False) -> np.ndarray:
    values = np.linspace(0, 2**bits - 1, 256).astype(np.int64).reshape(16, 16) - signed * 2 ** (bits - 1)
    return values.astype(np.int16 if signed else np.uint16 if bits > 8 else np.uint8)


Case = tuple[Callable[[Path], Path], object, float]  # the file, its pixels or the words of the refusal, and a tolerance
CASES: dict[str, Case] = {
    "PNG, 1-bit grey": (lambda f: picture(f, "a.png", Image.fromarray(RAMP8 > 99)), (RAMP8 > 99), 0),
    "PNG, 8-bit grey": (lambda f: picture(f, "a.png", Image.fromarray(RAMP8)), RAMP8, 0),
    "PNG, 16-bit grey": (lambda f: picture(f, "a.png", Image.fromarray(RAMP16)), RAMP16, 0),
    "PNG, palette": (lambda f: picture(f, "a.png", Image.fromarray(RAMP8).convert("P")), RAMP8, 0),
    "PNG, RGB": (lambda f: picture(f, "a.png", Image.fromarray(COLOURS)), LUMINANCE, 1),
    "PNG, RGBA": (lambda f: picture(f, "a.png", Image.fromarray(COLOURS).convert("RGBA")), LUMINANCE, 1),
    "PNG, grey with alpha": (lambda f: picture(f, "a.png", Image.fromarray(RAMP8).convert("LA")), RAMP8, 0),
    "PNG, 16-bit RGB": (deep_colour_png, RAMP8, 1),
    "PNG, turned by EXIF": (rotated, np.rot90(RAMP8, -1), 0),
    "JPEG, grey": (lambda f: picture(f, "a.jpg", Image.fromarray(RAMP8), quality=100), RAMP8, 3),
    "JPEG, colour": (lambda f: picture(f, "a.jpg", Image.fromarray(COLOURS), quality=100, subsampling=0), LUMINANCE, 6),
    "JPEG, CMYK": (lambda f: picture(f, "a.jpg", Image.fromarray(RAMP8).convert("CMYK"), quality=100), RAMP8, 6),
    "TIFF, 1-bit": (lambda f: picture(f, "a.tif", Image.fromarray(RAMP8 > 99)), (RAMP8 > 99), 0),
    "TIFF, 8-bit grey": (lambda f: picture(f, "a.tif", Image.fromarray(RAMP8)), RAMP8, 0),
    "TIFF, 16-bit grey": (lambda f: picture(f, "a.tif", Image.fromarray(RAMP16)), RAMP16, 0),
    "TIFF, 16-bit grey, white is zero": (inverted_deep_tiff, RAMP16, 0),
    "TIFF, 32-bit float": (lambda f: picture(f, "a.tif", Image.fromarray(RAMP16 / np.float32(7))), RAMP16 / 7, 1e-3),
    "TIFF, RGB, LZW": (lambda f: picture(f, "a.tif", Image.fromarray(COLOURS), compression="tiff_lzw"), LUMINANCE, 1),
    "TIFF, several pages": (pages, "2 pages", 0),
    "TIFF, a page and its reduced copy": (with_reduced_copy, RAMP8, 0),
    "JPEG with a preview (MPO), as phones write it": (with_preview, RAMP8, 3),
    "WebP, lossless": (lambda f: picture(f, "a.webp", Image.fromarray(COLOURS), lossless=True), LUMINANCE, 1),
    "JPEG 2000, grey": (lambda f: picture(f, "a.jp2", Image.fromarray(RAMP8)), RAMP8, 0),
    "PGM": (lambda f: picture(f, "a.pgm", Image.fromarray(RAMP8)), RAMP8, 0),
    "PPM": (lambda f: picture(f, "a.ppm", Image.fromarray(COLOURS)), LUMINANCE, 1),
    "BMP, 8-bit grey": (lambda f: picture(f, "a.bmp", Image.fromarray(RAMP8)), RAMP8, 0),
    "BMP, RGB": (lambda f: picture(f, "a.bmp", Image.fromarray(COLOURS)), LUMINANCE, 1),
    "GIF": (lambda f: picture(f, "a.gif", Image.fromarray(RAMP8)), RAMP8, 0),
    "JSRT .IMG, most significant byte first": (jsrt(">"), jsrt_pixels, 0),
    "JSRT .IMG, least significant byte first": (jsrt("<"), jsrt_pixels, 0),
    "Implicit VR Little Endian": (reencoded(ImplicitVRLittleEndian), rg1, 0),
    "Explicit VR Little Endian": (reencoded(ExplicitVRLittleEndian), rg1, 0),
    "Explicit VR Big Endian": (reencoded(ExplicitVRBigEndian), rg1, 0),
    "Deflated Explicit VR Little Endian": (reencoded(DeflatedExplicitVRLittleEndian), rg1, 0),
    "RLE Lossless": (reencoded(RLELossless), rg1, 0),
    "JPEG-LS Lossless": (reencoded(JPEGLSLossless), rg1, 0),
    "JPEG-LS Near-Lossless": (reencoded(JPEGLSNearLossless, jls_error=3), rg1, 3),
    "JPEG 2000 Lossless": (reencoded(JPEG2000Lossless), rg1, 0),
    "JPEG 2000": (reencoded(JPEG2000, j2k_psnr=[80]), rg1, 100),
    "JPEG Baseline (8-bit)": (baseline, lambda: rg1() >> 7, 6),
    "JPEG Lossless (process 14)": (gdcm_encoded("JPEGLosslessProcess14"), rg1, 0),
    "JPEG Lossless (first-order prediction)": (gdcm_encoded("JPEGLosslessProcess14_1"), rg1, 0),
    "JPEG Extended (12-bit)": (extended, extended_pixels, 0.01),
    "MONOCHROME2, 8 bits": (plain(ramp_of_bits(8)), ramp_of_bits(8), 0),
    "MONOCHROME2, 10 bits": (plain(ramp_of_bits(10), BitsStored=10, HighBit=9), ramp_of_bits(10), 0),
    "MONOCHROME2, 12 bits": (plain(ramp_of_bits(12), BitsStored=12, HighBit=11), ramp_of_bits(12), 0),
    "MONOCHROME2, 16 bits": (plain(ramp_of_bits(16)), ramp_of_bits(16), 0),
    "MONOCHROME2, 16 bits signed": (plain(ramp_of_bits(16, signed=True)), ramp_of_bits(16, signed=True), 0),
    "MONOCHROME1, 12 bits": (
        plain(ramp_of_bits(12), BitsStored=12, HighBit=11, PhotometricInterpretation="MONOCHROME1"),
        4095 - ramp_of_bits(12),
        0,
    ),
    "RGB": (plain(COLOURS), LUMINANCE, 0.01),
    "RGB, colour by plane": (planes, LUMINANCE, 0.01),
    "YBR_FULL": (ybr, LUMINANCE, 2),
    "YBR_FULL_422": (ybr_422, ybr_422_pixels, 0.01),
    "PALETTE COLOR": (palette, COLOURS @ (0.299, 0.587, 0.114) * 257, 1),
    "Several frames": (plain(np.zeros((4, 4), np.uint8), NumberOfFrames=3), "3 frames", 0),
}


@pytest.mark.parametrize("name", CASES)
def test_each_format_is_read_to_its_pixels(tmp_path, name):
    make, expected, tolerance = CASES[name]
    path = make(tmp_path)
    if isinstance(expected, str):
        with pytest.raises(ImageError, match=expected):
            read_radiograph(path)
        return
    pixels = read_radiograph(path).pixels.astype(float)
    right = np.asarray(expected() if callable(expected) else expected, float)
    assert pixels.shape == right.shape
    assert np.abs(pixels - right).max() <= tolerance


def test_each_row_of_the_documentation_has_a_case_and_each_case_a_row():
    formats = PAGE.read_text().split("| header |")[0]
    rows = re.findall(r"^\| ([^|`]+?) \|", formats, re.MULTILINE)
    titles = {"format", "transfer syntax", "photometric interpretation, bits stored"}
    assert [row for row in rows if row not in titles and not row.startswith("-")] == list(CASES)


def test_the_loss_of_sixteen_bit_colour_is_reported(tmp_path):
    assert "8 bits" in read_radiograph(deep_colour_png(tmp_path)).warnings[0]


def test_the_other_byte_order_is_reported(tmp_path):
    assert "other order" in read_radiograph(jsrt("<")(tmp_path)).warnings[0]

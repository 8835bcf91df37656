import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.find import describe_skipped, find_files, find_images
from lungmask_cli.formats.raster import read_raster


def test_sixteen_bits_are_kept(tmp_path):
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.array_equal(read_raster(tmp_path / "deep.png").pixels, values)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif"])
def test_lossless_formats_keep_grey_values(tmp_path, name):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / name)
    assert np.array_equal(read_raster(tmp_path / name).pixels, values)


def test_colours_become_luminance(tmp_path):
    Image.new("RGBA", (2, 1), (255, 0, 0, 255)).save(tmp_path / "red.png")
    assert read_raster(tmp_path / "red.png").pixels.tolist() == [[76, 76]]  # 0.299 x 255


def test_exif_rotation_is_applied(tmp_path):
    picture = Image.new("L", (4, 2))
    exif = picture.getexif()
    exif[0x0112] = 6  # rotated by 90 degrees
    picture.save(tmp_path / "rotated.jpg", exif=exif)
    assert read_raster(tmp_path / "rotated.jpg").shape == (4, 2)


def test_too_large_an_image_is_rejected_by_its_header_alone(tmp_path):
    Image.new("L", (5, 5)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    header = b"IHDR" + struct.pack(">II", 100_000, 100_000) + content[24:29]
    (tmp_path / "a.png").write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    with pytest.raises(ImageError, match=r"100000 x 100000 pixels are more than --max-pixels allows \(100000000\)"):
        read_raster(tmp_path / "a.png")


def test_max_pixels_is_the_last_size_that_is_read(tmp_path):
    Image.new("L", (4, 5)).save(tmp_path / "a.png")
    assert read_raster(tmp_path / "a.png", max_pixels=20).shape == (5, 4)
    with pytest.raises(ImageError, match="--max-pixels"):
        read_raster(tmp_path / "a.png", max_pixels=19)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.bmp"])
def test_a_resolution_tag_is_not_the_pixel_spacing(tmp_path, name):
    Image.new("L", (4, 5)).save(tmp_path / name, dpi=(254, 127))
    assert read_raster(tmp_path / name).spacing is None


def test_several_pages_are_rejected(tmp_path):
    pages = [Image.new("L", (4, 4), value) for value in (0, 255)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match="2 pages"):
        read_raster(tmp_path / "pages.tif")


@pytest.mark.parametrize(
    "name", ["a.jfif", "a.jpe", "a.webp", "a.jp2", "a.j2k", "a.pgm", "a.ppm", "a.dib", "a.mpo", "noname", "a.scan"]
)
def test_every_picture_is_found_and_read_whatever_its_suffix(tmp_path, name):
    formats = {".jpe": "JPEG", ".scan": "PNG", "": "PNG", ".dib": "BMP", ".mpo": "JPEG"}
    suffix = name[1:] if name.startswith("a") else ""
    values = np.kron(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4, np.ones((8, 8), np.uint8))
    Image.fromarray(values).save(tmp_path / name, format=formats.get(suffix))
    assert [path.name for path, _ in find_images([tmp_path])] == [name]
    assert np.abs(read_raster(tmp_path / name).pixels.astype(int) - values).max() < 12


def test_files_that_are_no_images_are_counted_by_suffix(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for name in ("a.npy", "b.npy", "notes.txt", "LICENSE", "a.very-long-ending", ".hidden"):
        (tmp_path / name).write_bytes(b"P5 but not a picture" * 9)
    found = find_files([tmp_path])
    assert [path.name for path, _ in found.images] == ["a.png"]
    assert describe_skipped(found.skipped) == (
        "5 files skipped, in no known image format: 2 .npy, 1 .txt, 2 without suffix"
    )


def test_a_jpeg_with_a_preview_is_one_photograph(tmp_path):
    large, small = Image.new("L", (64, 32), 200), Image.new("L", (16, 8), 10)
    large.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[small])
    assert Image.open(tmp_path / "phone.jpg").n_frames == 2
    radiograph = read_raster(tmp_path / "phone.jpg")
    assert radiograph.shape == (32, 64)
    assert int(radiograph.pixels.min()) > 190


def test_a_tiff_with_a_reduced_copy_of_its_page_is_one_picture(tmp_path):
    pages = [Image.new("L", size, 200) for size in ((64, 32), (16, 8))]
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}  # NewSubfileType: a reduced copy
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert read_raster(tmp_path / "a.tif").shape == (32, 64)


@pytest.mark.parametrize(("orientation", "turned"), [(1, False), (3, True), (6, True), (None, False), (0, False)])
def test_whether_exif_turned_a_picture_is_known(tmp_path, orientation, turned):
    picture = Image.new("L", (4, 2))
    exif = picture.getexif()
    if orientation is not None:
        exif[0x0112] = orientation
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_raster(tmp_path / "a.jpg").turned is turned

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.errors import ImageError
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

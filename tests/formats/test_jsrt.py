import numpy as np
import pytest

from lungmask_cli.errors import ImageError
from lungmask_cli.formats.jsrt import read_jsrt


def test_air_is_dark_in_what_is_read_from_a_big_endian_file(tmp_path):
    stored = np.zeros((2048, 2048), ">u2")
    stored[0, 0], stored[0, 1] = 4095, 256
    stored.tofile(tmp_path / "a.IMG")
    radiograph = read_jsrt(tmp_path / "a.IMG")
    assert radiograph.pixels[0, :3].tolist() == [0, 4095 - 256, 4095]
    assert radiograph.spacing.mm == (0.175, 0.175)


def test_a_wrong_size_is_reported_in_bytes(tmp_path):
    (tmp_path / "short.IMG").write_bytes(bytes(1000))
    with pytest.raises(ImageError, match=r"short\.IMG.*8388608 bytes.*has 1000"):
        read_jsrt(tmp_path / "short.IMG")


def test_values_beyond_12_bits_in_either_byte_order_are_rejected(tmp_path):
    np.full((2048, 2048), 0x1234, "<u2").tofile(tmp_path / "other.IMG")
    with pytest.raises(ImageError, match="12 bits"):
        read_jsrt(tmp_path / "other.IMG")

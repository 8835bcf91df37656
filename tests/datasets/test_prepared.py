import hashlib

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.datasets.cache import open_or_prepare
from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.preparation import PrepareOptions, prepare
from lungmask_cli.datasets.prepared import read_prepared
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.formats import radiographs
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.formats.radiographs import read_radiograph
from tests.phantoms import draw_phantom, save_mask, write_jsrt_set, write_plain_set


def prepare_all(folder, destination, size=64, part="train"):
    pairing = find_pairs(folder)
    return prepare(pairing, destination, {pair.id: part for pair in pairing.pairs}, "all", PrepareOptions(size))


def test_jsrt_becomes_squares_with_spacing_and_checksums(tmp_path):
    source = write_jsrt_set(tmp_path / "src", 2)
    prepare_all(source, tmp_path / "dst", size=256)
    first, _ = read_prepared(tmp_path / "dst").entries
    assert (first.id, first.height, first.width) == ("JPCLN001", 2048, 2048)
    assert first.spacing_row_mm == first.spacing_column_mm == pytest.approx(1.4)
    image_path = tmp_path / "dst" / first.image
    assert first.image_sha256 == hashlib.sha256(image_path.read_bytes()).hexdigest()
    image, mask = np.asarray(Image.open(image_path)), np.asarray(Image.open(tmp_path / "dst" / first.mask))
    assert image.dtype == np.uint16
    assert image.shape == mask.shape == (256, 256)
    lungs = draw_phantom(256, 256, seed=1).lungs
    assert np.mean((mask > 0) == lungs) > 0.999
    assert image[lungs].mean() < image[~lungs].mean()  # lungs dark, though air is bright in the file


def test_a_broken_pair_is_left_out_and_reported(tmp_path):
    source = write_plain_set(tmp_path / "src", 3)
    (source / "images" / "p001.png").write_bytes(b"broken")
    save_mask(source / "masks" / "p002.png", np.zeros((64, 128), bool))
    prepared = prepare_all(source, tmp_path / "dst")
    assert [entry.id for entry in prepared.entries] == ["p000"]
    assert "p001.png: is not a picture" in prepared.problems[0]
    assert "p002.png: its aspect ratio, 128 x 64 pixels, is not that of" in prepared.problems[1]


def test_the_data_set_itself_is_not_overwritten(tmp_path):
    source = write_plain_set(tmp_path, 1)
    before = (source / "images" / "p000.png").read_bytes()
    with pytest.raises(UsageError, match="would be overwritten"):
        prepare_all(source, source)
    assert (source / "images" / "p000.png").read_bytes() == before


def test_a_missing_file_is_named(tmp_path):
    prepare_all(write_plain_set(tmp_path / "src", 2), tmp_path / "dst")
    (tmp_path / "dst" / "masks" / "p001.png").unlink()
    with pytest.raises(UsageError, match=r"p001\.png: is in the manifest"):
        read_prepared(tmp_path / "dst")


def test_the_checksum_of_a_set_depends_on_its_content_and_split_alone(tmp_path):
    source = write_plain_set(tmp_path / "src", 2)
    one, two = prepare_all(source, tmp_path / "a"), prepare_all(source, tmp_path / "b")
    assert one.manifest_sha256() == two.manifest_sha256()
    assert one.manifest_sha256() != prepare_all(source, tmp_path / "c", part="test").manifest_sha256()


def test_a_folder_is_prepared_once_and_again_when_it_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = write_plain_set(tmp_path / "src", 4)
    first = open_or_prepare([source], PrepareOptions(64), None, seed=0)
    again = open_or_prepare([source], PrepareOptions(64), "1/1/2", seed=0)
    assert again.folder == first.folder
    assert again.counts() == {"train": 1, "val": 1, "test": 2}
    write_plain_set(source, 5)
    assert open_or_prepare([source], PrepareOptions(64), None, seed=0).folder != first.folder


def test_the_split_is_the_same_from_the_cache_when_a_pair_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = write_plain_set(tmp_path / "src", 12)
    (source / "images" / "p004.png").write_bytes(b"broken")
    first, again = (open_or_prepare([source], PrepareOptions(64), None, seed=5) for _ in range(2))
    assert first.split() == again.split()
    assert "p004" in first.problems[0]
    assert "p004" in again.problems[0]


def test_a_prepared_set_keeps_its_split(tmp_path):
    prepare_all(write_plain_set(tmp_path / "src", 3), tmp_path / "dst", part="test")
    assert open_or_prepare([tmp_path / "dst"], PrepareOptions(64), None, seed=0).counts() == {"test": 3}


def test_pairs_are_read_as_the_general_readers_read_them(tmp_path):
    source = write_plain_set(tmp_path / "src", 2)
    save_mask(source / "masks" / "p001.png", np.zeros((64, 64), bool))
    prepared = prepare_all(source, tmp_path / "dst", size=96)
    for entry in prepared.entries:
        image, mask = prepared.read_pair(entry)
        pixels = read_radiograph(prepared.folder / entry.image).pixels
        assert image.dtype == mask.dtype == np.float32
        assert np.array_equal(image, pixels.astype(np.float32) / np.float32(65535))
        assert np.array_equal(mask, read_lung_mask(prepared.folder / entry.mask).lungs.astype(np.float32))


def test_pairs_are_read_without_guessing_their_format(tmp_path, monkeypatch):
    prepared = prepare_all(write_plain_set(tmp_path / "src", 1), tmp_path / "dst")
    monkeypatch.setattr(radiographs, "is_dicom", None)
    image, mask = prepared.read_pair(prepared.entries[0])
    assert image.shape == mask.shape == (64, 64)


@pytest.mark.parametrize("name", ["images", "masks"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "colour"])
def test_a_damaged_file_is_named(tmp_path, name, damage):
    prepared = prepare_all(write_plain_set(tmp_path / "src", 1), tmp_path / "dst")
    path = prepared.folder / name / "p000.png"
    content = path.read_bytes()
    path.unlink()
    if damage == "colour":
        Image.new("RGB", (64, 64)).save(path)
    elif damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    with pytest.raises(ImageError, match=rf"{name}/p000\.png: "):
        prepared.read_pair(prepared.entries[0])

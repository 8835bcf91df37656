import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.datasets.layouts import find_pairs
from lungmask_cli.datasets.preparation import PrepareOptions, prepare
from lungmask_cli.datasets.prepared import read_prepared
from lungmask_cli.errors import UsageError
from lungmask_cli.files import hash_file_name
from lungmask_cli.formats.mask_values import MaskOptions
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.scoring.surface import raggedness
from tests.conftest import PATIENCE, wait_until
from tests.phantoms import draw_phantom, save_grey, save_mask, write_heart_set, write_plain_set


def prepare_all(folder, destination, **options):
    pairing = find_pairs(folder)
    split = {pair.id: "train" for pair in pairing.pairs}
    return prepare(pairing, destination, split, "all", PrepareOptions(64, **options))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.suffix != ".jsonl"}


def test_a_second_run_changes_nothing(tmp_path):
    source = write_plain_set(tmp_path / "src", 4)
    first = prepare_all(source, tmp_path / "dst")
    before, written = contents(tmp_path / "dst"), times(tmp_path / "dst")
    assert prepare_all(source, tmp_path / "dst") == first
    assert contents(tmp_path / "dst") == before
    assert times(tmp_path / "dst") == written


def test_only_missing_or_changed_pairs_are_prepared_again(tmp_path):
    source = write_plain_set(tmp_path / "src", 4)
    prepare_all(source, tmp_path / "dst")
    written = times(tmp_path / "dst" / "images")
    save_grey(source / "images" / "p001.png", draw_phantom(64, 64, seed=99).image)
    (tmp_path / "dst" / "images" / "p002.png").unlink()
    (tmp_path / "dst" / "images" / "p003.png").write_bytes(b"damaged")
    prepared = prepare_all(source, tmp_path / "dst")
    again = times(tmp_path / "dst" / "images")
    changed = {path.stem for path in again if again[path] != written[path]}
    assert changed == {"p001", "p002", "p003"}
    assert read_prepared(tmp_path / "dst").entries == prepared.entries


def test_another_size_is_prepared_anew(tmp_path):
    source = write_plain_set(tmp_path / "src", 1)
    prepare_all(source, tmp_path / "dst")
    pairing = find_pairs(source)
    prepare(pairing, tmp_path / "dst", {"p000": "train"}, "all", PrepareOptions(96))
    with Image.open(tmp_path / "dst" / "images" / "p000.png") as image:
        assert image.size == (96, 96)


def test_a_radiograph_that_does_not_fit_into_memory_costs_only_its_own_pair(tmp_path, monkeypatch):
    pairing = find_pairs(write_plain_set(tmp_path / "src", count=3))

    def read(path, max_pixels):
        if path == pairing.pairs[1].image:
            raise MemoryError
        return read_radiograph(path, max_pixels)

    monkeypatch.setattr("lungmask_cli.datasets.preparation.read_radiograph", read)
    prepared = prepare(
        pairing,
        tmp_path / "set",
        dict.fromkeys((pair.id for pair in pairing.pairs), "train"),
        "",
        PrepareOptions(jobs=2),
    )
    assert len(prepared.entries) == 2
    assert any("there is not enough memory" in problem for problem in prepared.problems)


def test_threads_write_the_same_as_none(tmp_path):
    source = write_plain_set(tmp_path / "src", 12)
    (source / "images" / "p005.png").write_bytes(b"broken")
    alone, together = (prepare_all(source, tmp_path / f"dst{jobs}", jobs=jobs) for jobs in (1, 2))
    assert alone.entries == together.entries
    assert alone.problems == together.problems
    assert contents(tmp_path / "dst1") == contents(tmp_path / "dst2")


def test_odd_masks_are_reported_with_their_pair(tmp_path):
    phantom = draw_phantom(64, 64)
    for name, left, right in (
        ("overlap", phantom.lungs, phantom.right),
        ("small", phantom.left[::2, ::2], phantom.right[::2, ::2]),
        ("empty", phantom.left & phantom.right, phantom.left & phantom.right),
        ("fine", phantom.left, phantom.right),
    ):
        save_grey(tmp_path / "src" / "images" / f"{name}.png", phantom.image)
        save_mask(tmp_path / "src" / "left_lung" / f"{name}.png", left)
        save_mask(tmp_path / "src" / "right_lung" / f"{name}.png", right)
    warnings = {entry.id: entry.warnings for entry in prepare_all(tmp_path / "src", tmp_path / "dst").entries}
    assert warnings == {
        "overlap": ("left and right lung overlap",),
        "small": ("mask of 32 x 32 for a radiograph of 64 x 64 pixels",),
        "empty": ("the mask is empty",),
        "fine": (),
    }


def test_inverted_radiographs_are_corrected_with_a_warning(tmp_path):
    source = write_plain_set(tmp_path / "src", 2, size=128)
    image = np.asarray(Image.open(source / "images" / "p000.png"))
    Image.fromarray(255 - image).save(source / "images" / "p001.png")
    first, second = prepare_all(source, tmp_path / "dst").entries
    assert (first.warnings, second.warnings) == ((), ("bones were dark and were made bright",))
    one, other = (np.asarray(Image.open(tmp_path / "dst" / entry.image)).astype(int) for entry in (first, second))
    assert np.abs(one - other).max() < 65535 * 0.01


def test_hashed_names_leave_no_name_in_any_file(tmp_path):
    source = tmp_path / "DOE_JANE"
    for number in range(4):
        phantom = draw_phantom(64, 64, seed=number)
        save_grey(source / "images" / f"DOE_JANE_{number}.png", phantom.image)
        save_mask(source / "masks" / f"DOE_JANE_{number}.png", phantom.lungs)
    (source / "images" / "DOE_JANE_1.png").write_bytes(b"broken")
    (source / "masks" / "DOE_JANE_2.png").unlink()
    shutil.copy(source / "images" / "DOE_JANE_0.png", source / "images" / "DOE_JANE_9.png")
    save_mask(source / "masks" / "DOE_JANE_9.png", np.ones((64, 64), bool))
    prepared = prepare_all(source, tmp_path / "dst", hash_names=True)
    assert [entry.origin for entry in prepared.entries] == ["set 1", "set 1"]
    for path, content in contents(tmp_path / "dst").items():
        assert "DOE" not in str(path)
        assert b"DOE" not in content
    problems = " ".join(json.loads((tmp_path / "dst" / "dataset.json").read_text())["problems"])
    assert "cannot be used" in problems
    assert "1 file without a partner" in problems
    assert "1 duplicate radiograph left out" in problems
    first = next(
        entry for entry in prepared.entries if entry.id == hash_file_name(source / "images" / "DOE_JANE_0.png")
    )
    assert np.array_equal(read_lung_mask(tmp_path / "dst" / first.mask).lungs, draw_phantom(64, 64, seed=0).lungs)


@pytest.mark.parametrize("name", ["=cmd.png", "two\nlines.png", os.fsdecode(b"M\xfcller.png"), "x" * 251 + ".png"])
def test_odd_names_become_ids_that_can_be_read_back(tmp_path, name):
    source = write_plain_set(tmp_path / "src", 1)
    for folder in ("images", "masks"):
        (source / folder / "p000.png").rename(source / folder / name)
    prepared = prepare_all(source, tmp_path / "dst")
    assert prepared.problems == ()
    assert [entry.id for entry in read_prepared(tmp_path / "dst").entries] == [prepared.entries[0].id]
    rows = list(csv.reader((tmp_path / "dst" / "manifest.csv").open(newline="")))
    assert len(rows) == 2
    assert not rows[1][0].startswith("=")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_whole_files_and_is_resumed(tmp_path, end):
    source = write_plain_set(tmp_path / "src", 60, size=900)
    # A shell that runs the tests in the background makes its children ignore interrupts; a terminal does not.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from lungmask_cli.cli.app import main\n"
        f"sys.argv = ['lungmask', 'preprocess', {str(source)!r}, '-o', {str(tmp_path / 'dst')!r}, '--jobs', '2']\n"
        "if __name__ == '__main__': main()"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(list((tmp_path / "dst" / "images").glob("p*.png"))) >= 5, process)
        process.send_signal(end)
        process.communicate(timeout=PATIENCE)  # also until its own processes, which have its stderr, have ended
    assert process.returncode == (130 if end == signal.SIGINT else -signal.SIGKILL)
    assert not (tmp_path / "dst" / "manifest.csv").exists()
    for path in (tmp_path / "dst" / "images").glob("p*.png"):
        with Image.open(path) as image:
            image.load()
    kept = times(tmp_path / "dst" / "images")
    (tmp_path / "dst" / "images" / ".partial-of-a-killed-run.png").touch()
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_prepared(tmp_path / "dst").entries) == 60
    again = times(tmp_path / "dst" / "images")
    untouched = sum(again[path] == when for path, when in kept.items() if path.name.startswith("p"))
    assert untouched >= 3
    assert not list((tmp_path / "dst" / "images").glob(".*"))


@pytest.mark.parametrize(("orientation", "turned"), [(1, False), (3, True), (6, True)])
def test_a_radiograph_that_exif_turns_beside_a_mask_that_it_does_not_is_said(tmp_path, orientation, turned):
    for seed, name in enumerate("ab"):
        phantom = draw_phantom(64, 64, seed)
        save_mask(tmp_path / "src" / "masks" / f"{name}.png", phantom.lungs)
        picture = Image.fromarray(np.round(phantom.image * 255).astype(np.uint8))
        exif = picture.getexif()
        exif[0x0112] = orientation if name == "a" else 1
        (tmp_path / "src" / "images").mkdir(exist_ok=True)
        picture.save(tmp_path / "src" / "images" / f"{name}.jpg", exif=exif)
    warnings = {entry.id: entry.warnings for entry in prepare_all(tmp_path / "src", tmp_path / "dst").entries}
    assert any("EXIF" in warning for warning in warnings["a"]) is turned
    assert warnings["b"] == ()


def test_sizes_that_differ_because_exif_turns_one_are_said_to_be_that(tmp_path):
    write_plain_set(tmp_path / "src", 1)
    phantom = draw_phantom(64, 96)
    save_mask(tmp_path / "src" / "masks" / "tall.png", phantom.lungs)
    picture = Image.fromarray(np.round(phantom.image * 255).astype(np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "src" / "images" / "tall.jpg", exif=exif)
    (problem,) = prepare_all(tmp_path / "src", tmp_path / "dst").problems
    assert "EXIF" in problem
    assert "aspect ratio" in problem


def test_hearts_are_prepared_where_they_are_drawn(tmp_path):
    write_heart_set(tmp_path / "src", 3, drawn=2)
    save_mask(tmp_path / "src" / "hearts" / "p001.png", np.zeros((64, 64), bool))
    prepared = prepare_all(tmp_path / "src", tmp_path / "dst")
    assert [entry.heart for entry in prepared.entries] == [str(Path("hearts", "p000.png")), "", ""]
    assert prepared.entries[1].warnings == ("the mask of the heart is empty, and is not used",)
    heart = prepared.read_heart(prepared.entries[0])
    assert np.array_equal(heart > 0.5, draw_phantom(64, 64, 0, heart=True).heart)
    before = times(tmp_path / "dst")
    assert prepare_all(tmp_path / "src", tmp_path / "dst").entries == prepared.entries
    assert {path: time for path, time in times(tmp_path / "dst").items() if path.parent.name == "hearts"}.items() <= (
        before.items()
    )
    (tmp_path / "dst" / "hearts" / "p000.png").unlink()
    with pytest.raises(UsageError, match=r"p000\.png: is in the manifest, but does not exist"):
        read_prepared(tmp_path / "dst")
    assert prepare_all(tmp_path / "src", tmp_path / "dst").entries == prepared.entries  # written again
    read_prepared(tmp_path / "dst")


def test_a_heart_of_another_size_is_refused(tmp_path):
    write_heart_set(tmp_path / "src", 2)
    save_mask(tmp_path / "src" / "hearts" / "p001.png", np.ones((32, 32), bool))
    prepared = prepare_all(tmp_path / "src", tmp_path / "dst")
    assert [entry.id for entry in prepared.entries] == ["p000"]
    assert "differ in size" in prepared.problems[0]


def test_sets_of_versions_without_hearts_are_read(tmp_path):
    prepared = prepare_all(write_plain_set(tmp_path / "src", 2), tmp_path / "dst")
    path = tmp_path / "dst" / "manifest.csv"
    with path.open(newline="") as file:
        rows = [row[:-2] for row in csv.reader(file)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert read_prepared(tmp_path / "dst").entries == prepared.entries


def test_labels_of_lungs_and_heart_are_prepared_if_the_labels_are_given(tmp_path):
    for seed in range(3):
        phantom = draw_phantom(64, 64, seed)
        labels = phantom.right * 1 + phantom.left * 2
        labels[44:50, 28:34] = 3
        save_grey(tmp_path / "images" / f"{seed}.png", phantom.image)
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "masks" / f"{seed}.png")
    with pytest.raises(UsageError) as caught:
        prepare_all(tmp_path, tmp_path / "refused")
    assert "--labels" in caught.value.hint
    prepared = prepare_all(tmp_path, tmp_path / "dst", masks=MaskOptions(labels=(1, 2)))
    _, mask = prepared.read_pair(prepared.entries[0])
    phantom = draw_phantom(64, 64, 0)
    expected = phantom.lungs.copy()
    expected[44:50, 28:34] = False
    assert np.array_equal(mask > 0.5, expected)
    assert prepared.entries[0].heart == ""
    named = prepare_all(tmp_path, tmp_path / "named", masks=MaskOptions(labels=(1, 2), heart=3))
    heart = named.read_heart(named.entries[0])
    assert heart.sum() == 36
    assert heart[44:50, 28:34].all()


def test_implausible_masks_are_said_for_each_pair(tmp_path):
    write_plain_set(tmp_path / "src", 3)
    save_mask(tmp_path / "src" / "masks" / "p001.png", ~draw_phantom(64, 64, seed=1).lungs)
    warnings = {entry.id: entry.warnings for entry in prepare_all(tmp_path / "src", tmp_path / "dst").entries}
    assert "inverted" in warnings["p001"][0]
    assert warnings["p000"] == warnings["p002"] == ()


def test_masks_that_are_much_enlarged_have_no_stairs(tmp_path):
    rows, columns = np.ogrid[:64, :64]
    disc = (rows - 31.5) ** 2 + (columns - 31.5) ** 2 < 20**2
    save_grey(tmp_path / "src" / "images" / "a.png", draw_phantom(64, 64).image)
    save_mask(tmp_path / "src" / "masks" / "a.png", disc)
    prepared = prepare(find_pairs(tmp_path / "src"), tmp_path / "dst", {"a": "train"}, "all", PrepareOptions(256))
    _, mask = prepared.read_pair(prepared.entries[0])
    assert mask.sum() == pytest.approx(16 * disc.sum(), rel=0.01)
    assert raggedness(mask > 0.5) < 0.01
    assert raggedness(np.kron(disc, np.ones((4, 4), bool))) > 0.03

"""`lungmask score` in a subprocess."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.imaging.morphology import outline
from tests.phantoms import draw_phantom, save_grey, save_mask


def rows_of(path):
    with path.open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Six radiographs with reference masks of each lung, a good method, and a worse one."""
    folder = tmp_path_factory.mktemp("score")
    for number in range(6):
        phantom, name = draw_phantom(96, 96, seed=number), f"p{number}.png"
        save_grey(folder / "images" / name, phantom.image)
        save_mask(folder / "truth" / "left_lung" / name, phantom.left)
        save_mask(folder / "truth" / "right_lung" / name, phantom.right)
        save_mask(folder / "good" / name, phantom.lungs | np.roll(phantom.lungs, 1 + number % 2, axis=0))
        save_mask(folder / "bad" / name, np.roll(phantom.lungs, 6 + number, axis=0))
    lines = ["id,patient,sex,spacing_mm", *(f"p{n}.png,{n},{'fm'[n % 2]},0.5" for n in range(6))]
    (folder / "facts.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_table_goes_to_standard_output_and_failures_to_standard_error(lungmask, tmp_path):
    square = np.zeros((8, 8), bool)
    square[2:6, 2:6] = True
    for name in ("same", "size"):
        save_mask(tmp_path / "truth" / f"{name}.png", square)
    save_mask(tmp_path / "preds" / "same.png", square)
    save_mask(tmp_path / "preds" / "size.png", np.ones((4, 4), bool))
    save_mask(tmp_path / "preds" / "lonely.png", square)
    done = lungmask("score", tmp_path / "preds", tmp_path / "truth")
    assert done.returncode == 1
    rows = {row["file"]: row for row in csv.DictReader(done.stdout.splitlines())}
    assert float(rows["same"]["dice"]) == float(rows["same"]["iou"]) == 1
    assert "1 scored, 0 empty, 2 failed" in done.stderr
    assert "differ in size: 4 x 4 and 8 x 8" in done.stderr
    assert "lonely.png: has no partner in" in done.stderr
    assert done.stderr.count("--missing zero") == 1


def test_missing_masks_can_count_as_zero(lungmask, tmp_path):
    for name in "ab":
        save_mask(tmp_path / "truth" / f"{name}.png", np.ones((4, 4), bool))
    save_mask(tmp_path / "preds" / "a.png", np.ones((4, 4), bool))
    done = lungmask("score", tmp_path / "preds", tmp_path / "truth", "--missing", "zero", "-o", tmp_path / "o.csv")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "o.csv")
    assert (rows["a"]["dice"], rows["b"]["dice"], rows["b"]["hd95_px"]) == ("1", "0", "inf")


def test_all_outputs_together(lungmask, folders, tmp_path):
    done = lungmask(
        "score", folders / "good", folders / "truth", "-o", tmp_path / "o.csv",
        "--compare", folders / "bad", "--images", folders / "images",
        "--manifest", folders / "facts.csv", "--by", "sex",
        "--summary", tmp_path / "s.json", "--summary", tmp_path / "s.md", "--summary", tmp_path / "s.tex",
        "--gallery", tmp_path / "g.html", "--plots", tmp_path / "plots",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "o.csv")
    assert set(rows) == {f"p{number}" for number in range(6)}
    for row in rows.values():
        assert float(row["dice"]) > float(row["other_dice"])
        assert row["spacing_source"] == "manifest"
        assert float(row["right_area_drawn_cm2"]) + float(row["left_area_drawn_cm2"]) == pytest.approx(
            float(row["area_drawn_cm2"])
        )
    facts = json.loads((tmp_path / "s.json").read_text())
    assert set(facts["summaries"]) == {"all", "f", "m"}
    assert facts["comparison"]["dice"]["better"] == [6, 0]
    assert facts["comparison"]["dice"]["interval"][0] > 0
    assert facts["settings"]["patient"] == "patient"
    assert "| Dice | 6 |" in (tmp_path / "s.md").read_text()
    assert r"\toprule" in (tmp_path / "s.tex").read_text()
    page = (tmp_path / "g.html").read_text()
    assert page.count('<script type="text/plain" id="p') == 6
    assert sorted(path.name for path in (tmp_path / "plots").glob("*.png")) == [
        "bland_altman.png", "dice_by_area.png", "dice_distribution.png",
    ]  # fmt: skip


def test_the_same_command_gives_the_same_bytes(lungmask, folders, tmp_path):
    for name in ("one", "two"):
        command = ("score", folders / "good", folders / "truth", "-o", tmp_path / f"{name}.csv")
        assert lungmask(*command, "--summary", tmp_path / f"{name}.json", "--jobs", 2).returncode == 0
    for suffix in (".csv", ".json"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_the_manifest_of_a_prepared_set_is_found(lungmask, plain_set, tmp_path):
    assert lungmask("preprocess", plain_set, "-o", tmp_path / "set", "--size", 64).returncode == 0
    masks = tmp_path / "set" / "masks"
    done = lungmask("score", masks, masks, "-o", tmp_path / "o.csv", "--by", "split")
    assert done.returncode == 0, done.stderr
    assert "manifest.csv" in done.stderr
    assert {row["split"] for row in rows_of(tmp_path / "o.csv").values()} == {"train", "val", "test"}


def test_failures_of_the_second_method_count(lungmask, folders, tmp_path):
    save_mask(tmp_path / "few" / "p0.png", np.ones((96, 96), bool))
    done = lungmask("score", folders / "good", folders / "truth", "--compare", tmp_path / "few", "-o", tmp_path / "o")
    assert done.returncode == 1
    assert done.stderr.count("has no partner in") == 5
    assert "6 scored, 0 empty, 0 failed" in done.stderr


def test_without_anything_to_plot_the_scores_are_still_written(lungmask, tmp_path):
    for name in ("preds", "truth"):
        save_mask(tmp_path / name / "a.png", np.zeros((4, 4), bool))
    done = lungmask("score", tmp_path / "preds", tmp_path / "truth", "--plots", tmp_path / "plots")
    assert done.returncode == 0
    assert "a,empty" in done.stdout
    assert "nothing to plot" in done.stderr


def test_explain_needs_no_folders(lungmask):
    done = lungmask("score", "--explain")
    assert done.returncode == 0
    assert "hd95" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "dise"], "no metric is called dise"),
        (["--threshold", "1.5"], "--threshold 1.5"),
        (["--labels", "x"], "--labels x: is neither labels nor colours"),
        (["--labels", "2,2"], "two labels are the same"),
        (["--spacing", "0.3,x"], "--spacing 0.3,x"),
        (["--spacing", "-1"], "is not above 0"),
        (["--missing", "skip"], "'skip' is not one of"),
        (["--summary", "s.xlsx"], "s.xlsx: is in no known format"),
        (["--by", "sex"], "no manifest with a column sex"),
        (["--manifest", "FACTS", "--by", "age"], "has no column age"),
        (["--compare", "nowhere"], "nowhere: no such folder"),
        (["--images", "nowhere"], "nowhere: no such file or folder"),
        (["--gallery", "TRUTH"], "TRUTH"),
    ],
)
def test_usage_errors_are_reported_before_anything_is_scored(lungmask, folders, arguments, message):
    known = {"FACTS": folders / "facts.csv", "TRUTH": folders / "truth"}
    given = [known.get(argument, argument) for argument in arguments]
    done = lungmask("score", folders / "good", folders / "truth", *given)
    assert done.returncode == 2, done.stderr
    assert str(known.get(message, message)) in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def write_masks(folder, change, names="abc", suffix="png"):
    """The masks of three phantoms as `change` saves them."""
    for seed, name in enumerate(names):
        phantom = draw_phantom(96, 96, seed=seed)
        (folder).mkdir(parents=True, exist_ok=True)
        change(phantom).save(folder / f"{name}.{suffix}")
    return folder


def plain(phantom):
    return Image.fromarray(phantom.lungs.astype(np.uint8) * 255)


def score_against(inside, tmp_path, change, *options, suffix="png"):
    predicted = write_masks(tmp_path / "preds", plain)
    return inside("score", predicted, write_masks(tmp_path / "truth", change, suffix=suffix), *options)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda phantom: Image.fromarray((~phantom.lungs).astype(np.uint8) * 255), "it may be inverted"),
        (lambda phantom: Image.fromarray(phantom.lungs.T.astype(np.uint8) * 255), "rows and columns are exchanged"),
        (
            lambda phantom: Image.fromarray(phantom.right.astype(np.uint8) * 255),
            "3 of 3 reference masks hold one lung, the predicted masks both",
        ),
        (
            lambda phantom: Image.fromarray(outline(phantom.lungs).astype(np.uint8) * 255),
            "it may be an outline",
        ),
    ],
)
def test_a_truth_meant_in_another_sense_is_said(inside, tmp_path, change, sentence):
    done = score_against(inside, tmp_path, change)
    assert done.returncode == 0
    assert sentence in done.stderr
    assert done.stderr.count("Warning") <= 2  # one line for all files


def test_good_masks_give_no_warning(inside, tmp_path):
    assert "Warning" not in score_against(inside, tmp_path, plain).stderr


def test_predictions_of_one_lung_are_said(inside, tmp_path):
    write_masks(tmp_path / "preds", lambda phantom: Image.fromarray(phantom.left.astype(np.uint8) * 255))
    done = inside("score", tmp_path / "preds", write_masks(tmp_path / "truth", plain))
    assert "3 of 3 predicted masks hold one lung, the reference masks both" in done.stderr


def test_colours_of_the_lungs_are_labels(inside, tmp_path):
    def two_colours(phantom):
        image = np.zeros((96, 96, 3), np.uint8)
        image[phantom.right], image[phantom.left] = (0, 255, 0), (0, 0, 255)
        return Image.fromarray(image)

    done = score_against(inside, tmp_path, two_colours)
    assert done.returncode == 1
    assert '--labels "#00ff00,#0000ff"' in done.stderr
    done = score_against(inside, tmp_path, two_colours, "--labels", "#00ff00,#0000ff", "--metrics", "dice")
    assert done.returncode == 0
    assert [row["dice"] for row in csv.DictReader(done.stdout.splitlines())] == ["1", "1", "1"]


def test_sizes_exchanged_are_called_that(inside, tmp_path):
    save_mask(tmp_path / "p" / "a.png", np.ones((40, 60), bool))
    save_mask(tmp_path / "t" / "a.png", np.ones((60, 40), bool))
    done = inside("score", tmp_path / "p", tmp_path / "t")
    assert "differ in size: 60 x 40 and 40 x 60 pixels; width and height are exchanged" in done.stderr


def test_folders_without_a_pair_are_an_error_before_anything_is_scored(inside, tmp_path):
    save_mask(tmp_path / "p" / "one.png", np.ones((40, 60), bool))
    save_mask(tmp_path / "t" / "two.png", np.ones((40, 60), bool))
    done = inside("score", tmp_path / "p", tmp_path / "t", "-o", tmp_path / "o.csv")
    assert done.returncode == 2
    assert "The first names are one and two" in done.stderr
    assert "zero" not in done.stderr
    assert not (tmp_path / "o.csv").exists()


def test_what_was_paired_and_what_was_skipped_is_said(inside, tmp_path):
    for name in "ab":
        save_mask(tmp_path / "p" / f"{name}.png", draw_phantom(40, 60).lungs)
        save_mask(tmp_path / "t" / f"{name}-reader7.png", draw_phantom(40, 60).lungs)
    (tmp_path / "t" / "notes.docx").write_text("x")
    done = inside("score", tmp_path / "p", tmp_path / "t")
    assert done.returncode == 0
    assert "paired without '-reader7' at the end of the names in" in done.stderr
    assert "1 file skipped, in no known image format: 1 .docx" in done.stderr

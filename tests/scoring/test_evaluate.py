import math

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.imaging.radiograph import Spacing
from lungmask_cli.scoring.evaluate import evaluate_all, make_cases
from lungmask_cli.scoring.metadata import Metadata
from lungmask_cli.scoring.options import ScoreOptions
from lungmask_cli.scoring.pairing import OTHER, PREDICTED, TRUTH, find_masks, pair_masks, read_mask_files
from lungmask_cli.scoring.scores import EMPTY, FAILED, SCORED
from tests.dicoms import make_dicom
from tests.phantoms import draw_phantom, save_grey, save_mask

FULL, EMPTY_MASK = np.ones((2, 2), bool), np.zeros((2, 2), bool)
HALF = np.array([[True, True], [False, False]])


def evaluate(folder, metadata=None, take_picture=None, **options):
    """The outcomes by key of the masks below `folder`."""
    other = folder / OTHER if (folder / OTHER).is_dir() else None
    given = ScoreOptions(folder / PREDICTED, folder / TRUTH, other, **options)
    pairs = pair_masks({role: find_masks(path) for role, path in given.folders.items()}).pairs
    cases = make_cases(pairs, given.images, metadata)
    return {outcome.score.key: outcome for outcome in evaluate_all(cases, given, take_picture=take_picture)}


def values(score):
    return {column.name: value for column, value in score.values.items()}


def save_labels(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(array, np.uint8)).save(path)


def write_all_kinds(folder):
    for name, one, two in (
        ("a", FULL, FULL),
        ("b", HALF, FULL),
        ("c", EMPTY_MASK, EMPTY_MASK),
        ("d", np.ones((3, 2), bool), FULL),
        ("e", FULL, None),
        ("f", None, FULL),
    ):
        if one is not None:
            save_mask(folder / PREDICTED / f"{name}.png", one)
        if two is not None:
            save_mask(folder / TRUTH / f"{name}.png", two)
    (folder / PREDICTED / "g.png").write_text("broken")
    save_mask(folder / TRUTH / "g.png", FULL)


def test_every_pair_has_an_outcome_even_if_others_fail(tmp_path):
    write_all_kinds(tmp_path)
    scores = {key: outcome.score for key, outcome in evaluate(tmp_path).items()}
    assert [score.status for score in scores.values()] == [SCORED, SCORED, EMPTY, *[FAILED] * 4]
    assert values(scores["b"])["dice"] == pytest.approx(2 / 3)
    assert "d.png differ in size: 2 x 3 and 2 x 2 pixels" in scores["d"].reason
    assert scores["e"].reason.endswith("e.png: has no partner in " + str(tmp_path / TRUTH))
    assert scores["f"].reason.endswith("f.png: has no partner in " + str(tmp_path / PREDICTED))
    assert "--missing zero" in scores["f"].hint
    assert "g.png: is not a picture" in scores["g"].reason


def test_missing_masks_may_count_as_empty_but_broken_files_never_do(tmp_path):
    write_all_kinds(tmp_path)
    scores = {key: o.score for key, o in evaluate(tmp_path, missing="zero").items()}
    assert values(scores["e"])["dice"] == values(scores["f"])["dice"] == 0
    assert values(scores["f"])["hd95_px"] == math.inf
    assert scores["d"].status == scores["g"].status == FAILED


def test_several_threads_give_the_same_results_as_one(tmp_path):
    for number in range(9):
        save_mask(tmp_path / PREDICTED / f"{number}.png", draw_phantom(64, 64, seed=number).lungs)
        save_mask(tmp_path / TRUTH / f"{number}.png", draw_phantom(64, 64, seed=number + 1).lungs)
    alone = evaluate(tmp_path)
    assert evaluate(tmp_path, jobs=2) == alone
    assert list(alone) == [str(number) for number in range(9)]


def test_a_mask_that_does_not_fit_into_memory_costs_only_its_own_score(tmp_path, monkeypatch):
    for name in "ab":
        save_mask(tmp_path / PREDICTED / f"{name}.png", HALF)
        save_mask(tmp_path / TRUTH / f"{name}.png", FULL)

    def read(files, options):
        if any(path.stem == "a" for path in files.values()):
            raise MemoryError
        return read_mask_files(files, options)

    monkeypatch.setattr("lungmask_cli.scoring.evaluate.read_mask_files", read)
    scores = {key: outcome.score for key, outcome in evaluate(tmp_path, jobs=2).items()}
    assert (scores["a"].status, scores["b"].status) == (FAILED, SCORED)
    assert "a.png: there is not enough memory" in scores["a"].reason


def test_a_file_with_one_label_is_read_as_labels_if_its_neighbours_are(tmp_path):
    for name in (PREDICTED, TRUTH):
        save_labels(tmp_path / name / "a.png", [[1, 0, 2]])
    save_labels(tmp_path / PREDICTED / "b.png", [[1, 0, 0]])
    save_labels(tmp_path / TRUTH / "b.png", [[1, 0, 2]])
    scores = values(evaluate(tmp_path)["b"].score)
    assert (scores["right_dice"], scores["left_dice"]) == (1, 0)


def test_binary_masks_are_not_read_as_labels(tmp_path):
    for name in (PREDICTED, TRUTH):
        save_labels(tmp_path / name / "a.png", [[1, 0, 1]])
    assert "right_dice" not in values(evaluate(tmp_path)["a"].score)


def test_the_second_method_is_scored_against_the_same_reference(tmp_path):
    save_mask(tmp_path / PREDICTED / "a.png", FULL)
    save_mask(tmp_path / TRUTH / "a.png", FULL)
    save_mask(tmp_path / OTHER / "a.png", HALF)
    save_mask(tmp_path / OTHER / "b.png", HALF)
    outcomes = evaluate(tmp_path)
    assert values(outcomes["a"].score)["dice"] == 1
    assert values(outcomes["a"].other)["dice"] == pytest.approx(2 / 3)
    assert "has no partner in" in outcomes["b"].other.reason
    assert outcomes["b"].score.status == FAILED


def test_the_most_reliable_spacing_is_used(tmp_path):
    for name in (PREDICTED, TRUTH):
        save_mask(tmp_path / name / "a.png", np.ones((60, 50), bool))
    images = tmp_path / "images"
    images.mkdir()
    dataset = make_dicom(np.zeros((60, 50), np.uint16))
    dataset.PixelSpacing = [0.2, 0.3]
    dataset.save_as(images / "a.dcm")
    metadata = Metadata(tmp_path, ("id", "spacing_mm"), {"a": {"id": "a", "spacing_mm": "0.5"}})

    def spacing(**options):
        score = evaluate(tmp_path, images=images, **options)["a"].score
        return (score.spacing.mm, score.spacing.source) if score.spacing else (None, "")

    assert spacing() == ((0.2, 0.3), "PixelSpacing")
    assert spacing(metadata=metadata) == ((0.5, 0.5), "manifest")
    assert spacing(metadata=metadata, spacing=Spacing(1.0, 2.0, "--spacing")) == ((1.0, 2.0), "--spacing")


def test_spacings_of_other_image_sizes_are_not_used(tmp_path):
    for name in (PREDICTED, TRUTH):
        save_mask(tmp_path / name / "a.png", FULL)
    images = tmp_path / "images"
    images.mkdir()
    make_dicom(np.zeros((60, 50), np.uint16)).save_as(images / "a.dcm")
    metadata = Metadata(tmp_path, ("id", "spacing_mm"), {"a": {"id": "a", "spacing_mm": "0.5"}}, side=64)
    assert evaluate(tmp_path, images=images, metadata=metadata)["a"].score.spacing is None


def test_a_broken_radiograph_removes_the_backdrop_but_not_the_score(tmp_path, monkeypatch):
    for name in (PREDICTED, TRUTH):
        for key in "ab":
            save_mask(tmp_path / name / f"{key}.png", draw_phantom(64, 64).lungs)
    save_grey(tmp_path / "images" / "a.png", draw_phantom(64, 64).image)
    (tmp_path / "images" / "b.png").write_text("broken")
    monkeypatch.setattr("lungmask_cli.scoring.evaluate._SIDES", ((200, 32),))
    pictures = {}
    outcomes = evaluate(tmp_path, images=tmp_path / "images", take_picture=pictures.__setitem__)
    assert [outcome.score.status for outcome in outcomes.values()] == [SCORED, SCORED]
    assert "b.png: is not a picture" in outcomes["b"].note
    assert pictures["a"].backdrop is not None
    assert pictures["b"].backdrop is None
    assert max(pictures["a"].width, pictures["a"].height) == 32


def test_a_radiograph_of_another_folder_is_not_taken(tmp_path):
    """Of radiographs with the same name, each pair gets its own; without its own, none."""
    for part in ("train", "val"):
        save_mask(tmp_path / "p" / part / "0.png", draw_phantom(40, 40).lungs)
        save_mask(tmp_path / "t" / part / "0_mask.png", draw_phantom(40, 40).lungs)
        save_grey(tmp_path / "x" / part / "images" / "0.png", draw_phantom(40, 40).image)
    folders = {PREDICTED: find_masks(tmp_path / "p"), TRUTH: find_masks(tmp_path / "t")}
    cases = make_cases(pair_masks(folders).pairs, tmp_path / "x", None)
    assert {case.pair.key: case.image for case in cases} == {
        f"{part}/0": tmp_path / "x" / part / "images" / "0.png" for part in ("train", "val")
    }
    (tmp_path / "x" / "val" / "images" / "0.png").unlink()
    images = [case.image for case in make_cases(pair_masks(folders).pairs, tmp_path / "x", None)]
    assert images == [tmp_path / "x" / "train" / "images" / "0.png", None]

import math

import numpy as np
import pytest
from PIL import Image

from lungmask_cli.formats.masks import DEFAULT_MASKS
from lungmask_cli.imaging.radiograph import Spacing
from lungmask_cli.scoring.assemble import make_cases
from lungmask_cli.scoring.compare import EMPTY, FAILED, SCORED, Measure
from lungmask_cli.scoring.evaluate import OTHER, PREDICTED, TRUTH, Evaluation, evaluate_all
from lungmask_cli.scoring.manifest import Manifest
from lungmask_cli.scoring.pairing import find_masks, pair_masks
from tests.dicoms import make_dicom
from tests.phantoms import draw_phantom, save_grey, save_mask

FULL, EMPTY_MASK = np.ones((2, 2), bool), np.zeros((2, 2), bool)
HALF = np.array([[True, True], [False, False]])


def evaluate(folder, jobs=1, measure=None, picture_side=None, pictures=None, **known):
    folders = {name: folder / name for name in (PREDICTED, TRUTH, OTHER) if (folder / name).is_dir()}
    pairs = pair_masks(*map(find_masks, folders.values()))
    cases = make_cases(pairs, known.get("images"), known.get("manifest"), known.get("spacing"))
    how = Evaluation(measure or Measure(), dict.fromkeys(folders, DEFAULT_MASKS), folders, picture_side)
    take = (lambda _: None) if pictures is None else pictures.append
    return {outcome.case.pair.key: outcome for outcome in evaluate_all(cases, how, jobs, take_picture=take)}


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


def test_every_pair_has_its_outcome_whatever_is_wrong_with_others(tmp_path):
    write_all_kinds(tmp_path)
    scores = {key: outcome.score for key, outcome in evaluate(tmp_path).items()}
    assert [score.status for score in scores.values()] == [SCORED, SCORED, EMPTY, *[FAILED] * 4]
    assert values(scores["b"])["dice"] == pytest.approx(2 / 3)
    assert "d.png differ in size: 2 x 3 and 2 x 2 pixels" in scores["d"].reason
    assert scores["e"].reason.endswith("e.png: has no partner in " + str(tmp_path / TRUTH))
    assert scores["f"].reason.endswith("f.png: has no partner in " + str(tmp_path / PREDICTED))
    assert "--missing zero" in scores["f"].hint
    assert "g.png: is not a picture" in scores["g"].reason


def test_missing_partners_may_count_as_empty_but_broken_files_never(tmp_path):
    write_all_kinds(tmp_path)
    scores = {key: o.score for key, o in evaluate(tmp_path, measure=Measure(missing_is_empty=True)).items()}
    assert values(scores["e"])["dice"] == values(scores["f"])["dice"] == 0
    assert values(scores["f"])["hd95_px"] == math.inf
    assert scores["d"].status == scores["g"].status == FAILED


def test_processes_give_what_one_process_gives(tmp_path, monkeypatch):
    for number in range(9):
        save_mask(tmp_path / PREDICTED / f"{number}.png", draw_phantom(64, 64, seed=number).lungs)
        save_mask(tmp_path / TRUTH / f"{number}.png", draw_phantom(64, 64, seed=number + 1).lungs)
    alone = evaluate(tmp_path)
    monkeypatch.setattr("lungmask_cli.scoring.evaluate._WORTH_SECONDS", 0.0)
    assert evaluate(tmp_path, jobs=2) == alone
    assert list(alone) == [str(number) for number in range(9)]


def test_a_file_without_the_left_lung_is_one_of_labels_where_its_neighbours_are(tmp_path):
    for name in (PREDICTED, TRUTH):
        save_labels(tmp_path / name / "a.png", [[1, 0, 2]])
    save_labels(tmp_path / PREDICTED / "b.png", [[1, 0, 0]])
    save_labels(tmp_path / TRUTH / "b.png", [[1, 0, 2]])
    found = values(evaluate(tmp_path)["b"].score)
    assert (found["right_dice"], found["left_dice"]) == (1, 0)


def test_a_binary_mask_among_binary_ones_is_no_label(tmp_path):
    for name in (PREDICTED, TRUTH):
        save_labels(tmp_path / name / "a.png", [[1, 0, 1]])
    assert "right_dice" not in values(evaluate(tmp_path)["a"].score)


def test_the_second_method_is_scored_against_the_same_truth(tmp_path):
    save_mask(tmp_path / PREDICTED / "a.png", FULL)
    save_mask(tmp_path / TRUTH / "a.png", FULL)
    save_mask(tmp_path / OTHER / "a.png", HALF)
    save_mask(tmp_path / OTHER / "b.png", HALF)
    outcomes = evaluate(tmp_path)
    assert values(outcomes["a"].score)["dice"] == 1
    assert values(outcomes["a"].other)["dice"] == pytest.approx(2 / 3)
    assert "has no partner in" in outcomes["b"].other.reason
    assert outcomes["b"].score.status == FAILED


def test_the_most_certain_spacing_counts(tmp_path):
    for name in (PREDICTED, TRUTH):
        save_mask(tmp_path / name / "a.png", np.ones((60, 50), bool))
    images = tmp_path / "images"
    images.mkdir()
    dataset = make_dicom(np.zeros((60, 50), np.uint16))
    dataset.PixelSpacing = [0.2, 0.3]
    dataset.save_as(images / "a.dcm")
    manifest = Manifest(tmp_path, ("id", "spacing_mm"), {"a": {"id": "a", "spacing_mm": "0.5"}})

    def spacing(**known):
        score = evaluate(tmp_path, images=images, **known)["a"].score
        return (score.spacing.mm, score.spacing.source) if score.spacing else (None, "")

    assert spacing() == ((0.2, 0.3), "PixelSpacing")
    assert spacing(manifest=manifest) == ((0.5, 0.5), "manifest")
    assert spacing(manifest=manifest, spacing=Spacing(1.0, 2.0, "--spacing")) == ((1.0, 2.0), "--spacing")


def test_spacings_of_other_sizes_do_not_count(tmp_path):
    for name in (PREDICTED, TRUTH):
        save_mask(tmp_path / name / "a.png", FULL)
    images = tmp_path / "images"
    images.mkdir()
    make_dicom(np.zeros((60, 50), np.uint16)).save_as(images / "a.dcm")
    manifest = Manifest(tmp_path, ("id", "spacing_mm"), {"a": {"id": "a", "spacing_mm": "0.5"}}, side=64)
    assert evaluate(tmp_path, images=images, manifest=manifest)["a"].score.spacing is None


def test_a_broken_radiograph_costs_its_backdrop_and_no_score(tmp_path):
    for name in (PREDICTED, TRUTH):
        for key in "ab":
            save_mask(tmp_path / name / f"{key}.png", draw_phantom(64, 64).lungs)
    save_grey(tmp_path / "images" / "a.png", draw_phantom(64, 64).image)
    (tmp_path / "images" / "b.png").write_text("broken")
    pictures = []
    outcomes = evaluate(tmp_path, images=tmp_path / "images", picture_side=32, pictures=pictures)
    assert [outcome.score.status for outcome in outcomes.values()] == [SCORED, SCORED]
    assert "b.png: is not a picture" in outcomes["b"].note
    drawn = {outcome.case.pair.key: outcome.picture for outcome in pictures}
    assert drawn["a"].backdrop is not None
    assert drawn["b"].backdrop is None
    assert max(drawn["a"].width, drawn["a"].height) == 32

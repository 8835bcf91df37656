import math

import numpy as np
import pytest

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import LEFT, RIGHT, LungMask, Spacing
from lungmask_cli.scoring.compare import EMPTY, SCORED, Measure, score_masks
from lungmask_cli.scoring.definitions import METRICS, Column, chosen_metrics, explanation, in_order

RIGHT_LUNG = np.zeros((4, 10), bool)
RIGHT_LUNG[:, :3] = True
LEFT_LUNG = np.zeros((4, 10), bool)
LEFT_LUNG[:, 7:] = True
BOTH = RIGHT_LUNG | LEFT_LUNG
SIDED = LungMask(BOTH, RIGHT_LUNG, LEFT_LUNG)


def names(score):
    return {column.name: value for column, value in score.values.items()}


def test_areas_and_components_by_hand():
    drawn = np.zeros((4, 10), bool)
    drawn[:, 1:5] = True  # 16 pixels, 8 of them right
    values = names(score_masks("a", LungMask(drawn), LungMask(BOTH), Measure()))
    assert values["area_drawn_px"] == 16
    assert values["area_truth_px"] == 24
    assert values["area_difference_px"] == -8
    assert values["over_segmented_px"] == 8
    assert values["under_segmented_px"] == 16
    assert (values["components_drawn"], values["components_truth"]) == (1, 2)


def test_every_column_says_its_unit():
    score = score_masks("a", LungMask(BOTH), LungMask(BOTH), Measure(tolerance=1.5), Spacing(10.0, 5.0, "PixelSpacing"))
    values = names(score)
    assert values["area_drawn_cm2"] == 24 * 50 / 100
    assert {"hd95_mm", "hd_mm", "assd_mm", "nsd_1.5mm", "dice"} <= set(values)
    assert not any(name.endswith("px") for name in values)
    assert score.spacing == Spacing(10.0, 5.0, "PixelSpacing")
    unknown = names(score_masks("a", LungMask(BOTH), LungMask(BOTH), Measure(tolerance=1.5)))
    assert {"hd95_px", "area_drawn_px", "nsd_1.5px"} <= set(unknown)


def test_distances_are_in_mm():
    one, other = np.zeros((1, 9), bool), np.zeros((1, 9), bool)
    one[0, 0] = other[0, 8] = True
    values = names(score_masks("a", LungMask(one), LungMask(other), Measure(), Spacing(1.0, 0.5, "")))
    assert values["hd95_mm"] == values["assd_mm"] == 4
    assert values["nsd_2mm"] == 0


def test_each_lung_is_scored_where_both_masks_tell():
    drawn = LungMask(RIGHT_LUNG, RIGHT_LUNG, np.zeros_like(RIGHT_LUNG))
    values = names(score_masks("a", drawn, SIDED, Measure()))
    assert values["right_dice"] == 1
    assert values["left_dice"] == 0
    assert values["left_hd95_px"] == math.inf
    assert values["dice"] == pytest.approx(2 * 12 / (12 + 24))


def test_a_mask_without_sides_is_split_like_the_hand_made_one():
    wide = np.ones((4, 10), bool)
    values = names(score_masks("a", LungMask(wide), SIDED, Measure()))
    assert values["right_area_drawn_px"] + values["left_area_drawn_px"] == 40
    assert values["right_dice"] == values["left_dice"] == pytest.approx(2 * 12 / (20 + 12))


def test_without_sides_in_the_truth_there_are_none():
    score = score_masks("a", SIDED, LungMask(BOTH), Measure())
    assert not {column.structure for column in score.values} & {RIGHT, LEFT}


def test_two_empty_masks_are_undefined_and_one_is_the_worst():
    nothing = LungMask(np.zeros_like(BOTH))
    empty = score_masks("a", nothing, nothing, Measure())
    assert empty.status == EMPTY
    assert math.isnan(names(empty)["dice"])
    assert math.isnan(names(empty)["hd95_px"])
    one = score_masks("a", nothing, LungMask(BOTH), Measure())
    assert one.status == SCORED
    assert names(one)["dice"] == names(one)["nsd_2px"] == 0
    assert names(one)["hd_px"] == math.inf


def test_only_the_chosen_metrics_are_computed():
    measure = Measure(chosen_metrics("HD95, dice"))
    assert list(names(score_masks("a", LungMask(BOTH), LungMask(BOTH), measure))) == ["dice", "hd95_px"]


@pytest.mark.parametrize("text", ["dices", "dice,,hd96", ",", ""])
def test_unknown_metrics_are_refused_with_those_that_are_known(text):
    with pytest.raises(UsageError) as caught:
        chosen_metrics(text)
    assert "hd95" in caught.value.hint


def test_the_explanation_has_every_metric_and_the_policy_for_empty_masks():
    text = explanation()
    assert all(f"\n{name}" in text for name in METRICS)
    assert "Both masks empty" in text
    assert max(map(len, text.splitlines())) <= 110


def test_columns_are_ordered_by_structure_then_metric():
    columns = [Column("hd95", RIGHT, "mm"), Column("hd95", unit="px"), Column("hd95", unit="mm"), Column("dice")]
    assert [column.name for column in in_order(columns)] == ["dice", "hd95_mm", "hd95_px", "right_hd95_mm"]
    assert Column("nsd", LEFT, "mm", 2.0).title == "Left lung NSD (2 mm)"

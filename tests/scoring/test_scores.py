import math

import numpy as np
import pytest

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import LEFT, RIGHT, LungMask, Spacing
from lungmask_cli.scoring.metric_definitions import METRICS, MetricColumn, explanation, parse_metrics, sort_columns
from lungmask_cli.scoring.scores import EMPTY, SCORED, score_masks

RIGHT_LUNG = np.zeros((4, 10), bool)
RIGHT_LUNG[:, :3] = True
LEFT_LUNG = np.zeros((4, 10), bool)
LEFT_LUNG[:, 7:] = True
BOTH = RIGHT_LUNG | LEFT_LUNG
SIDED = LungMask(BOTH, RIGHT_LUNG, LEFT_LUNG)


def values_of(score):
    return {column.name: value for column, value in score.values.items()}


def test_areas_and_components_computed_by_hand():
    predicted = np.zeros((4, 10), bool)
    predicted[:, 1:5] = True  # 16 pixels, 8 of them in the right lung
    values = values_of(score_masks("a", LungMask(predicted), LungMask(BOTH)))
    assert values["area_drawn_px"] == 16
    assert values["area_truth_px"] == 24
    assert values["area_difference_px"] == -8
    assert values["over_segmented_px"] == 8
    assert values["under_segmented_px"] == 16
    assert (values["components_drawn"], values["components_truth"]) == (1, 2)


def test_every_column_names_its_unit():
    score = score_masks("a", LungMask(BOTH), LungMask(BOTH), Spacing(10.0, 5.0, "PixelSpacing"), tolerance=1.5)
    values = values_of(score)
    assert values["area_drawn_cm2"] == 24 * 50 / 100
    assert {"hd95_mm", "hd_mm", "assd_mm", "nsd_1.5mm", "dice"} <= set(values)
    assert not any(name.endswith("px") for name in values)
    assert score.spacing == Spacing(10.0, 5.0, "PixelSpacing")
    unknown = values_of(score_masks("a", LungMask(BOTH), LungMask(BOTH), tolerance=1.5))
    assert {"hd95_px", "area_drawn_px", "nsd_1.5px"} <= set(unknown)


def test_distances_are_in_mm():
    one, other = np.zeros((1, 9), bool), np.zeros((1, 9), bool)
    one[0, 0] = other[0, 8] = True
    values = values_of(score_masks("a", LungMask(one), LungMask(other), Spacing(1.0, 0.5, "")))
    assert values["hd95_mm"] == values["assd_mm"] == 4
    assert values["nsd_2mm"] == 0


def test_each_lung_is_scored_if_both_masks_distinguish_them():
    predicted = LungMask(RIGHT_LUNG, RIGHT_LUNG, np.zeros_like(RIGHT_LUNG))
    values = values_of(score_masks("a", predicted, SIDED))
    assert values["right_dice"] == 1
    assert values["left_dice"] == 0
    assert values["left_hd95_px"] == math.inf
    assert values["dice"] == pytest.approx(2 * 12 / (12 + 24))


def test_a_prediction_without_sides_is_split_by_the_reference():
    wide = np.ones((4, 10), bool)
    values = values_of(score_masks("a", LungMask(wide), SIDED))
    assert values["right_area_drawn_px"] + values["left_area_drawn_px"] == 40
    assert values["right_dice"] == values["left_dice"] == pytest.approx(2 * 12 / (20 + 12))


def test_without_sides_in_the_reference_the_lungs_are_not_scored_separately():
    score = score_masks("a", SIDED, LungMask(BOTH))
    assert not {column.structure for column in score.values} & {RIGHT, LEFT}


def test_two_empty_masks_are_undefined_and_one_has_the_worst_values():
    empty_mask = LungMask(np.zeros_like(BOTH))
    empty = score_masks("a", empty_mask, empty_mask)
    assert empty.status == EMPTY
    assert math.isnan(values_of(empty)["dice"])
    assert math.isnan(values_of(empty)["hd95_px"])
    one = score_masks("a", empty_mask, LungMask(BOTH))
    assert one.status == SCORED
    assert values_of(one)["dice"] == values_of(one)["nsd_2px"] == 0
    assert values_of(one)["hd_px"] == math.inf


def test_only_the_requested_metrics_are_computed():
    score = score_masks("a", LungMask(BOTH), LungMask(BOTH), metrics=parse_metrics("HD95, dice"))
    assert list(values_of(score)) == ["dice", "hd95_px"]


@pytest.mark.parametrize("text", ["dices", "dice,,hd96", ",", ""])
def test_unknown_metrics_are_refused_with_a_list_of_the_known_ones(text):
    with pytest.raises(UsageError) as caught:
        parse_metrics(text)
    assert "hd95" in caught.value.hint


def test_the_explanation_covers_every_metric_and_empty_masks():
    text = explanation()
    assert all(f"\n{name}" in text for name in METRICS)
    assert "Both masks empty" in text
    assert max(map(len, text.splitlines())) <= 110


def test_columns_are_ordered_by_structure_then_metric():
    columns = [
        MetricColumn("hd95", RIGHT, "mm"),
        MetricColumn("hd95", unit="px"),
        MetricColumn("hd95", unit="mm"),
        MetricColumn("dice"),
    ]
    assert [column.name for column in sort_columns(columns)] == ["dice", "hd95_mm", "hd95_px", "right_hd95_mm"]
    assert MetricColumn("nsd", LEFT, "mm", 2.0).title == "Left lung NSD (2 mm)"


def boxes(*columns):
    """A mask (8, 40) of these ranges of columns."""
    mask = np.zeros((8, 40), bool)
    for first, end in columns:
        mask[2:6, first:end] = True
    return mask


def with_heart(heart, right=(2, 14), left=(24, 36), separated=True):
    sides = (boxes(right), boxes(left)) if separated else (None, None)
    return LungMask(boxes(right, left), *sides, heart=boxes(heart))


def test_hearts_and_their_ratio_are_compared_if_both_masks_have_them():
    values = values_of(score_masks("a", with_heart((12, 29)), with_heart((10, 27)), Spacing(2.0, 1.0, "")))
    assert values["heart_dice"] == pytest.approx(15 / 17)
    assert values["heart_area_difference_cm2"] == 0
    assert values["heart_hd_mm"] == 2
    assert values["cardiothoracic_ratio_drawn"] == values["cardiothoracic_ratio_truth"] == 17 / 34
    assert values["cardiothoracic_ratio_difference"] == 0
    wider = values_of(score_masks("a", with_heart((10, 27), left=(24, 38)), with_heart((10, 27))))
    assert wider["cardiothoracic_ratio_difference"] == pytest.approx(17 / 36 - 17 / 34)


@pytest.mark.parametrize("one", [True, False])
def test_lungs_need_not_be_separated_for_the_ratio(one):
    values = values_of(score_masks("a", with_heart((10, 27), separated=one), with_heart((10, 27), separated=False)))
    assert values["cardiothoracic_ratio_drawn"] == 0.5
    assert values["cardiothoracic_ratio_difference"] == 0


def test_a_heart_in_one_mask_alone_is_not_compared():
    for predicted, truth in ((with_heart((10, 27)), SIDED), (SIDED, with_heart((10, 27)))):
        both = (LungMask(mask.lungs[:4, :10], heart=mask.heart) for mask in (predicted, truth))
        values = values_of(score_masks("a", *both))
        assert not any("heart" in name or "cardiothoracic" in name for name in values)


def test_the_ratio_of_an_empty_heart_or_a_single_lung_is_undefined():
    for predicted in (with_heart((10, 10)), with_heart((10, 27), left=(24, 24))):
        values = values_of(score_masks("a", predicted, with_heart((10, 27))))
        assert math.isnan(values["cardiothoracic_ratio_difference"])
        assert math.isnan(values["cardiothoracic_ratio_drawn"])
        assert values["cardiothoracic_ratio_truth"] == 0.5


def test_ratios_can_be_left_out_and_asked_for():
    pair = (with_heart((10, 27)), with_heart((10, 27)))
    assert set(values_of(score_masks("a", *pair, metrics=("dice",)))) == {
        *("dice", "heart_dice", "right_dice", "left_dice")
    }
    values = values_of(score_masks("a", *pair, metrics=("cardiothoracic_ratio_difference",)))
    assert values == {"cardiothoracic_ratio_difference": 0}

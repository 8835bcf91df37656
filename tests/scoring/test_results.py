import csv
import io
import json
import math

import pytest
from PIL import Image

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import LEFT, RIGHT, Spacing
from lungmask_cli.scoring.evaluate import Outcome, picture_side
from lungmask_cli.scoring.gallery_cards import make_cards, make_columns
from lungmask_cli.scoring.metadata import UNGROUPED, Grouping, Metadata, group
from lungmask_cli.scoring.metric_definitions import MetricColumn
from lungmask_cli.scoring.plots import draw_plots
from lungmask_cli.scoring.result_tables import make_tables, summary_writer, to_csv, to_json, to_latex, to_markdown
from lungmask_cli.scoring.results import make_results, sides_seem_swapped
from lungmask_cli.scoring.scores import EMPTY, FAILED, SCORED, Score

DICE, HD95 = MetricColumn("dice"), MetricColumn("hd95", unit="mm")
AREAS = (MetricColumn("area_drawn", unit="cm2"), MetricColumn("area_truth", unit="cm2"))


def scored(key, dice, hd95=3.0):
    return Score(key, SCORED, {DICE: dice, HD95: hd95}, shape=(20, 10), spacing=Spacing(0.5, 0.25, "given"))


SCORES = [
    scored("a|1", 0.9),
    scored("b_2", 0.0, math.inf),
    Score("c", EMPTY, {DICE: math.nan, HD95: math.nan}, shape=(20, 10)),
    Score("d", FAILED, reason="d.png: is empty"),
]


def results_of(scores, others=None, grouping=UNGROUPED):
    others = others or [None] * len(scores)
    return make_results([*map(Outcome, scores, others)], grouping, 0, {"seed": 0})


def rows_of(results):
    return {row["file"]: row for row in csv.DictReader(io.StringIO(to_csv(results)))}


def test_the_csv_has_a_row_for_every_pair_and_marks_undefined_values():
    rows = rows_of(results_of(SCORES))
    assert rows["a|1"]["dice"] == "0.9"
    assert (rows["a|1"]["width"], rows["a|1"]["height"]) == ("10", "20")
    assert (rows["a|1"]["spacing_row_mm"], rows["a|1"]["spacing_column_mm"]) == ("0.5", "0.25")
    assert rows["b_2"]["hd95_mm"] == "inf"
    assert (rows["c"]["status"], rows["c"]["dice"]) == ("empty", "")
    assert (rows["d"]["dice"], rows["d"]["reason"]) == ("", "d.png: is empty")


def test_the_csv_has_columns_for_the_other_method():
    results = results_of(SCORES[:2], [scored("a|1", 0.5), Score("b_2", FAILED, reason="gone")])
    rows = rows_of(results)
    assert rows["a|1"]["other_dice"] == "0.5"
    assert (rows["b_2"]["other_status"], rows["b_2"]["other_reason"]) == ("failed", "gone")


def test_the_json_is_valid_and_contains_failures_and_worst_cases():
    facts = json.loads(to_json(results_of(SCORES)))
    assert facts["failed"] == {"d": "d.png: is empty"}
    summary = facts["summaries"]["all"]
    assert summary["counts"] == {"scored": 2, "empty": 1, "failed": 1}
    assert summary["statistics"]["dice"]["worst"][0] == ["b_2", 0.0]
    assert summary["statistics"]["hd95_mm"]["mean"] == "inf"
    assert summary["statistics"]["dice"]["undefined"] == 1
    assert summary["statistics"]["hd95_mm"]["sd"] is None  # NaN


def test_tables_count_infinite_and_undefined_values():
    first = next(iter(make_tables(results_of(SCORES))))
    assert first.title == "2 scored, 1 empty, 1 failed"
    assert first.header[:4] == ("", "n", "infinite", "undefined")
    assert first.rows[1][:4] == ("HD95 (mm)", "2", "1", "1")
    assert "infinite" not in next(iter(make_tables(results_of(SCORES[:1])))).header


def test_markdown_and_latex_escape_special_characters():
    text = to_markdown(results_of(SCORES))
    assert r"a\|1 (0.9000)" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") > 2 for line in lines)
    grouping = Grouping({}, None, {score.key: "50% & more_" for score in SCORES}, "g")
    latex = to_latex(results_of(SCORES, grouping=grouping))
    assert r"50\% \& more\_: Dice" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    columns = latex.split(r"\begin{tabular}{")[1].split("}")[0]
    row = next(line for line in latex.splitlines() if line.startswith("Dice"))
    assert row.count("&") == len(columns) - 1


def test_the_suffix_selects_the_summary_format(tmp_path):
    assert summary_writer(tmp_path / "s.JSON") is to_json
    with pytest.raises(UsageError, match="in no known format"):
        summary_writer(tmp_path / "s.xlsx")


def test_groups_come_from_the_manifest_and_include_all_pairs():
    rows = {"a|1": {"sex": "f", "p": "1"}, "b_2": {"sex": "", "p": ""}}
    metadata = Metadata("m.csv", ("id", "sex", "p"), rows)
    grouping = group([score.key for score in SCORES], metadata, "sex", "p")
    assert grouping.patients == {"a|1": "1"}
    results = results_of(SCORES, grouping=grouping)
    assert [summary.group for summary in results.groups] == ["(empty)", "(not in the manifest)", "f"]
    assert sum(sum(summary.counts.values()) for summary in results.groups) == len(SCORES)
    assert rows_of(results)["a|1"]["sex"] == "f"


def test_cards_contain_reasons_notes_and_the_gain_over_the_other_method():
    results = results_of(SCORES[:2], [scored("a|1", 0.5, 1.0), scored("b_2", 0.5, math.inf)])
    cards = make_cards(results, {"a|1": "no backdrop"}, {"a|1": 7})
    assert (cards[0].picture, cards[0].note) == (7, "no backdrop")
    assert cards[0].values["gain_dice"] == pytest.approx(0.4)
    assert cards[0].values["gain_hd95_mm"] == -2  # the distance of the first method is 2 mm larger
    assert cards[1].values["gain_hd95_mm"] == 0
    names = {column.name for column in make_columns(results)}
    assert all(set(card.values) <= names for card in cards)
    assert make_cards(results_of(SCORES), {}, {})[3].note == "d.png: is empty"


def test_swapped_sides_are_detected():
    def summary(lungs, right, left):
        values = {DICE: lungs, MetricColumn("dice", RIGHT): right, MetricColumn("dice", LEFT): left}
        return results_of([Score("a", SCORED, values)]).summary

    assert sides_seem_swapped(summary(0.9, 0.0, 0.01))
    assert not sides_seem_swapped(summary(0.9, 0.9, 0.0))
    assert not sides_seem_swapped(results_of(SCORES).summary)


def test_more_pictures_are_smaller():
    assert picture_side(40) > picture_side(400) > picture_side(4000)


def test_plots_are_drawn_in_both_formats(tmp_path):
    scores = [Score(str(n), SCORED, {DICE: 0.9, AREAS[0]: 100 + n, AREAS[1]: 101}) for n in range(3)]
    scores.append(
        Score(
            "px",
            SCORED,
            {DICE: 0.5, MetricColumn("area_drawn", unit="px"): 1, MetricColumn("area_truth", unit="px"): 1},
        )
    )
    paths = draw_plots(scores, tmp_path / "plots")
    assert sorted({path.stem for path in paths}) == ["bland_altman", "dice_by_area", "dice_distribution"]
    assert all(Image.open(path).size[0] > 500 for path in paths if path.suffix == ".png")
    with pytest.raises(UsageError, match="nothing to plot"):
        draw_plots([SCORES[3]], tmp_path)


def test_the_agreement_of_ratios_has_a_table_for_each_group():
    column = MetricColumn("cardiothoracic_ratio_difference")
    scores = [Score(f"i{number}", SCORED, {DICE: 0.9, column: number / 100}) for number in range(4)]
    rows = {f"i{number}": {"id": f"i{number}", "sex": "fm"[number % 2]} for number in range(4)}
    metadata = Metadata("m.csv", ("id", "sex"), rows)
    results = results_of(scores, grouping=group([score.key for score in scores], metadata, "sex", None))
    (table,) = (table for table in make_tables(results) if table.title.startswith("Cardiothoracic ratio"))
    assert [row[:3] for row in table.rows] == [("all", "4", "+0.0150"), ("f", "2", "+0.0100"), ("m", "2", "+0.0200")]
    document = json.loads(to_json(results))
    assert document["summaries"]["m"]["cardiothoracic_ratio"]["mean_absolute_error"] == pytest.approx(0.02)
    assert "cardiothoracic_ratio" not in json.loads(to_json(results_of(SCORES)))["summaries"]["all"]

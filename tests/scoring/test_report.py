import csv
import io
import json
import math

import pytest
from PIL import Image

from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.radiograph import LEFT, RIGHT, Spacing
from lungmask_cli.scoring.assemble import Grouping, group, make_report, sides_seem_exchanged
from lungmask_cli.scoring.cards import gallery_cards, gallery_columns, picture_side
from lungmask_cli.scoring.compare import EMPTY, FAILED, SCORED, Score
from lungmask_cli.scoring.definitions import Column
from lungmask_cli.scoring.evaluate import Case, Outcome
from lungmask_cli.scoring.manifest import Manifest
from lungmask_cli.scoring.pairing import MaskPair
from lungmask_cli.scoring.plots import draw_plots
from lungmask_cli.scoring.report import summary_format, tables, to_csv, to_json, to_latex, to_markdown

DICE, HD95 = Column("dice"), Column("hd95", unit="mm")
AREAS = (Column("area_drawn", unit="cm2"), Column("area_truth", unit="cm2"))
UNGROUPED = Grouping({}, None, {}, None)


def scored(key, dice, hd95=3.0):
    return Score(key, SCORED, {DICE: dice, HD95: hd95}, shape=(20, 10), spacing=Spacing(0.5, 0.25, "given"))


SCORES = [
    scored("a|1", 0.9),
    scored("b_2", 0.0, math.inf),
    Score("c", EMPTY, {DICE: math.nan, HD95: math.nan}, shape=(20, 10)),
    Score("d", FAILED, reason="d.png: is empty"),
]


def report_of(scores, others=None, grouping=UNGROUPED):
    others = others or [None] * len(scores)
    outcomes = [
        Outcome(Case(MaskPair(score.key, {}, {})), score, other) for score, other in zip(scores, others, strict=True)
    ]
    return make_report(outcomes, grouping, 0, {"seed": 0})


def rows_of(report):
    return {row["file"]: row for row in csv.DictReader(io.StringIO(to_csv(report)))}


def test_the_csv_has_a_row_for_every_pair_and_says_what_is_undefined():
    rows = rows_of(report_of(SCORES))
    assert rows["a|1"]["dice"] == "0.9"
    assert (rows["a|1"]["width"], rows["a|1"]["height"]) == ("10", "20")
    assert (rows["a|1"]["spacing_row_mm"], rows["a|1"]["spacing_column_mm"]) == ("0.5", "0.25")
    assert rows["b_2"]["hd95_mm"] == "inf"
    assert rows["c"]["dice"] == "nan"
    assert (rows["d"]["dice"], rows["d"]["reason"]) == ("", "d.png: is empty")


def test_the_csv_has_the_other_method_beside():
    report = report_of(SCORES[:2], [scored("a|1", 0.5), Score("b_2", FAILED, reason="gone")])
    rows = rows_of(report)
    assert rows["a|1"]["other_dice"] == "0.5"
    assert (rows["b_2"]["other_status"], rows["b_2"]["other_reason"]) == ("failed", "gone")


def test_the_json_is_json_and_holds_failures_and_worst_cases():
    facts = json.loads(to_json(report_of(SCORES)))
    assert facts["failed"] == {"d": "d.png: is empty"}
    found = facts["summaries"]["all"]
    assert found["counts"] == {"scored": 2, "empty": 1, "failed": 1}
    assert found["statistics"]["dice"]["worst"][0] == ["b_2", 0.0]
    assert found["statistics"]["hd95_mm"]["mean"] == "inf"
    assert found["statistics"]["dice"]["undefined"] == 1


def test_tables_show_what_is_infinite_or_undefined():
    first = next(iter(tables(report_of(SCORES))))
    assert first.title == "2 scored, 1 empty, 1 failed"
    assert first.header[:4] == ("", "n", "infinite", "undefined")
    assert first.rows[1][:4] == ("HD95 (mm)", "2", "1", "1")
    assert "infinite" not in next(iter(tables(report_of(SCORES[:1])))).header


def test_markdown_and_latex_survive_their_own_signs():
    text = to_markdown(report_of(SCORES))
    assert r"a\|1 (0.9000)" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") > 2 for line in lines)
    grouping = Grouping({}, None, {score.key: "50% & more_" for score in SCORES}, "g")
    latex = to_latex(report_of(SCORES, grouping=grouping))
    assert r"50\% \& more\_: Dice" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    columns = latex.split(r"\begin{tabular}{")[1].split("}")[0]
    row = next(line for line in latex.splitlines() if line.startswith("Dice"))
    assert row.count("&") == len(columns) - 1


def test_formats_are_told_by_the_suffix(tmp_path):
    assert summary_format(tmp_path / "s.JSON") is to_json
    with pytest.raises(UsageError, match="in no known format"):
        summary_format(tmp_path / "s.xlsx")


def test_groups_are_those_of_the_manifest_and_none_is_lost():
    rows = {"a|1": {"sex": "f", "p": "1"}, "b_2": {"sex": "", "p": ""}}
    manifest = Manifest("m.csv", ("id", "sex", "p"), rows)
    grouping = group([score.key for score in SCORES], manifest, "sex", "p")
    assert grouping.patients == {"a|1": "1"}
    report = report_of(SCORES, grouping=grouping)
    assert [summary.group for summary in report.groups] == ["(empty)", "(not in the manifest)", "f"]
    assert sum(sum(summary.counts.values()) for summary in report.groups) == len(SCORES)
    assert rows_of(report)["a|1"]["sex"] == "f"


def test_cards_carry_reasons_notes_and_how_much_better_the_first_method_is():
    report = report_of(SCORES[:2], [scored("a|1", 0.5, 1.0), scored("b_2", 0.5, math.inf)])
    cards = gallery_cards(report, {"a|1": "no backdrop"}, {"a|1": 7}, None)
    assert (cards[0].picture, cards[0].note) == (7, "no backdrop")
    assert cards[0].values["gain_dice"] == pytest.approx(0.4)
    assert cards[0].values["gain_hd95_mm"] == -2  # the first is 2 mm farther away
    assert cards[1].values["gain_hd95_mm"] == 0
    names = {column.name for column in gallery_columns(report)}
    assert all(set(card.values) <= names for card in cards)
    assert gallery_cards(report_of(SCORES), {}, {}, None)[3].note == "d.png: is empty"


def test_exchanged_sides_are_noticed():
    def summary(lungs, right, left):
        values = {DICE: lungs, Column("dice", RIGHT): right, Column("dice", LEFT): left}
        return report_of([Score("a", SCORED, values)]).summary

    assert sides_seem_exchanged(summary(0.9, 0.0, 0.01))
    assert not sides_seem_exchanged(summary(0.9, 0.9, 0.0))
    assert not sides_seem_exchanged(report_of(SCORES).summary)


def test_pictures_get_smaller_the_more_there_are():
    assert picture_side(40) > picture_side(400) > picture_side(4000)


def test_plots_are_drawn_in_both_formats(tmp_path):
    scores = [Score(str(n), SCORED, {DICE: 0.9, AREAS[0]: 100 + n, AREAS[1]: 101}) for n in range(3)]
    scores.append(
        Score("px", SCORED, {DICE: 0.5, Column("area_drawn", unit="px"): 1, Column("area_truth", unit="px"): 1})
    )
    paths = draw_plots(scores, tmp_path / "plots")
    assert sorted({path.stem for path in paths}) == ["bland_altman", "dice_by_area", "dice_distribution"]
    assert all(Image.open(path).size[0] > 500 for path in paths if path.suffix == ".png")
    with pytest.raises(UsageError, match="nothing to plot"):
        draw_plots([SCORES[3]], tmp_path)

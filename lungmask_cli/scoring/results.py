"""All scores of a comparison with their statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lungmask_cli.imaging.radiograph import LEFT, LUNGS, RIGHT
from lungmask_cli.scoring.evaluate import Outcome
from lungmask_cli.scoring.metadata import Grouping
from lungmask_cli.scoring.metric_definitions import MetricColumn
from lungmask_cli.scoring.scores import Score
from lungmask_cli.scoring.statistics import Comparison, Summary, compare_methods, summarize


@dataclass(frozen=True)
class Results:
    """All scores with their statistics.

    Args:
        settings: the settings of the comparison, for the record.
        scores: one per pair.
        others: those of the second method, in the same order; empty without a second method.
        grouping: the patient and the group of each pair.
        summary: of all scores.
        groups: the summary of each group; empty without groups.
        comparison: of the two methods; empty without a second method.
    """

    settings: Mapping[str, object]
    scores: Sequence[Score]
    others: Sequence[Score]
    grouping: Grouping
    summary: Summary
    groups: Sequence[Summary]
    comparison: Mapping[MetricColumn, Comparison]


def make_results(outcomes: Sequence[Outcome], grouping: Grouping, seed: int, settings: Mapping[str, object]) -> Results:
    """All scores with their statistics.

    Args:
        outcomes: of all cases.
        grouping: the patient and the group of each pair.
        seed: random seed of the bootstrap.
        settings: the settings of the comparison, for the record.
    """
    scores = [outcome.score for outcome in outcomes]
    others = [outcome.other for outcome in outcomes if outcome.other]
    patients = grouping.patients
    groups = [
        summarize([score for score in scores if grouping.groups[score.key] == name], patients, seed, name)
        for name in sorted(set(grouping.groups.values()))
    ]
    summary = summarize(scores, patients, seed)
    comparison = compare_methods(scores, others, patients, seed) if others else {}
    return Results(settings, scores, others, grouping, summary, groups, comparison)


def sides_seem_swapped(summary: Summary) -> bool:
    """Whether both lungs together agree far better than each lung alone."""
    medians = {
        column.structure: value.median for column, value in summary.statistics.items() if column.metric == "dice"
    }
    return medians.get(LUNGS, 0) > 0.5 and all(medians.get(side, 1) < 0.1 for side in (RIGHT, LEFT))

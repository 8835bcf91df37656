"""From folders to cases, and from outcomes to a report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lungmask_cli.formats.find import find_images
from lungmask_cli.formats.radiographs import IMAGE_SUFFIXES
from lungmask_cli.imaging.radiograph import LEFT, LUNGS, RIGHT, Spacing
from lungmask_cli.scoring.evaluate import Case, Outcome
from lungmask_cli.scoring.manifest import Manifest
from lungmask_cli.scoring.pairing import MaskPair
from lungmask_cli.scoring.report import Report
from lungmask_cli.scoring.statistics import Summary, compare, summarize

_NOT_LISTED, _NO_VALUE = "(not in the manifest)", "(empty)"


@dataclass(frozen=True)
class Grouping:
    """What the manifest says of each key: the patient and the group, with the names of their columns."""

    patients: Mapping[str, str]
    patient_column: str | None
    groups: Mapping[str, str]
    group_column: str | None

    @property
    def facts(self) -> dict[str, Mapping[str, str]]:
        """The columns by name."""
        named = ((self.patient_column, self.patients), (self.group_column, self.groups))
        return {name: values for name, values in named if name is not None}


def make_cases(
    pairs: Sequence[MaskPair],
    images: Path | None,
    manifest: Manifest | None,
    spacing: Spacing | None,
) -> list[Case]:
    """Each pair with its radiograph and the pixel spacing that is known from elsewhere.

    Args:
        pairs: the masks.
        images: folder of radiographs, which are found by their stem.
        manifest: for pixel spacings.
        spacing: row and column spacing in mm that holds for all.

    Raises:
        UsageError: there is no such folder.
    """
    found = _by_name(images) if images else {}
    return [
        Case(
            pair,
            found.get(pair.key) or found.get(pair.key.rsplit("/", 1)[-1]),
            spacing,
            manifest.spacing(pair.key) if manifest else None,
            manifest.side if manifest else None,
        )
        for pair in pairs
    ]


def _by_name(folder: Path) -> dict[str, Path]:
    """The radiographs by path without suffix, and by stem; the first of those that share a stem."""
    found: dict[str, Path] = {}
    for path, relative in find_images([folder]):
        bare = relative.with_suffix("") if relative.suffix.lower() in IMAGE_SUFFIXES else relative
        found.setdefault(bare.as_posix(), path)
        found.setdefault(bare.name, path)
    return found


def group(keys: Iterable[str], manifest: Manifest | None, by: str | None, patient: str | None) -> Grouping:
    """The patient and the group of each key.

    Args:
        keys: what pairs are called.
        manifest: None for no patients and no groups.
        by: its column that makes groups.
        patient: its column that names patients; None for `patient` or `patient_id`, where there is one.

    Raises:
        UsageError: a column is not there.
    """
    if manifest is None:
        return Grouping({}, None, {}, None)
    patient_column = manifest.patient_column(patient)
    group_column = manifest.column(by) if by else None
    rows = {key: manifest.row(key) for key in keys}
    patients = {key: row[patient_column] for key, row in rows.items() if patient_column and row and row[patient_column]}
    groups = {
        key: (row[group_column] or _NO_VALUE) if row else _NOT_LISTED for key, row in rows.items() if group_column
    }
    return Grouping(patients, patient_column, groups, group_column)


def make_report(outcomes: Sequence[Outcome], grouping: Grouping, seed: int, settings: Mapping[str, object]) -> Report:
    """All scores with their statistics.

    Args:
        outcomes: of all cases.
        grouping: patients and groups.
        seed: of the bootstrap.
        settings: for the record.
    """
    scores = [outcome.score for outcome in outcomes]
    others = [outcome.other for outcome in outcomes if outcome.other]
    names = sorted(set(grouping.groups.values()))
    groups = [
        summarize([score for score in scores if grouping.groups[score.key] == name], grouping.patients, seed, name)
        for name in names
    ]
    return Report(
        settings,
        scores,
        others,
        grouping.facts,
        summarize(scores, grouping.patients, seed),
        groups,
        compare(scores, others, grouping.patients, seed) if others else {},
    )


def sides_seem_exchanged(summary: Summary) -> bool:
    """Whether both lungs together agree far better than each of them."""
    medians = {
        column.structure: value.median for column, value in summary.statistics.items() if column.metric == "dice"
    }
    return medians.get(LUNGS, 0) > 0.5 and all(medians.get(side, 1) < 0.1 for side in (RIGHT, LEFT))

"""What is said of each radiograph of a batch: the rows of `segment.csv`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from lungmask_cli.files import split_cell

WRITTEN, FAILED = "written", "failed"


@dataclass(frozen=True)
class Row:
    """One line of `segment.csv`. What is unknown is None, and empty there.

    Areas in cm2 are known where the file gives its pixel spacing, `dice` where there is a hand-made mask of the same
    size; `reason` says why a file failed, or why there is no Dice where one was asked for; `warnings` is what is odd
    about the radiograph. `quality` is `good` or `doubtful`, `doubts` say why, `quality_score` is the Dice to be
    expected. `hint`, what to do about a failure, is for the terminal alone.
    """

    file: str
    mask: str = ""
    status: str = FAILED
    reason: str = ""
    warnings: tuple[str, ...] = ()
    width: int | None = None
    height: int | None = None
    spacing_row_mm: float | None = None
    spacing_column_mm: float | None = None
    spacing_source: str = ""
    lung_area_px: int | None = None
    right_area_px: int | None = None
    left_area_px: int | None = None
    lung_area_cm2: float | None = None
    right_area_cm2: float | None = None
    left_area_cm2: float | None = None
    quality: str = ""
    quality_score: float | None = None
    confidence: float | None = None
    doubts: tuple[str, ...] = ()
    dice: float | None = None
    seconds: float = 0.0
    hint: str = ""

    def cells(self) -> list[object]:
        """A cell for each of `COLUMNS`."""
        return [_cell(name, getattr(self, name)) for name in COLUMNS]

    @staticmethod
    def read(cells: Mapping[str, str]) -> "Row":
        """The row of a table's cells, as far as digits were written."""
        return Row(**{name: _value(cells[name], _KINDS[name]) for name in COLUMNS})


COLUMNS = tuple(name for name in Row.__dataclass_fields__ if name != "hint")
_FORMS = {"seconds": ".3f", "dice": ".10g", "quality_score": ".4f", "confidence": ".4f"}


_KINDS = get_type_hints(Row)


def _value(cell: str, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        return split_cell(cell)
    if kind is str:
        return cell
    return (int if kind == int | None else float)(cell) if cell else None


def _cell(name: str, value: object) -> object:
    if isinstance(value, float):
        form = ".2f" if name.endswith("_cm2") else _FORMS.get(name, ".6g")
        return f"{value:{form}}"
    return value

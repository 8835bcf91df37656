"""The rows of `segment.csv`: the result for each radiograph of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from lungmask_cli.files import split_cell

WRITTEN, FAILED = "written", "failed"


@dataclass(frozen=True)
class Row:
    """One row of `segment.csv`. An unknown value is None, and an empty cell in the file.

    Areas in cm2 are known if the file states its pixel spacing, and `dice` if there is a reference mask of the same
    size. `reason` says why a file failed, or why a requested Dice is missing. `warnings` lists problems of the
    radiograph. `opacity_area_px` is the area of the opacities that the mask was drawn through. `--heart` fills the
    columns of the heart and the thorax, and `cardiothoracic_ratio` with the limits of its interval. `quality` is `good`
    or `doubtful`, `doubts` are the reasons, and `quality_score` is the expected Dice. `hint`, the advice after a
    failure, is only shown on the terminal.
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
    opacity_area_px: int | None = None
    opacity_area_cm2: float | None = None
    heart_area_px: int | None = None
    heart_area_cm2: float | None = None
    heart_width_px: int | None = None
    heart_width_mm: float | None = None
    thorax_width_px: int | None = None
    thorax_width_mm: float | None = None
    cardiothoracic_ratio: float | None = None
    cardiothoracic_ratio_low: float | None = None
    cardiothoracic_ratio_high: float | None = None
    quality: str = ""
    quality_score: float | None = None
    confidence: float | None = None
    doubts: tuple[str, ...] = ()
    dice: float | None = None
    seconds: float = 0.0
    hint: str = ""

    def cells(self) -> list[object]:
        """One cell for each of `COLUMNS`."""
        return [_format_cell(name, getattr(self, name)) for name in COLUMNS]

    @staticmethod
    def from_cells(cells: Mapping[str, str]) -> "Row":
        """The row with these cells; numbers have the digits that were written."""
        return Row(**{name: _parse_cell(cells[name], _TYPES[name]) for name in COLUMNS})


COLUMNS = tuple(name for name in Row.__dataclass_fields__ if name != "hint")
_RATIOS = ("cardiothoracic_ratio", "cardiothoracic_ratio_low", "cardiothoracic_ratio_high")
_FORMATS = {
    **dict.fromkeys(_RATIOS, ".4f"),
    "seconds": ".3f",
    "dice": ".10g",
    "quality_score": ".4f",
    "confidence": ".4f",
}
_TYPES = get_type_hints(Row)


def _parse_cell(cell: str, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        return split_cell(cell)
    if kind is str:
        return cell
    return (int if kind == int | None else float)(cell) if cell else None


def _format_cell(name: str, value: object) -> object:
    if isinstance(value, float):
        default = ".2f" if name.endswith("_cm2") else ".1f" if name.endswith("_width_mm") else ".6g"
        return f"{value:{_FORMATS.get(name, default)}}"
    return value

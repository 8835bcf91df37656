"""A diagram as text."""

from collections.abc import Sequence

from lungmask_cli.networks.diagram.layout import HARD_SPACE, Arrow, Box, Pen, lay_out
from lungmask_cli.networks.diagram.outline import Outline

PEN = Pen(
    characters=23,
    fewer=16,
    advance=1,
    line=1,
    padding=(2, 1),
    gap=3,
    strip=2,
    shift=0,
    across=False,
)
_LEFT, _RIGHT, _UP, _DOWN = 1, 2, 4, 8
_LINES = {
    _LEFT | _RIGHT: "─", _UP | _DOWN: "│", _RIGHT | _DOWN: "┌", _LEFT | _DOWN: "┐", _RIGHT | _UP: "└", _LEFT | _UP: "┘",
    _LEFT | _RIGHT | _DOWN: "┬", _LEFT | _RIGHT | _UP: "┴", _UP | _DOWN | _RIGHT: "├", _UP | _DOWN | _LEFT: "┤",
    _LEFT | _RIGHT | _UP | _DOWN: "┼", _LEFT: "─", _RIGHT: "─", _UP: "│", _DOWN: "│",
}  # fmt: skip
_HEADS = {_RIGHT: "▶", _LEFT: "◀", _UP: "▲", _DOWN: "▼"}


def draw_text(outline: Outline) -> str:
    """The diagram of one network in box-drawing characters: lines of text, the last with its end."""
    layout = lay_out(outline, PEN)
    canvas = _Canvas(int(layout.width), int(layout.height))
    for arrow in layout.arrows:
        canvas.draw_arrow(arrow)
    for box in layout.boxes:
        canvas.draw_box(box)
    return canvas.text()


class _Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.cells = [[" "] * width for _ in range(height)]
        self.ways: dict[tuple[int, int], int] = {}  # where the lines in a cell lead

    def draw_arrow(self, arrow: Arrow) -> None:
        """Lines that cross or meet those of other arrows are joined to them."""
        corners = _corners(arrow.points)
        way = _way(arrow.points[0], arrow.points[1])
        here = corners[0]
        self._lead(here, _opposite(way))
        for corner in corners[1:]:
            while here != corner:
                way = _way(here, corner)
                self._lead(here, way)
                here = _next(here, way)
                self._lead(here, _opposite(way))
        column, line = here
        self.cells[line][column] = _HEADS[_way(*arrow.points[-2:])]
        del self.ways[here]

    def _lead(self, cell: tuple[int, int], way: int) -> None:
        self.ways[cell] = self.ways.get(cell, 0) | way
        self.cells[cell[1]][cell[0]] = _LINES[self.ways[cell]]

    def draw_box(self, box: Box) -> None:
        left, top, width = int(box.x), int(box.y), int(box.width)
        room = width - 4
        lines = [f"{box.title}{box.note:>{room - len(box.title)}}"] if box.title else []
        lines += [line.replace(HARD_SPACE, " ") for line in box.lines]
        framed = [f"│ {line:<{room}} │" for line in lines]
        bar = "─" * (width - 2)
        for place, line in enumerate([f"┌{bar}┐", *framed, f"└{bar}┘"]):
            self.cells[top + place][left : left + width] = line

    def text(self) -> str:
        """All lines, without spaces at their ends."""
        return "".join("".join(line).rstrip() + "\n" for line in self.cells)


def _corners(points: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """The cells of a line's ends and corners; at edges of boxes, those outside."""
    cells = [(int(x), int(y)) for x, y in points]
    first, last = _way(*points[:2]), _way(*points[-2:])
    if first == _UP:
        cells[0] = (cells[0][0], cells[0][1] - 1)
    if last in (_RIGHT, _DOWN):
        cells[-1] = _next(cells[-1], _opposite(last))
    return cells


def _way(start: tuple[float, float], end: tuple[float, float]) -> int:
    if start[0] != end[0]:
        return _RIGHT if end[0] > start[0] else _LEFT
    return _DOWN if end[1] > start[1] else _UP


def _opposite(way: int) -> int:
    return {_LEFT: _RIGHT, _RIGHT: _LEFT, _UP: _DOWN, _DOWN: _UP}[way]


def _next(cell: tuple[int, int], way: int) -> tuple[int, int]:
    column, line = cell
    return column + (way == _RIGHT) - (way == _LEFT), line + (way == _DOWN) - (way == _UP)

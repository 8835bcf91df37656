"""Where blocks, branches and arrows of a diagram are, for any pen: characters of a terminal, or points of a picture.

A network that makes images smaller and larger again is folded: each row has one height and width of images, the first
at the top, its first leg goes down at the left and the second comes up at the right, and branches are between them. Any
other network is a straight line for each of its chains.
"""

import itertools
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lungmask_cli.networks.diagram.outline import Block, Branch, Outline, shape_text
from lungmask_cli.networks.summary import TIMES, in_short

HARD_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Pen:
    """The measures of what draws.

    Args:
        characters: that fit a line of a folded network's blocks.
        fewer: that fit a line of all others, if no word is longer.
        advance: width of a character.
        line: height of a line.
        padding: between the edges of a box and its text, across and down.
        gap: least distance of boxes beside each other.
        strip: distance of rows.
        shift: how much further in each row of a folded network is than the one above.
        across: whether straight networks go across, or down.
    """

    characters: int
    fewer: int
    advance: float
    line: float
    padding: tuple[float, float]
    gap: float
    strip: float
    shift: float
    across: bool


@dataclass(frozen=True)
class Box:
    """A block or branch: `title` and `note` share its first line; `kind` is `smaller`, `larger` or `branch`."""

    x: float
    y: float
    width: float
    height: float
    title: str
    note: str
    lines: tuple[str, ...]
    kind: str

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> tuple[float, float]:
        """The centre."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Arrow:
    """Lines from point to point, across or down, with a head at the last; `skips` says that it is a branch's."""

    points: tuple[tuple[float, float], ...]
    skips: bool


@dataclass(frozen=True)
class Layout:
    """All that is drawn of a network, below and to the right of (0, 0)."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


@dataclass(frozen=True)
class _Cell:
    """A box whose height and row are known, but not yet where the row is."""

    row: int
    x: float
    width: float
    title: str
    note: str
    lines: tuple[str, ...]
    kind: str


def lay_out(outline: Outline, pen: Pen) -> Layout:
    """Place all that is drawn of a network."""
    return _Planner(outline, pen).layout()


class _Planner:
    def __init__(self, outline: Outline, pen: Pen) -> None:
        self.outline = outline
        self.pen = pen
        self.main = outline.chains[0].blocks
        self.legs = dict(zip(self.main, outline.legs, strict=False))
        areas = sorted({outline.blocks[number].area for number in self.main}, reverse=True)
        self.rows = {area: row for row, area in enumerate(areas)}
        self.fewer = max(pen.fewer, *self._least_characters())
        side = self._width(self.fewer) + pen.gap if any(branch.work for branch in outline.branches) else 0
        self.before = {  # the block before each block but the first
            after: before
            for chain in outline.chains
            for before, after in itertools.pairwise([chain.start, *chain.blocks])
            if before is not None and after is not None
        }
        self.edges: dict[int, tuple[float, float]] = {}  # above and below each row
        self.inner = pen.gap + side + 2 * pen.shift * max(0, len(areas) - 2)  # between the first row's boxes

    def layout(self) -> Layout:
        places = self._straight() if not self.legs else {**self._folded(), **self._heads()}
        cells = {number: self._block_cell(number, *places[number]) for number in sorted(places)}
        branches = [branch for branch in self.outline.branches if branch.work]
        beside = [self._branch_cell(branch, cells) for branch in branches]
        boxes = self._stack([*cells.values(), *beside])
        blocks, sides = boxes[: len(cells)], dict(zip(branches, boxes[len(cells) :], strict=True))
        arrows = [*self._chain_arrows(blocks), *self._skip_arrows(blocks, sides)]
        width, height = max(box.right for box in boxes), max(box.bottom for box in boxes)
        return Layout(width, height, tuple(boxes), tuple(arrows))

    def _least_characters(self) -> Iterator[int]:
        """What boxes must have room for: no word is broken, and first lines are not."""
        for block in self.outline.blocks:
            yield from (len(word) for words in block.work for word in words.split())
            yield len(f"{shape_text(block.shape)}  {_note(block)}")

    def _width(self, characters: int) -> float:
        return characters * self.pen.advance + 2 * self.pen.padding[0]

    def _folded(self) -> dict[int, tuple[int, float]]:
        """Row and x of the main chain's blocks."""
        step = self._width(self.pen.characters) + self.inner
        places = {}
        for number, leg in self.legs.items():
            row = self.rows[self.outline.blocks[number].area]
            inwards = (1, 0, -1, 0)[leg % 4]
            places[number] = (row, leg / 2 * step + inwards * row * self.pen.shift)
        return places

    def _heads(self) -> dict[int, tuple[int, float]]:
        """Row and x of the other chains of a folded network, to the right of it.

        Each is beside the block it starts from, or below everything where another chain is there already.
        """
        width = self._width(self.pen.characters)
        edge = max(self.legs.values()) / 2 * (width + self.inner) + width + self.pen.gap
        step = self._width(self.fewer) + self.pen.gap
        places: dict[int, tuple[int, float]] = {}
        free = len(self.rows)
        for chain in self.outline.chains[1:]:
            row = self.rows.get(self.outline.blocks[chain.start].area, free) if chain.start in self.legs else free
            row = free if row in {taken for taken, _ in places.values()} else row
            free += row == free
            places.update((number, (row, edge + place * step)) for place, number in enumerate(chain.blocks))
        return places

    def _straight(self) -> dict[int, tuple[int, float]]:
        """Row and x of all blocks; each chain has a line of its own."""
        step = self._width(self.fewer) + self.pen.gap
        children = Counter(chain.start for chain in self.outline.chains)
        cells: dict[int, tuple[int, int]] = {}  # line and place in it
        for line, chain in enumerate(self.outline.chains):
            first = 0
            if chain.start is not None:
                above, first = cells[chain.start]
                first += 0 if above == line - 1 and children[chain.start] == 1 else 1
            cells.update((number, (line, first + place)) for place, number in enumerate(chain.blocks))
        if self.pen.across:
            return {number: (line, place * step) for number, (line, place) in cells.items()}
        return {number: (place, line * step) for number, (line, place) in cells.items()}

    def _block_cell(self, number: int, row: int, x: float) -> _Cell:
        block = self.outline.blocks[number]
        characters = self.pen.characters if number in self.legs else self.fewer
        before = self.before.get(number)
        kind = "smaller" if before is None or block.area < self.outline.blocks[before].area else "larger"
        lines = _wrap(block.work, characters)
        return _Cell(row, x, self._width(characters), shape_text(block.shape), _note(block), lines, kind)

    def _branch_cell(self, branch: Branch, cells: dict[int, _Cell]) -> _Cell:
        target = cells[branch.target]
        before = target.x - self.pen.gap - self._shifted(target)
        x = before - self._width(self.fewer)
        return _Cell(target.row, x, self._width(self.fewer), "", "", _wrap(branch.work, self.fewer), "branch")

    def _shifted(self, target: _Cell) -> float:
        """How far a branch is from its target, beyond the least gap, so that all branches are below each other."""
        return self.pen.shift * max(0, len(self.rows) - 2 - target.row)

    def _stack(self, cells: Sequence[_Cell]) -> list[Box]:
        """The boxes, row below row, in the middle of the row."""
        heights: dict[int, float] = {}
        for cell in cells:
            heights[cell.row] = max(heights.get(cell.row, 0), self._height(cell))
        top = 0.0
        for row in sorted(heights):
            self.edges[row] = (top, top + heights[row])
            top += heights[row] + self.pen.strip
        boxes = []
        for cell in cells:
            height = self._height(cell)
            y = self.edges[cell.row][0] + (heights[cell.row] - height) // 2
            boxes.append(Box(cell.x, y, cell.width, height, cell.title, cell.note, cell.lines, cell.kind))
        return boxes

    def _height(self, cell: _Cell) -> float:
        return (bool(cell.title) + len(cell.lines)) * self.pen.line + 2 * self.pen.padding[1]

    def _chain_arrows(self, boxes: Sequence[Box]) -> list[Arrow]:
        return [Arrow(self._step(boxes, before, after), False) for after, before in self.before.items()]

    def _step(self, boxes: Sequence[Box], before: int, after: int) -> tuple[tuple[float, float], ...]:
        """From one block to one beside, below or above it, with one corner where it is neither."""
        start, end = boxes[before], boxes[after]
        left, right = max(start.x, end.x), min(start.right, end.right)
        (start_x, start_y), (end_x, end_y) = start.middle, end.middle
        below = end.y >= start.bottom
        leaves, arrives = (start.bottom, end.y) if below else (start.y, end.bottom)
        if left + 6 * self.pen.advance < right:
            x = (left + right) / 2
            return (x, leaves), (x, arrives)
        if start.y < end_y < start.bottom:
            return (start.right, end_y), (end.x, end_y)
        if self._is_entered_across(after):
            return (start_x, leaves), (start_x, end_y), (end.x, end_y)
        return (start.right, start_y), (end_x, start_y), (end_x, arrives)

    def _is_entered_across(self, number: int) -> bool:
        """Whether the arrow to a block ends across: to a turn of a folded network, and to the start of other chains."""
        return self.legs[number] % 2 == 1 if number in self.legs else self.pen.across or bool(self.legs)

    def _skip_arrows(self, boxes: Sequence[Box], sides: dict[Branch, Box]) -> list[Arrow]:
        arrows = []
        for branch in self.outline.branches:
            target = boxes[branch.target]
            aim = sides.get(branch, target)
            arrows += [Arrow(self._approach(boxes[source], aim), True) for source in branch.sources]
            if aim is not target:
                arrows.append(Arrow(self._approach(aim, target), True))
        return arrows

    def _approach(self, start: Box, end: Box) -> tuple[tuple[float, float], ...]:
        """From a box to one at its right, or, along the strip between rows, to one further up or down."""
        x, y = end.middle
        if start.y < y < start.bottom:
            return (start.right, y), (end.x, y)
        inset = 2 * self.pen.advance
        away = min(max(x, start.x + inset), start.right - inset)
        above, below = next(edges for edges in self.edges.values() if edges[0] <= start.y < edges[1])
        if end.y > start.bottom:
            strip = below + self.pen.strip / 2
            return (away, start.bottom), (away, strip), (x, strip), (x, end.y)
        strip = above - self.pen.strip / 2
        return (away, start.y), (away, strip), (x, strip), (x, end.bottom)


def _note(block: Block) -> str:
    return in_short(block.parameters) if block.parameters else ""


def _wrap(work: Sequence[str], characters: int) -> tuple[str, ...]:
    """Each piece of work on a line of its own, or on several, broken at commas where that is possible."""
    return tuple(line for words in work for line in textwrap.wrap(_glue(words, characters), characters))


def _glue(words: str, characters: int) -> str:
    parts = []
    for part in words.split(", "):
        loose = part.replace(f" {TIMES} ", f"{HARD_SPACE}{TIMES}{HARD_SPACE}").replace("→ ", f"→{HARD_SPACE}")
        parts.append(part.replace(" ", HARD_SPACE) if len(part) < characters else loose)
    return ", ".join(parts)

"""Diagrams of networks as text and as SVG: one row for each image size, as in the figures of the U-Net papers.

Layers whose outputs have the same height and width form a block. The first column of blocks goes down while the images
get smaller, the next one up while they get larger, and so on; each further output has columns of its own. All of it is
read from a `NetworkSummary`, so every functional Keras model has a diagram.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from lungmask_cli.networks.summary import TIMES, Layer, NetworkSummary, abbreviate_number, format_shape

LEGEND = (
    f"Blocks: height {TIMES} width {TIMES} channels of the output: parameters, then the layers. /2 is a stride of 2.",
    "Layers that only change values in place, such as normalisation and ReLU, are left out.",
)
_GAP, _STRIP = 6, 2  # free columns and lines of characters between blocks
_LINES = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"  # by the directions in which lines leave a cell: up 1, right 2, down 4, left 8
_STEPS = {(0, -1): (1, "▲"), (1, 0): (2, "▶"), (0, 1): (4, "▼"), (-1, 0): (8, "◀")}
_WIDE, _HIGH = 6.6, 14  # points of a character in SVG
_MARGIN, _TOP = 24, 70  # a network's title and a line of text are above it
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{0:g}" height="{1:g}" viewBox="0 0 {0:g} {1:g}" role="img">
<style>
text {{ font: 11px Helvetica, Arial, 'Liberation Sans', sans-serif; fill: #222222; }}
.title {{ font-size: 15px; font-weight: bold; }} .shape {{ font-weight: bold; }}
.chain, .skip {{ fill: none; stroke: #333333; stroke-width: 1.4; marker-end: url(#head); }} .skip {{ stroke: #999999; }}
.down {{ fill: #e8f1fb; stroke: #3b78b8; }} .up {{ fill: #fdf0e1; stroke: #c9771c; }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"
markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" fill="#333333"/></marker></defs>
<rect width="{0:g}" height="{1:g}" fill="#ffffff"/>"""

Cell = tuple[int, int]  # of a grid of characters: column and line


@dataclass(frozen=True)
class Block:
    """Layers of one column whose outputs have the same height and width.

    Args:
        column: of blocks, from the left.
        row: of blocks, from the top, where images are largest.
        upwards: whether images get larger in its column.
        shape: of its output, without the batch.
        parameters: of all its layers.
        lines: shape and parameters, then the layers in the order of the graph.
    """

    column: int
    row: int
    upwards: bool
    shape: tuple[int, ...]
    parameters: int
    lines: tuple[str, ...]


class Diagram:
    """Blocks on a grid of characters.

    Args:
        blocks: of the network.
        edges: pairs of indices of blocks, of which the second takes an output of the first.
    """

    def __init__(self, blocks: Sequence[Block], edges: Sequence[tuple[int, int]]) -> None:
        self.blocks = blocks
        self.edges = edges
        self.room = max(len(line) for block in blocks for line in block.lines)
        heights = [0] * (1 + max(block.row for block in blocks))
        for block in blocks:
            heights[block.row] = max(heights[block.row], len(block.lines) + 2 + _STRIP)
        self._tops = [0, *itertools.accumulate(heights)]
        self.size = self.left(1 + max(block.column for block in blocks)) - _GAP, self._tops[-1] - _STRIP

    def left(self, column: int) -> int:
        """Where a column of blocks begins; a block has two characters of frame on either side."""
        return column * (self.room + 4 + _GAP)

    def corner(self, block: Block) -> Cell:
        """The upper left corner of a block."""
        return self.left(block.column), self._tops[block.row]

    def routes(self) -> Iterator[list[Cell]]:
        """Start, corner and head of each arrow: across, down or up, or first across and then down or up."""
        for start, end in ((self.blocks[one], self.blocks[two]) for one, two in self.edges):
            (x, y), (to_x, to_y) = self.corner(start), self.corner(end)
            right, middle = self.room + 3, to_x + self.room // 2 + 2
            head = to_y - 1 if to_y > y else to_y + len(end.lines) + 2
            leave, arrive = (x + right, to_x - 1) if to_x > x else (x, to_x + right + 1)
            if x == to_x:
                yield [(middle, y), (middle, head)]
            elif y == to_y:
                yield [(leave, y + 1), (arrive, y + 1)]
            else:
                yield [(leave, y + 1), (middle, y + 1), (middle, head)]


def build_diagram(summary: NetworkSummary) -> Diagram:
    """The blocks of a network and how they are connected."""
    layers = summary.layers
    keys = list(zip(_find_columns(summary), (layer.shape[:-1] for layer in layers), strict=True))
    groups: dict[tuple[Cell, tuple[int, ...]], list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    edges = [(source, target) for target, layer in enumerate(layers) for source in layer.inputs]
    edges = [(source, target) for source, target in edges if keys[source] != keys[target]]
    outputs = {source for source, _ in edges} | set(summary.outputs)  # of blocks
    columns = sorted({column for column, _ in groups})
    sizes = sorted({size for _, size in groups}, key=lambda size: (-math.prod(size), size))
    blocks = []
    for (column, size), indices in groups.items():
        shape = (*size, max(layers[index].shape[-1] for index in outputs.intersection(indices)))
        parameters = sum(layers[index].parameters for index in indices)
        words = [_describe(layers[index], shape[-1]) for index in indices if not _is_minor(summary, index)]
        runs = ((word, len(list(run))) for word, run in itertools.groupby(words))
        heading = format_shape(shape) + (f": {abbreviate_number(parameters)}" if parameters else "")
        lines = heading, *(f"{count} {TIMES} {word}" if count > 1 else word for word, count in runs)
        blocks.append(Block(columns.index(column), sizes.index(size), column[1] % 2 == 1, shape, parameters, lines))
    numbers = {key: number for number, key in enumerate(groups)}
    return Diagram(blocks, sorted({(numbers[keys[source]], numbers[keys[target]]) for source, target in edges}))


def _find_columns(summary: NetworkSummary) -> list[Cell]:
    """For each layer, the first output that it leads to, and how often sizes have turned from falling to growing."""
    areas = [math.prod(layer.shape[:-1]) for layer in summary.layers]
    outputs = {index: number for number, index in reversed(list(enumerate(summary.outputs)))}
    for index, layer in reversed(list(enumerate(summary.layers))):
        for source in layer.inputs:
            outputs[source] = min(outputs.get(source, outputs[index]), outputs[index])
    turns: list[int] = []
    for area, layer in zip(areas, summary.layers, strict=True):
        before = [(turns[source], areas[source]) for source in layer.inputs]
        turns.append(max((turn + (old > area if turn % 2 else old < area) for turn, old in before), default=0))
    return [(outputs[index], turn) for index, turn in enumerate(turns)]


def _is_minor(summary: NetworkSummary, index: int) -> bool:
    """Whether a layer only changes values in place, and is not the activation of an output."""
    layer = summary.layers[index]
    if layer.multiply_adds or len(layer.inputs) != 1 or layer.shape != summary.layers[layer.inputs[0]].shape:
        return False
    return index not in summary.outputs or not layer.detail


def _describe(layer: Layer, channels: int) -> str:
    """A layer in words, with its channels where they are not those of its block."""
    if layer.kind in ("InputLayer", "Activation"):
        return layer.detail or layer.name
    words = f"{layer.kind.replace('2D', '')} {layer.detail}".strip()
    return words + (f" → {layer.shape[-1]}" if layer.multiply_adds and layer.shape[-1] != channels else "")


def draw_text(summary: NetworkSummary) -> str:
    """The diagram of a network in box-drawing characters."""
    diagram = build_diagram(summary)
    width, height = diagram.size
    cells = [[" "] * width for _ in range(height)]
    for (x, y), character in _arrow_characters(diagram).items():
        cells[y][x] = character
    for block in diagram.blocks:
        x, y = diagram.corner(block)
        bar, room = "─" * (diagram.room + 2), diagram.room
        for offset, line in enumerate([f"┌{bar}┐", *(f"│ {line:<{room}} │" for line in block.lines), f"└{bar}┘"]):
            cells[y + offset][x : x + len(line)] = line
    return "".join("".join(line).rstrip() + "\n" for line in cells)


def _arrow_characters(diagram: Diagram) -> dict[Cell, str]:
    """Lines that cross or meet are joined."""
    directions: dict[Cell, int] = defaultdict(int)
    heads = {}
    for route in diagram.routes():
        for cell, end in itertools.pairwise(route):
            x, y = cell
            step = (end[0] > x) - (end[0] < x), (end[1] > y) - (end[1] < y)
            while (x, y) != end:
                directions[x, y] |= _STEPS[step][0]
                x, y = x + step[0], y + step[1]
                directions[x, y] |= _STEPS[-step[0], -step[1]][0]
            heads[route[-1]] = _STEPS[step][1]
    return {cell: _LINES[bits] for cell, bits in directions.items()} | heads


def draw_svg(networks: Sequence[tuple[str, str, NetworkSummary]]) -> str:
    """One SVG document with these networks beside each other, each below its title and a line of text."""
    parts, x, bottom = [], float(_MARGIN), 0.0
    for title, text, summary in networks:
        diagram = build_diagram(summary)
        parts += [_svg_text(x, 36, title, "title"), _svg_text(x, 54, text)]
        parts += [f'<g transform="translate({x:g} {_TOP})">', *_svg_diagram(diagram), "</g>"]
        x += max(_WIDE * diagram.size[0], _WIDE * len(text), 8.5 * len(title)) + 2 * _MARGIN
        bottom = max(bottom, _TOP + _HIGH * diagram.size[1])
    legend = [_svg_text(_MARGIN, bottom + _MARGIN + number * _HIGH, line) for number, line in enumerate(LEGEND)]
    width = max(x, *(_WIDE * len(line) + 2 * _MARGIN for line in LEGEND))
    return "\n".join([_SVG.format(width, bottom + 3 * _MARGIN), *parts, *legend, "</svg>", ""])


def _svg_diagram(diagram: Diagram) -> Iterator[str]:
    for route in diagram.routes():
        points = [((x + 0.5) * _WIDE, (y + 0.5) * _HIGH) for x, y in route]
        (from_x, from_y), (x, y) = points[-2:]
        end = x + ((x > from_x) - (x < from_x)) * _WIDE / 2, y + ((y > from_y) - (y < from_y)) * (_HIGH / 2 + 3)
        path = " L".join(f"{x:g} {y:g}" for x, y in (*points[:-1], end))
        yield f'<path d="M{path}" class="{"skip" if route[0][1] == route[-1][1] else "chain"}"/>'
    for block in diagram.blocks:
        x, y = (cell * unit for cell, unit in zip(diagram.corner(block), (_WIDE, _HIGH), strict=True))
        size = f'width="{(diagram.room + 4) * _WIDE:g}" height="{(len(block.lines) + 2) * _HIGH - 6:g}"'
        yield f'<rect x="{x:g}" y="{y + 3:g}" {size} rx="5" class="{"up" if block.upwards else "down"}"/>'
        for number, line in enumerate(block.lines):
            yield _svg_text(x + 2 * _WIDE, y + (number + 1) * _HIGH + 11, line, "" if number else "shape")


def _svg_text(x: float, y: float, text: str, name: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{name}">{escape(text)}</text>'

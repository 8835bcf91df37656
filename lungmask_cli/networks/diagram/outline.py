"""What is drawn of a network: blocks of layers in chains, and branches that leave a chain and come back to it."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lungmask_cli.networks.summary import TIMES, Layer, NetworkSummary

_INPUT = "InputLayer"


@dataclass(frozen=True)
class Block:
    """Neighbouring layers of one chain whose outputs have the same height and width.

    Args:
        shape: of its last output, without the batch.
        work: what is done in it, in order and in words.
        parameters: of all its layers.
    """

    shape: tuple[int, ...]
    work: tuple[str, ...]
    parameters: int

    @property
    def area(self) -> int:
        """Positions of the output: height times width of an image, 1 of a list of numbers."""
        return math.prod(self.shape[:-1])


@dataclass(frozen=True)
class Chain:
    """Blocks from the inputs, or from the block `start`, to one output; numbers are places in `Outline.blocks`."""

    blocks: tuple[int, ...]
    start: int | None


@dataclass(frozen=True)
class Branch:
    """What the block `target` merges from an earlier leg; `work` is done on the way, `sources` are blocks."""

    sources: tuple[int, ...]
    target: int
    work: tuple[str, ...]
    parameters: int


@dataclass(frozen=True)
class Outline:
    """A network in blocks.

    Args:
        blocks: of all chains, chain by chain.
        chains: the first is the main one.
        legs: of the main chain's blocks: 0 while images keep getting smaller, 2 while they keep getting larger, 4 while
            they get smaller again and so on, and odd numbers where that turns; empty where they never get larger.
        branches: all end in a later leg of the main chain than they start from.
        left_out: what is not drawn.
    """

    blocks: tuple[Block, ...]
    chains: tuple[Chain, ...]
    legs: tuple[int, ...]
    branches: tuple[Branch, ...]
    left_out: str


@dataclass(frozen=True)
class _Side:
    """The layers beside the chains that lead to one input of a merge, and the blocks they start from."""

    layers: tuple[int, ...]
    sources: frozenset[int]


def outline(anatomy: NetworkSummary) -> Outline:
    """The network's blocks, chains and branches.

    Chains are the paths of most multiply-adds from the inputs to each output. What the main chain merges from an
    earlier leg is a branch; all other merges, such as those of residual blocks, are told in their block's words.
    """
    return _Outliner(anatomy).outline()


def find_legs(areas: Sequence[int]) -> tuple[int, ...]:
    """The legs of neighbouring blocks with outputs of those areas, all different from the next; see `Outline`."""
    grows = [after > before for before, after in itertools.pairwise(areas)]
    if not any(grows):
        return ()
    legs = [0]
    for before, after in itertools.pairwise([*grows, grows[-1]]):
        legs.append(legs[-1] + 1 + (legs[-1] % 2) if before != after else legs[-1] + legs[-1] % 2)
    return tuple(legs)


class _Outliner:
    def __init__(self, anatomy: NetworkSummary) -> None:
        self.layers = anatomy.layers
        self.outputs = anatomy.outputs
        self.main = self._main_inputs()
        self.parts: list[list[int]] = []  # the layers of each block
        self.home: dict[int, int] = {}  # the block of each layer that is on a chain
        self.chains = tuple(self._chain(path) for path in self._paths())
        self.legs = find_legs([_area(self.layers[self.parts[number][0]]) for number in self.chains[0].blocks])

    def outline(self) -> Outline:
        blocks, branches = [], []
        for number, part in enumerate(self.parts):
            sides = {place: self._side(place) for place in part if len(self.layers[place].inputs) > 1}
            far = [side for side in sides.values() if self._is_from_earlier_leg(side, number)]
            blocks.append(self._block(part, {place: side for place, side in sides.items() if side not in far}))
            if far:
                branches.append(self._branch(number, far))
        return Outline(tuple(blocks), self.chains, self.legs, tuple(branches), self._left_out())

    def _main_inputs(self) -> list[int | None]:
        """Of each layer, the input with the most multiply-adds behind it, or else the most layers."""
        weights: list[int] = []
        chosen: list[int | None] = []
        for layer in self.layers:
            best = max(layer.inputs, key=weights.__getitem__, default=None)
            chosen.append(best)
            weights.append(layer.multiply_adds + 1 + (0 if best is None else weights[best]))
        return chosen

    def _paths(self) -> Iterator[list[int]]:
        """For each output, the layers that lead to it from an input, or from a layer of an earlier path."""
        taken: set[int] = set()
        for output in self.outputs:
            path: list[int] = []
            place: int | None = output
            while place is not None and place not in taken:
                path.insert(0, place)
                place = self.main[place]
            taken.update(path)
            if path:
                yield path

    def _chain(self, path: list[int]) -> Chain:
        numbers = []
        for _, part in itertools.groupby(path, lambda place: _area(self.layers[place])):
            numbers.append(len(self.parts))
            self.parts.append(list(part))
            self.home.update(dict.fromkeys(self.parts[-1], numbers[-1]))
        return Chain(tuple(numbers), self._before(numbers[0]))

    def _before(self, number: int) -> int | None:
        """The block that the block of that number goes on from."""
        start = self.main[self.parts[number][0]]
        return None if start is None else self.home[start]

    def _side(self, merge: int) -> _Side:
        """What a layer of a chain takes in beside the chain itself."""
        found: set[int] = set()
        sources: set[int] = set()
        waiting = [given for given in self.layers[merge].inputs if given != self.main[merge]]
        while waiting:
            given = waiting.pop()
            if given in self.home:
                sources.add(self.home[given])
            elif given not in found:
                found.add(given)
                waiting.extend(self.layers[given].inputs)
        return _Side(tuple(sorted(found)), frozenset(sources))

    def _far(self, side: _Side, number: int) -> list[int]:
        """The blocks that it comes from, but for that of the merge itself and the one before."""
        return sorted(side.sources - {number, self._before(number)})

    def _is_from_earlier_leg(self, side: _Side, number: int) -> bool:
        legs = dict(zip(self.chains[0].blocks, self.legs, strict=False))
        leg = legs.get(number, 0)
        return leg > 0 and leg % 2 == 0 and any(legs.get(source, leg) < leg for source in self._far(side, number))

    def _block(self, part: list[int], sides: dict[int, _Side]) -> Block:
        shape = self.layers[part[-1]].shape
        words = [
            self._words(place, shape[-1]) + (self._beside(place, sides[place]) if place in sides else "")
            for place in part
            if not self._is_light(place)
        ]
        members = {*part, *itertools.chain.from_iterable(side.layers for side in sides.values())}
        return Block(shape, tuple(_fold(words)), self._parameters(members))

    def _branch(self, target: int, sides: list[_Side]) -> Branch:
        places = sorted({place for side in sides for place in side.layers})
        channels = self.layers[places[-1]].shape[-1] if places else 0
        words = [self._words(place, channels) for place in places if not self._is_light(place)]
        sources = {source for side in sides for source in side.sources} - {target}
        return Branch(tuple(sorted(sources)), target, tuple(_fold(words)), self._parameters(places))

    def _words(self, place: int, channels: int) -> str:
        """A layer in words, with its channels where they are not those of its block."""
        layer = self.layers[place]
        return _name(layer) + (f" → {layer.shape[-1]}" if layer.multiply_adds and layer.shape[-1] != channels else "")

    def _beside(self, merge: int, side: _Side) -> str:
        """What a layer merges, in words: the layers beside its chain, and blocks far back where they start."""
        work = ", ".join(_fold([_name(self.layers[place]) for place in side.layers if not self._is_light(place)]))
        far = [self.layers[self.parts[source][-1]].shape for source in self._far(side, self.home[merge])]
        places = " and ".join(map(shape_text, far))
        return (f" with {work}" if work else "") + (f" of {places}" if places else "")

    def _is_light(self, place: int) -> bool:
        """Whether a layer only changes values where they are, and is not the last word of the network."""
        layer = self.layers[place]
        if layer.multiply_adds or len(layer.inputs) != 1 or layer.shape != self.layers[layer.inputs[0]].shape:
            return False
        return place not in self.outputs or not layer.detail

    def _parameters(self, places: Iterable[int]) -> int:
        return sum(self.layers[place].parameters for place in places)

    def _left_out(self) -> str:
        kinds = Counter(layer.kind for place, layer in enumerate(self.layers) if self._is_light(place))
        return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def explain(outline: Outline) -> str:
    """What a reader of its diagram must know, in one line."""
    sizes = f" {TIMES} ".join(("Height", "width", "channels"))
    left_out = f" Not drawn: {outline.left_out}." if outline.left_out else ""
    return f"{sizes} of each output, its parameters at the right; /2 is a stride of 2.{left_out}"


def shape_text(shape: Sequence[int]) -> str:
    """Such as `256 x 256 x 16`."""
    return f" {TIMES} ".join(map(str, shape))


def _area(layer: Layer) -> int:
    return math.prod(layer.shape[:-1])


def _name(layer: Layer) -> str:
    if layer.kind == _INPUT:
        return layer.name
    if layer.kind == "Activation":
        return layer.detail
    return f"{layer.kind.replace('2D', '')} {layer.detail}".strip()


def _fold(words: Sequence[str]) -> list[str]:
    """What is said several times in a row is said once: a a b a a b becomes `2 x (2 x a, b)`."""
    folded = list(words)
    for period in range(1, len(words) // 2 + 1):
        folded = _fold_period(folded, period)
    return folded


def _fold_period(words: list[str], period: int) -> list[str]:
    folded, place = [], 0
    while place < len(words):
        pattern = words[place : place + period]
        times = 1
        while words[place + times * period : place + (times + 1) * period] == pattern:
            times += 1
        if times > 1:
            said = ", ".join(pattern)
            folded.append(f"{times} {TIMES} {said if period == 1 else f'({said})'}")
            place += times * period
        else:
            folded.append(words[place])
            place += 1
    return folded

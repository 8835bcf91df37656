"""What a network is made of: its layers with shapes, parameters and multiply-adds, read from the Keras graph."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

FLOPS_PER_MULTIPLY_ADD = 2
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Layer:
    """One call of a layer.

    Args:
        name: Keras' name of the layer.
        kind: its class; of a wrapper, that of the layer inside.
        detail: kernel or window, stride, activation, such as `4x4 /2 sigmoid`; empty where there is none.
        shape: of its output, without the batch: (H, W, C) of images.
        parameters: numbers that it holds, trainable or not; 0 when an earlier call of the same layer has them.
        multiply_adds: of one image.
        inputs: places, in the list of all layers, of those whose outputs it takes.
    """

    name: str
    kind: str
    detail: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class NetworkSummary:
    """A network's layers, each after all whose outputs it takes; `outputs` are places in that list."""

    name: str
    layers: tuple[Layer, ...]
    outputs: tuple[int, ...]
    trainable: int
    not_trainable: int

    @property
    def parameters(self) -> int:
        """Trainable and not."""
        return self.trainable + self.not_trainable

    @property
    def multiply_adds(self) -> int:
        """Of one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def flops(self) -> int:
        """Of one image: a multiply-add is two floating-point operations."""
        return FLOPS_PER_MULTIPLY_ADD * self.multiply_adds


def in_short(number: float) -> str:
    """The number with three digits and k, M or G, such as `13.6 M`; small ones as they are."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.{max(0, 2 - int(math.log10(scaled)))}f} {letter}"
    return f"{number:g}"


def summarize_network(model: keras.Model) -> NetworkSummary:
    """All that is known of a functional model without running it.

    Only convolutions (plain, depthwise, transposed) and dense layers count as multiply-adds, also inside wrappers such
    as spectral normalisation and inside nested models. All else counts 0: biases, normalisation, activations, pooling,
    enlarging and merging, and what wrappers compute for themselves.
    """
    nodes = list(_nodes(model))
    places = {id(node): place for place, node in enumerate(nodes)}
    held: set[int] = set()
    layers = []
    for node in nodes:
        layers.append(_describe(node, tuple(places[id(parent)] for parent in node.parent_nodes), held))
    makers = {id(tensor): place for place, node in enumerate(nodes) for tensor in node.output_tensors}
    return NetworkSummary(
        name=model.name,
        layers=tuple(layers),
        outputs=tuple(makers[id(tensor)] for tensor in model.outputs),
        trainable=_count(model.trainable_weights),
        not_trainable=_count(model.non_trainable_weights),
    )


def _nodes(model: keras.Model) -> Iterator[Any]:
    """The calls of all layers, inputs first. Keras has no public way to them: a layer may be called twice."""
    for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
        yield from nodes


def _describe(node: Any, inputs: tuple[int, ...], held: set[int]) -> Layer:
    operation = node.operation
    core = _unwrapped(operation)
    fresh = [weight for weight in getattr(operation, "weights", ()) if id(weight) not in held]
    held.update(map(id, fresh))
    return Layer(
        name=operation.name,
        kind=type(core).__name__,
        detail=_detail(core),
        shape=tuple(node.output_tensors[0].shape[1:]),
        parameters=_count(fresh),
        multiply_adds=_multiply_adds(node),
        inputs=inputs,
    )


def _unwrapped(operation: Any) -> Any:
    while isinstance(operation, keras.layers.Wrapper):
        operation = operation.layer
    return operation


def _count(weights: Any) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _multiply_adds(node: Any) -> int:
    """Each number of a kernel is used once at every position: of the output, or of a transposed convolution's input."""
    core = _unwrapped(node.operation)
    if isinstance(core, keras.Model):
        return sum(_multiply_adds(inner) for inner in _nodes(core))
    if isinstance(core, keras.layers.Conv2DTranspose):
        grid = node.input_tensors[0]
    elif isinstance(core, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
        grid = node.output_tensors[0]
    else:
        return 0
    return math.prod(grid.shape[1:-1]) * math.prod(core.kernel.shape)


def _detail(layer: Any) -> str:
    window = _first(layer, "kernel_size", "pool_size", "size")
    strides = _first(layer, "strides")
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    moves = strides and max(strides) > 1 and strides != _first(layer, "pool_size")
    words = [
        _sides(window) if window else "",
        f"/{_sides(tuple(dict.fromkeys(strides)))}" if strides and moves else "",
        "" if activation == "linear" else activation,
    ]
    return " ".join(filter(None, words))


def _first(layer: Any, *names: str) -> tuple[int, ...] | None:
    """The first of these settings that the layer has, where it is one number for each side."""
    settings = (getattr(layer, name, None) for name in names)
    return next((setting for setting in settings if isinstance(setting, tuple)), None)


def _sides(window: tuple[int, ...]) -> str:
    return TIMES.join(map(str, window))

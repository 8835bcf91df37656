"""Summaries of networks: layers with shapes, parameters and multiply-adds, read from the Keras graph."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Layer:
    """One call of a layer.

    Args:
        name: the layer's name in Keras.
        kind: its class; for a wrapper, the class of the wrapped layer.
        detail: kernel or window, stride and activation, such as `4x4 /2 sigmoid`; may be empty.
        shape: of its output, without the batch: (H, W, C) for images.
        parameters: trainable or not; 0 if an earlier call of the same layer counts them.
        multiply_adds: for one image.
        inputs: indices of the layers whose outputs it takes.
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
    """The layers of a network, each after its inputs; `outputs` are indices of layers."""

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
        """For one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def flops(self) -> int:
        """For one image: a multiply-add is two floating-point operations."""
        return 2 * self.multiply_adds


def abbreviate_number(number: float) -> str:
    """The number with three digits and k, M or G, such as `13.6 M`; below 1000 as it is."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.{max(0, 2 - int(math.log10(scaled)))}f} {letter}"
    return f"{number:g}"


def format_shape(shape: Sequence[int]) -> str:
    """The shape with multiplication signs, such as `256 x 256 x 16`."""
    return f" {TIMES} ".join(map(str, shape))


def summarize_network(model: keras.Model) -> NetworkSummary:
    """Summarise a functional model without running it.

    Only convolutions (plain, depthwise, transposed) and dense layers count as multiply-adds, also inside wrappers and
    nested models. Everything else counts 0: biases, normalisation, activations, pooling, upsampling, merging, and the
    computations of wrappers themselves.
    """
    nodes = list(_nodes(model))
    indices = {id(node): index for index, node in enumerate(nodes)}
    counted: set[int] = set()
    layers = [
        _summarize_layer(node, tuple(indices[id(parent)] for parent in node.parent_nodes), counted) for node in nodes
    ]
    sources = {id(tensor): index for index, node in enumerate(nodes) for tensor in node.output_tensors}
    return NetworkSummary(
        name=model.name,
        layers=tuple(layers),
        outputs=tuple(sources[id(tensor)] for tensor in model.outputs),
        trainable=_count(model.trainable_weights),
        not_trainable=_count(model.non_trainable_weights),
    )


def _nodes(model: keras.Model) -> Iterator[Any]:
    """The calls of all layers, inputs first. Keras has no public interface to them; a layer may be called twice."""
    for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
        yield from nodes


def _summarize_layer(node: Any, inputs: tuple[int, ...], counted: set[int]) -> Layer:
    """One call of a layer; `counted` are the ids of weights of earlier calls, and gets those of this one."""
    operation = node.operation
    layer = _unwrap(operation)
    weights = [weight for weight in getattr(operation, "weights", ()) if id(weight) not in counted]
    counted.update(map(id, weights))
    return Layer(
        name=operation.name,
        kind=type(layer).__name__,
        detail=_describe_settings(layer),
        shape=tuple(node.output_tensors[0].shape[1:]),
        parameters=_count(weights),
        multiply_adds=_multiply_adds(node),
        inputs=inputs,
    )


def _unwrap(operation: Any) -> Any:
    while isinstance(operation, keras.layers.Wrapper):
        operation = operation.layer
    return operation


def _count(weights: Any) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _multiply_adds(node: Any) -> int:
    """Each number of a kernel is used once per position of the output, or of a transposed convolution's input."""
    layer = _unwrap(node.operation)
    if isinstance(layer, keras.Model):
        return sum(map(_multiply_adds, _nodes(layer)))
    if isinstance(layer, keras.layers.Conv2DTranspose):
        grid = node.input_tensors[0]
    elif isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
        grid = node.output_tensors[0]
    else:
        return 0
    return math.prod(grid.shape[1:-1]) * math.prod(layer.kernel.shape)


def _describe_settings(layer: Any) -> str:
    window = _find_setting(layer, "kernel_size", "pool_size", "size")
    strides = _find_setting(layer, "strides")
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    strided = strides and max(strides) > 1 and strides != _find_setting(layer, "pool_size")
    words = [
        TIMES.join(map(str, window)) if window else "",
        f"/{TIMES.join(map(str, dict.fromkeys(strides)))}" if strides and strided else "",
        "" if activation == "linear" else activation,
    ]
    return " ".join(filter(None, words))


def _find_setting(layer: Any, *names: str) -> tuple[int, ...] | None:
    """The first of these settings that the layer has as a tuple with one number per side."""
    settings = (getattr(layer, name, None) for name in names)
    return next((setting for setting in settings if isinstance(setting, tuple)), None)

"""A generator made ready to draw: its weights, what it wants to see, and the runtime that computes it."""

import functools
import queue
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import TrainConfig
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.radiograph import FloatImage

# From (N, S, S) float32 radiographs to (N, S, S) float32 probabilities.
Predictor = Callable[[NDArray[np.float32]], NDArray[np.float32]]
THRESHOLD = 0.5
_BEFORE_A_GRAPH = 2


@dataclass(frozen=True)
class Network:
    """A generator that several threads may ask to draw at once.

    Args:
        draw: what computes it, from (N, S, S) float32 in [0, 1] to as many probabilities.
        image_size: S.
        localization_size: what S is as well, where it only looks for the lungs.
        contrast: what is done to what it sees, as in a training configuration.
        zoom: whether it draws twice, the second time, which counts, on the square around the lungs that it found.
        detail: the side in pixels of the square that holds all that it may look at.
        flips: whether it was trained on radiographs with left and right exchanged as well.
        manifest: what came with the weights.
    """

    draw: Predictor
    image_size: int
    localization_size: int
    contrast: str
    zoom: bool
    detail: int
    flips: bool
    manifest: dict[str, Any]


def build_network(draw: Predictor, manifest: dict[str, Any]) -> Network:
    """What computes the network, with what its manifest says of it."""
    config = TrainConfig().merged(manifest["config"])
    sizes = config.image_size, config.localization_size
    flips = config.augmentation.flip_probability > 0
    return Network(draw, *sizes, config.contrast, config.zoom, config.detail, flips, manifest)


def keras_predictor(generator: Any) -> Predictor:
    """A generator as plain function of arrays, for radiographs of any size that its layers can take."""
    import keras

    generator.input_spec = None  # or it takes but the one that it was made for
    if keras.backend.backend() != "tensorflow":
        return _one_at_a_time(lambda seen: np.asarray(generator.predict_on_batch(seen[..., None]))[..., 0])
    return _TensorFlowPredictor(generator)


class _TensorFlowPredictor:
    """A generator by TensorFlow, layer by layer and then by a graph, which draws the same.

    The graph for a size takes as long to make as several drawings, which a single radiograph need not wait for.
    """

    def __init__(self, generator: Any) -> None:
        self._layers = functools.partial(generator, training=False)
        self._graphs: dict[int, Any] = {}
        self._drawn: Counter[int] = Counter()
        self._lock = threading.Lock()  # a Keras model, unlike a graph, must not be run by several threads

    def __call__(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        import tensorflow as tf

        asked = tf.constant(seen[..., None])
        graph = self._graphs.get(seen.shape[1])
        drawn: NDArray[np.float32] = (graph(asked) if graph else self._without_graph(asked)).numpy()
        return drawn[..., 0]

    def _without_graph(self, asked: Any) -> Any:
        import tensorflow as tf

        size = asked.shape[1]
        with self._lock:
            self._drawn[size] += 1
            if self._drawn[size] <= _BEFORE_A_GRAPH:
                return self._layers(asked)
            if size not in self._graphs:
                signature = tf.TensorSpec((None, *asked.shape[1:]), asked.dtype)  # for any number of images
                function = tf.function(self._layers, [signature], autograph=False)
                self._graphs[size] = function.get_concrete_function()
        return self._graphs[size](asked)


def _one_at_a_time(draw: Predictor) -> Predictor:
    lock = threading.Lock()

    def alone(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        with lock:
            return draw(seen)

    return alone


def batched(draw: Predictor, most: int) -> Predictor:
    """The same for single images, up to `most` of which, from as many threads, are drawn together."""
    waiting: queue.SimpleQueue[tuple[NDArray[np.float32], Future[NDArray[np.float32]]]] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            asked = [waiting.get()]
            while len(asked) < most and not waiting.empty():
                asked.append(waiting.get())
            try:
                drawn = draw(np.concatenate([seen for seen, _ in asked]))
            except BaseException as error:  # whatever it is, those who wait must hear of it
                for _, answer in asked:
                    answer.set_exception(error)
                continue
            for (_, answer), probability in zip(asked, drawn, strict=True):
                answer.set_result(probability[None])

    def ask(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        answer: Future[NDArray[np.float32]] = Future()
        waiting.put((seen, answer))
        return answer.result()

    threading.Thread(target=serve, daemon=True).start()
    return ask


def predict_one(network: Network, seen: FloatImage) -> FloatImage:
    """What the network draws on one (S, S) image."""
    probability: FloatImage = network.draw(enhance(seen, network.contrast)[None])[0]
    return probability

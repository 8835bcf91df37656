"""A generator ready for prediction: its runtime, its input sizes and the manifest of its weights."""

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

from lungmask_cli.config import LUNGS, TrainConfig

# Maps (N, S, S) float32 radiographs in [0, 1] to (N, S, S, structures) float32 probabilities.
Predictor = Callable[[NDArray[np.float32]], NDArray[np.float32]]
THRESHOLD = 0.5
_CALLS_WITHOUT_GRAPH = 2


@dataclass(frozen=True)
class Network:
    """A generator that several threads may use at the same time.

    Args:
        predict: maps (N, S, S) float32 radiographs in [0, 1] to probabilities (N, S, S, structures).
        image_size: S.
        localization_size: S in the localization pass.
        contrast: the contrast enhancement of its input, as in a training configuration.
        zoom: whether it predicts in two passes: a localization pass on the whole radiograph, and a refinement pass on
            the square around the lungs, which gives the mask.
        detail: the side in pixels of the square image from which the input of every pass is taken.
        flips: whether its training images were flipped horizontally as well.
        manifest: of the weights.
        structures: what the network predicts: the lungs and, if it knows it, the heart.
    """

    predict: Predictor
    image_size: int
    localization_size: int
    contrast: str
    zoom: bool
    detail: int
    flips: bool
    manifest: dict[str, Any]
    structures: tuple[str, ...] = (LUNGS,)


def build_network(predict: Predictor, manifest: dict[str, Any]) -> Network:
    """A network with this predictor and the settings of its manifest."""
    config = TrainConfig().merged(manifest["config"])
    sizes = config.image_size, config.localization_size
    flips = config.augmentation.flip_probability > 0
    zoom = (config.zoom, config.detail)
    return Network(predict, *sizes, config.contrast, *zoom, flips, manifest, tuple(config.structures))


def keras_predictor(generator: Any) -> Predictor:
    """A Keras generator as a function of arrays, for radiographs of any size that its layers support."""
    import keras

    generator.input_spec = None  # which would allow only the size it was built for
    if keras.backend.backend() == "tensorflow":
        return _TensorFlowPredictor(generator)
    lock = threading.Lock()

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with lock:
            return np.asarray(generator.predict_on_batch(images[..., None]))

    return predict


class _TensorFlowPredictor:
    """A generator run by TensorFlow, first layer by layer and then as a graph, with the same results.

    Building the graph for one image size takes as long as several predictions, which would delay a single radiograph.
    """

    def __init__(self, generator: Any) -> None:
        self._run_layers = functools.partial(generator, training=False)
        self._graphs: dict[int, Any] = {}
        self._calls: Counter[int] = Counter()
        self._lock = threading.Lock()  # unlike a graph, a Keras model must not be run by several threads

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        import tensorflow as tf

        batch = tf.constant(images[..., None])
        graph = self._graphs.get(images.shape[1])
        return (graph(batch) if graph else self._predict_without_graph(batch)).numpy()

    def _predict_without_graph(self, batch: Any) -> Any:
        import tensorflow as tf

        size = batch.shape[1]
        with self._lock:
            self._calls[size] += 1
            if self._calls[size] <= _CALLS_WITHOUT_GRAPH:
                return self._run_layers(batch)
            if size not in self._graphs:
                signature = tf.TensorSpec((None, *batch.shape[1:]), batch.dtype)  # for any number of images
                function = tf.function(self._run_layers, [signature], autograph=False)
                self._graphs[size] = function.get_concrete_function()
        return self._graphs[size](batch)


def batched(predict: Predictor, max_batch: int) -> Predictor:
    """A predictor of single images, which predicts up to `max_batch` images from different threads as one batch."""
    waiting: queue.SimpleQueue[tuple[NDArray[np.float32], Future[NDArray[np.float32]]]] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            requests = [waiting.get()]
            while len(requests) < max_batch and not waiting.empty():
                requests.append(waiting.get())
            try:
                predicted = predict(np.concatenate([image for image, _ in requests]))
            except BaseException as error:  # any error must reach the waiting threads
                for _, future in requests:
                    future.set_exception(error)
                continue
            for (_, future), probability in zip(requests, predicted, strict=True):
                future.set_result(probability[None])

    def request(image: NDArray[np.float32]) -> NDArray[np.float32]:
        future: Future[NDArray[np.float32]] = Future()
        waiting.put((image, future))
        return future.result()

    threading.Thread(target=serve, daemon=True).start()
    return request

"""A generator made ready to draw: its weights, what it wants to see, and the runtime that computes it."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import UsageError
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.radiograph import FloatImage
from lungmask_cli.networks.backend import Device, Hardware, choose_device

# From (N, S, S) float32 radiographs to (N, S, S) float32 probabilities.
Draw = Callable[[NDArray[np.float32]], NDArray[np.float32]]
KERAS, ONNX = "keras", "onnx"
RUNTIMES = (KERAS, ONNX)


@dataclass(frozen=True)
class Network:
    """A generator that several threads may ask to draw at once.

    Args:
        draw: what computes it, from (N, S, S) float32 in [0, 1] to as many probabilities.
        image_size: S.
        contrast: what is done to what it sees, as in a training configuration.
        zoom: whether it draws twice, the second time on the square around the lungs that it found.
        detail: the side in pixels of the square that holds all that it may look at.
        flips: whether it was trained on radiographs with left and right exchanged as well.
        manifest: what came with the weights.
    """

    draw: Draw
    image_size: int
    contrast: str
    zoom: bool
    detail: int
    flips: bool
    manifest: dict[str, Any]


def start(runtime: str, device: str = "auto", threads: int | None = None) -> Device:
    """Make the runtime ready for networks that so many threads will ask to draw at once, or one, with all cores.

    Raises:
        UsageError: there is no such runtime or device.
    """
    if runtime == KERAS:
        return choose_device(Hardware(device, callers=threads))
    if runtime != ONNX:
        raise UsageError(f"there is no runtime named {runtime!r}", f"Use {' or '.join(RUNTIMES)}.")
    if device not in ("auto", "cpu"):
        raise UsageError(f"--runtime {runtime} computes on the CPU, not on {device}", "Use --device auto.")
    return Device("cpu", f"{runtime} computes there")


def load_network(path: Path, runtime: str = KERAS, threads: int | None = None, together: int = 1) -> Network:
    """The network whose weights are at `path`, computed by a runtime that was started.

    Args:
        path: the weight file.
        runtime: what computes it.
        threads: how many threads will ask it to draw at once, with one core each; None for one that has all cores.
        together: for how many of them it draws in one go, as GPUs like it.

    Raises:
        UsageError: the weights are damaged or unknown, as in `load_model`; or the runtime is not installed.
    """
    if runtime == ONNX:
        from lungmask_cli.inference.onnx import load_onnx

        return load_onnx(path, threads)
    from lungmask_cli.inference.weights import load_model

    model = load_model(path)
    draw = drawn_by_keras(model.generator)
    return made_network(in_one_go(draw, together) if together > 1 else draw, model.manifest)


def made_network(draw: Draw, manifest: dict[str, Any]) -> Network:
    """What computes the network, with what its manifest says of it."""
    config = TrainConfig().merged(manifest["config"])
    flips = config.augmentation.flip_probability > 0
    return Network(draw, config.image_size, config.contrast, config.zoom, config.detail, flips, manifest)


def drawn_by_keras(generator: Any) -> Draw:
    """A Keras model as plain function of arrays."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return _one_at_a_time(lambda seen: np.asarray(generator.predict_on_batch(seen[..., None]))[..., 0])
    import tensorflow as tf

    # Traced once, for any number of images; a graph, unlike a Keras model, may be run by several threads.
    signature = tf.TensorSpec((None, *generator.input_shape[1:]), tf.float32)
    function = tf.function(lambda seen: generator(seen, training=False), [signature], autograph=False)
    graph = function.get_concrete_function()

    def draw(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        drawn: NDArray[np.float32] = graph(tf.constant(seen[..., None])).numpy()[..., 0]
        return drawn

    return draw


def _one_at_a_time(draw: Draw) -> Draw:
    lock = threading.Lock()

    def alone(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        with lock:
            return draw(seen)

    return alone


def in_one_go(draw: Draw, most: int) -> Draw:
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


def draw_one(network: Network, seen: FloatImage) -> FloatImage:
    """What the network draws on one (S, S) image."""
    probability: FloatImage = network.draw(enhance(seen, network.contrast)[None])[0]
    return probability

"""Seconds of a training step per image, without reading data, augmentation and validation.

    python benchmarks/step_time.py RUN [--steps 6]

RUN is a run folder; its networks, losses, optimiser, batch size and image size are used. The images are noise, which
takes the same time. The first two steps, in which TensorFlow builds the graph, are not counted. Prints the median as
JSON.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from lungmask_cli.config import TrainConfig, read_toml
from lungmask_cli.networks.backend import Hardware, choose_device

WARM_UP = 2


def seconds_per_image(config: TrainConfig, steps: int) -> float:
    choose_device(Hardware("cpu"))

    from lungmask_cli.networks.adversarial import build_adversarial_model
    from lungmask_cli.training.run import build_optimizer

    model = build_adversarial_model(config)
    model.compile(optimizer=build_optimizer(config.optimizer, config.epochs, steps), jit_compile=False)
    side = config.image_size
    images = np.random.default_rng(0).random((config.batch_size, side, side, 1), np.float32)
    seconds = []
    for _ in range(WARM_UP + steps):
        started = time.perf_counter()
        model.train_on_batch(images, np.round(images))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:]) / config.batch_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    config = TrainConfig().merged(read_toml(options.run / "config.toml"))
    print(json.dumps({"seconds_per_image": seconds_per_image(config, options.steps)}))


if __name__ == "__main__":
    main()

"""Every generator must be able to overfit four phantoms."""

import keras
import numpy as np
import pytest

from lungmask_cli.config import TrainConfig
from lungmask_cli.networks.adversarial import build_adversarial_model
from lungmask_cli.networks.parts import GENERATORS
from tests.phantoms import draw_phantom

SIZE = 64
PHANTOMS = [draw_phantom(SIZE, SIZE, seed) for seed in range(4)]
STEPS = 8  # per epoch, because the end of an epoch takes longer than such a small step
X = np.stack([phantom.image for phantom in PHANTOMS] * STEPS)[..., None]
Y = np.stack([phantom.lungs for phantom in PHANTOMS] * STEPS)[..., None].astype(np.float32)


class StopAt(keras.callbacks.Callback):
    def __init__(self, dice):
        super().__init__()
        self.goal, self.best = dice, 0.0

    def on_epoch_end(self, epoch, logs=None):
        self.best = max(self.best, logs["dice"])
        self.model.stop_training = self.best > self.goal


def best_dice(config, goal, epochs):
    small = {"image_size": SIZE, "generator": {"filters": 8, "max_filters": 32}, "discriminator": {"filters": 2}}
    model = build_adversarial_model(config.merged(small))
    model.compile(optimizer=keras.optimizers.Adam(5e-3, beta_1=0.5), jit_compile=False)
    stop = StopAt(goal)
    model.fit(X, Y, batch_size=len(PHANTOMS), shuffle=False, epochs=epochs, verbose=0, callbacks=[stop])
    return stop.best


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_overfits_four_phantoms(name):
    changes = {"generator": {"name": name}, "discriminator": {"name": "none"}, "loss": {"terms": {"dice": 1.0}}}
    goal = 0.93 if name == "scan" else 0.97  # its masks are upsampled from 4 x 4 pixels
    assert best_dice(TrainConfig().merged(changes), goal, epochs=150 // STEPS) > goal

"""Lungs by pixel classification: boosted trees on grey value, position and texture.

    python benchmarks/baselines/pixels.py JSRT [--unseen MONTGOMERY ...] [-o runs/baselines]

The features of a pixel are its place, its grey value, the rank of that value in the image, and at six scales the
Gaussian derivatives up to the second order, as van Ginneken et al. 2006 use them for chest radiographs. The trees learn
from 1,000 random pixels of each image of `train`, half of which lie within 8 pixels of a boundary. Their probabilities
are blurred before they are thresholded; the width of the blur is that of the best mean Dice on `val`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from baseline import Example, Predict, choose, require, run
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from lungmask_cli.imaging.radiograph import FloatImage, Mask

ensemble = require("sklearn.ensemble")

SCALES = (1, 2, 4, 8, 16, 32)
ORDERS = ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
PIXELS, NEAR = 1000, 8


def measure_pixels(image: FloatImage) -> NDArray[np.float32]:
    """The features of all pixels, (H * W, 40)."""
    rows, columns = np.indices(image.shape, np.float32) / max(image.shape)
    ranks = np.searchsorted(np.sort(image, axis=None), image) / image.size
    derivatives = [gaussian_filter(image, s, order) * s ** sum(order) for s in SCALES for order in ORDERS]
    return np.stack([rows, columns, image, ranks, *derivatives], -1, dtype=np.float32).reshape(image.size, -1)


def draw_pixels(example: Example, rng: np.random.Generator) -> NDArray[np.int64]:
    """Random pixels, half of which are near the boundary of the lungs."""
    lungs = example.lungs
    near = np.flatnonzero(distance_transform_edt(lungs) + distance_transform_edt(~lungs) < NEAR)
    return np.concatenate([rng.choice(near, PIXELS // 2), rng.choice(lungs.size, PIXELS // 2)])


@dataclass(frozen=True)
class PixelClassifier:
    """Trees, and the width of the blur of their probabilities in pixels."""

    trees: Any
    width: float

    def __call__(self, image: FloatImage) -> Mask:
        lung = self.trees.predict_proba(measure_pixels(image))[:, 1].reshape(image.shape)
        smooth: Mask = gaussian_filter(lung, self.width) > 0.5
        return smooth


def fit(train: list[Example], val: list[Example], seed: int) -> Predict:
    """Train the trees on `train`, and choose the blur on `val`."""
    rng = np.random.default_rng(seed)
    features, labels = [], []
    for example in train:
        chosen = draw_pixels(example, rng)
        features.append(measure_pixels(example.image)[chosen])
        labels.append(example.lungs.ravel()[chosen])
    trees = ensemble.HistGradientBoostingClassifier(max_iter=300, max_leaf_nodes=63, random_state=seed)
    trees.fit(np.concatenate(features), np.concatenate(labels))
    return choose([PixelClassifier(trees, width) for width in (0.0, 1.0, 2.0, 3.0)], val)


if __name__ == "__main__":
    run("pixels", fit)

"""Lungs by an active shape model: landmarks, their principal components, and a search along profiles.

    python benchmarks/baselines/shape.py JSRT [--unseen MONTGOMERY ...] [-o runs/baselines]

Cootes et al. 1995. Each lung of `train` gets 64 landmarks: its highest point, the two ends of its base, and equal steps
between them. The landmarks of both lungs are one shape. Shapes are not aligned: size and place vary little among chest
radiographs, and are learnt with the rest. For each landmark and each of four resolutions, the grey profile across the
boundary, as a normalised derivative, has a mean and a covariance. The search starts at the mean shape, and at shifted
and scaled ones. In each step every landmark moves to the best place along its normal, and the shape is limited to its
principal components. How many of them, and how many standard deviations they may have, are those of the best mean Dice
on `val`.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product

import numpy as np
from baseline import Example, Predict, choose, require, run
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.imaging.sides import split_sides

draw, measure = require("skimage.draw"), require("skimage.measure")

POINTS = 64  # of each lung
LEVELS = (8, 4, 2, 1)  # pixels per step of a profile
HALF, REACH, STEPS = 4, 3, 8
Shape = NDArray[np.float64]  # (2 * POINTS, 2), rows and columns, right lung first
Profiles = tuple[NDArray[np.float64], NDArray[np.float64]]  # of each landmark: the mean and the inverse covariance


def place_landmarks(lung: Mask) -> Shape:
    """(POINTS, 2): from the apex down the lateral side, along the base, and up the medial side."""
    contours = measure.find_contours(np.pad(lung, 1).astype(float), 0.5)
    outline = max(contours, key=len)[:-1] - 1
    middle = outline[:, 1].mean()
    apex = int(np.argmin(outline[:, 0]))
    outline = np.roll(outline, -apex, axis=0)
    # The ends of the base are the points farthest down, each a little to its own side.
    first, second = (int(np.argmax(outline[:, 0] + sign * (outline[:, 1] - middle))) for sign in (-1, 1))
    ends = sorted({0, first, second, len(outline)})
    closed = np.concatenate([outline, outline[:1]])
    counts = split_points(len(ends) - 1)
    parts = [walk(closed[start : end + 1], n) for (start, end), n in zip(pairwise(ends), counts, strict=True)]
    return np.concatenate(parts)


def split_points(parts: int) -> list[int]:
    """How many landmarks the parts of an outline get: the base a quarter, both sides three eighths each."""
    return [POINTS * 3 // 8, POINTS // 4, POINTS * 3 // 8] if parts == 3 else [POINTS // parts] * parts


def walk(line: Shape, count: int) -> Shape:
    """`count` points in equal steps along a line, without its end."""
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    places = np.linspace(0, lengths[-1], count, endpoint=False)
    return np.stack([np.interp(places, lengths, line[:, axis]) for axis in (0, 1)], -1)


def find_normals(shape: Shape) -> Shape:
    """Unit vectors across the outline of each lung."""
    lungs = shape.reshape(2, POINTS, 2)
    along = np.roll(lungs, -1, axis=1) - np.roll(lungs, 1, axis=1)
    normals = np.stack([-along[..., 1], along[..., 0]], -1).reshape(-1, 2)
    return normals / np.maximum(np.hypot(*normals.T), 1e-9)[:, None]


def read_profiles(image: FloatImage, shape: Shape, half: int, step: int) -> NDArray[np.float64]:
    """Derivatives of the grey values along the normals, (landmarks, 2 * half)."""
    places = np.arange(-half, half + 1) * step
    points = shape[:, None] + places[:, None] * find_normals(shape)[:, None]
    grey = map_coordinates(image, points.transpose(2, 0, 1), order=1, mode="nearest")
    return np.diff(grey.astype(float), axis=1)


def normalize(profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    return profiles / (np.abs(profiles).sum(axis=-1, keepdims=True) + 1e-6)


def learn_profiles(images: list[FloatImage], shapes: list[Shape], step: int) -> Profiles:
    each = np.stack([normalize(read_profiles(i, s, HALF, step)) for i, s in zip(images, shapes, strict=True)])
    mean = each.mean(axis=0)
    centred = each - mean
    covariance = np.einsum("npi,npj->pij", centred, centred) / len(each)
    return mean, np.linalg.inv(covariance + 1e-4 * np.eye(2 * HALF))


def blur(image: FloatImage, step: int) -> FloatImage:
    smooth: FloatImage = gaussian_filter(image, step / 2)
    return smooth


@dataclass(frozen=True)
class ShapeModel:
    """A mean shape, its principal components with their standard deviations, and the profiles of each resolution."""

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    deviations: NDArray[np.float64]
    profiles: dict[int, Profiles]

    def limit(self, shape: Shape, count: int, most: float) -> Shape:
        """The nearest shape of `count` components, none beyond `most` standard deviations."""
        components, bounds = self.components[:count], most * self.deviations[:count]
        values = np.clip(components @ (shape.ravel() - self.mean), -bounds, bounds)
        return (self.mean + values @ components).reshape(-1, 2)

    def search(self, image: FloatImage, start: Shape, count: int, most: float) -> tuple[float, Shape]:
        """The cost and the shape that the search ends with."""
        shape, cost = start, np.inf
        for step, (mean, inverse) in self.profiles.items():
            smooth = blur(image, step)
            for _ in range(STEPS):
                long = read_profiles(smooth, shape, HALF + REACH, step)
                windows = normalize(np.lib.stride_tricks.sliding_window_view(long, 2 * HALF, axis=1))
                off = windows - mean[:, None]
                costs = np.einsum("pwi,pij,pwj->pw", off, inverse, off)
                best = costs.argmin(axis=1)
                cost = float(costs.min(axis=1).mean())
                shape = self.limit(shape + ((best - REACH) * step)[:, None] * find_normals(shape), count, most)
        return cost, shape


def find_lungs(image: FloatImage, model: ShapeModel, count: int, most: float) -> Mask:
    """The mask of the best of several searches."""
    mean = model.mean.reshape(-1, 2)
    centre = mean.mean(axis=0)
    starts = [centre + scale * (mean - centre) + (down, 0) for scale, down in product((0.85, 1.0, 1.1), (-16, 0, 16))]
    _, shape = min((model.search(image, start, count, most) for start in starts), key=lambda found: found[0])
    right, left = shape.reshape(2, POINTS, 2)
    lungs: Mask = draw.polygon2mask(image.shape, right) | draw.polygon2mask(image.shape, left)
    return lungs


def fit(train: list[Example], val: list[Example], seed: int) -> Predict:
    """Learn shapes and profiles on `train`, and choose the limits on `val`."""
    shapes = [np.concatenate([place_landmarks(lung) for lung in split_sides(example.lungs)]) for example in train]
    flat = np.stack([shape.ravel() for shape in shapes])
    _, values, components = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    profiles = {step: learn_profiles([blur(example.image, step) for example in train], shapes, step) for step in LEVELS}
    model = ShapeModel(flat.mean(axis=0), components, values / np.sqrt(len(flat)), profiles)
    limits = product((10, 20, 40), (1.5, 2.0, 3.0))
    return choose([partial(find_lungs, model=model, count=count, most=most) for count, most in limits], val)


if __name__ == "__main__":
    run("shape", fit)

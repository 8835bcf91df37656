"""Random augmentation of a training pair. Geometric augmentations apply to radiograph and masks alike.

All random numbers come from the given generator, so that the result is the same on every machine.
"""

import functools
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from lungmask_cli.config import AugmentationConfig
from lungmask_cli.imaging.radiograph import FloatImage

_GRID = 5
_LABEL_SHARE = 0.08
_MARGIN = 7  # the part of an image without masks, at each edge, in which no opacities are centred


def augment(
    image: FloatImage,
    mask: FloatImage,
    config: AugmentationConfig,
    rng: Generator,
    lungs: FloatImage | None = None,
) -> tuple[FloatImage, FloatImage]:
    """An augmented copy of an image (S, S) and its mask, both float32 in [0, 1].

    Args:
        image: the image.
        mask: (S, S), or (S, S, structures).
        config: the augmentations.
        rng: all random numbers come from it.
        lungs: (S, S), where opacities and fluid are painted, and no label; by default the mask, or its first structure.
    """
    if rng.random() < config.flip_probability:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if rng.random() < config.opacity_probability:
        image = _paint_opacities(image, _lungs(mask, lungs), rng)
    if config.effusion_probability and rng.random() < config.effusion_probability:
        image = _paint_effusion(image, _lungs(mask, lungs), rng)
    image, mask = _warp(image, mask, config, rng)
    image = _change_grey_values(image, config, rng)
    if rng.random() < config.border_probability:
        image = _collimate(image, _lungs(mask, lungs), rng)
    if rng.random() < config.label_probability:
        image = _burn_in_label(image, _lungs(mask, lungs), rng)
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(mask, np.float32)


def _lungs(mask: FloatImage, lungs: FloatImage | None) -> FloatImage:
    if lungs is not None:
        return lungs
    return mask if mask.ndim == 2 else mask[..., 0]


def augment_unlabelled(image: FloatImage, config: AugmentationConfig, rng: Generator) -> tuple[FloatImage, FloatImage]:
    """An augmented copy of an image (S, S) without masks, and one that is warped alike, but not changed otherwise.

    Nobody knows where its lungs are, so opacities are painted anywhere but near the edges, and no fluid is.
    """
    lungs = np.zeros_like(image)
    margin = image.shape[0] // _MARGIN
    lungs[margin:-margin, margin:-margin] = 1
    return augment(image, image, replace(config, effusion_probability=0.0), rng, lungs)


def _warp(
    image: FloatImage, mask: FloatImage, config: AugmentationConfig, rng: Generator
) -> tuple[FloatImage, FloatImage]:
    warps = (config.rotation_degrees, config.scale, config.aspect, config.shift, config.shear_degrees, config.elastic)
    if not any(warps):
        return image, mask
    size = image.shape[0]
    rows, columns = np.meshgrid(*(np.linspace(-0.5, 0.5, size, dtype=np.float32),) * 2, indexing="ij")
    matrix, shift = _affine(config, rng)
    source = np.tensordot(matrix, np.stack([rows, columns]), axes=1) + shift[:, None, None]
    if config.elastic:
        source = source + _smooth_fields(size, config.elastic, rng)
    pixels = (source + 0.5) * (size - 1)
    # Outside of the radiograph, the image is black or continues the pixels of the border.
    outside = "constant" if rng.random() < 0.5 else "nearest"
    warped: FloatImage = ndimage.map_coordinates(image, pixels, order=1, mode=outside, cval=0.0)
    structures = np.moveaxis(mask, -1, 0) if mask.ndim == 3 else mask[None]
    masks = [ndimage.map_coordinates(one, pixels, order=1, mode="constant", cval=0.0) for one in structures]
    return warped, np.stack(masks, -1) if mask.ndim == 3 else masks[0]


def _affine(config: AugmentationConfig, rng: Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    angle, shear = np.radians(rng.uniform(-1, 1, 2) * (config.rotation_degrees, config.shear_degrees))
    zoom = _factor(config.scale, rng)
    aspect = np.sqrt(_factor(config.aspect, rng))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    slant = np.array([[1, np.tan(shear)], [0, 1]])
    matrix = turn @ slant @ np.diag([zoom * aspect, zoom / aspect])
    return matrix.astype(np.float32), (rng.uniform(-1, 1, 2) * config.shift).astype(np.float32)


def _smooth_fields(size: int, largest: float, rng: Generator) -> NDArray[np.float32]:
    """Two smooth random fields (2, size, size) of about [-largest, largest]: a coarse grid, enlarged by splines."""
    coarse = rng.uniform(-largest, largest, (2, _GRID, _GRID)).astype(np.float32)
    basis, transposed = _spline_basis(size)
    return (basis @ coarse @ transposed).astype(np.float32, copy=False)


@functools.lru_cache(maxsize=4)
def _spline_basis(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(size, grid): the weight of each point of the coarse grid at each position, for a separable enlargement.

    Its transpose is a copy, because NumPy multiplies by a view far slower.
    """
    positions = np.linspace(0, _GRID - 1, size)
    units = [ndimage.map_coordinates(unit, [positions], order=3, mode="nearest") for unit in np.eye(_GRID)]
    return np.stack(units, 1).astype(np.float32), np.stack(units).astype(np.float32)


def _change_grey_values(image: FloatImage, config: AugmentationConfig, rng: Generator) -> FloatImage:
    if config.invert_probability and rng.random() < config.invert_probability:
        image = 1 - image
    if config.gamma:
        image = image ** np.float32(_factor(config.gamma, rng))
    if config.contrast or config.brightness:
        middle = image.mean()
        image = (image - middle) * np.float32(_factor(config.contrast, rng)) + middle
        image = image + np.float32(rng.uniform(-1, 1) * config.brightness)
    if config.blur and rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, rng.uniform(0, config.blur) * image.shape[0])
    if config.noise and rng.random() < 0.5:
        image = image + rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, config.noise))
    return np.clip(image, 0, 1)


def _paint_opacities(image: FloatImage, mask: FloatImage, rng: Generator) -> FloatImage:
    """One to five bright patches with irregular, soft edges, centred in the lungs: nodules, consolidation, effusion.

    Readers include such opacities in the lung, so the mask does not change.
    """
    rows, columns = np.nonzero(mask > 0.5)
    if not rows.size:
        return image
    size = image.shape[0]
    y, x = np.meshgrid(*(np.linspace(0, 1, size, dtype=np.float32),) * 2, indexing="ij")
    for _ in range(int(rng.integers(1, 6))):
        centre = int(rng.integers(rows.size))
        down, across = y - np.float32(rows[centre] / size), x - np.float32(columns[centre] / size)
        angle, softness = rng.uniform(0, np.pi), np.float32(rng.uniform(0.03, 0.4))
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        radii = np.exp(rng.uniform(np.log(0.02), np.log(0.22), 2)).astype(np.float32)
        edge, texture = _smooth_fields(size, 0.5, rng)
        along, beside = (across * cosine + down * sine) / radii[0], (down * cosine - across * sine) / radii[1]
        distance = np.hypot(along, beside) + edge
        patch = 1 / (1 + np.exp(np.clip((distance - 1) / softness, -30, 30)))
        strength, level = np.float32(rng.uniform(0.3, 1)), np.float32(rng.uniform(0.5, 1)) + texture / 5
        image = image + np.maximum(level - image, 0) * (strength * patch)
    return np.clip(image, 0, 1)


def _paint_effusion(image: FloatImage, mask: FloatImage, rng: Generator) -> FloatImage:
    """Fluid, or a dense lower lobe, in one lung: below a soft, sloping level, as bright as the surrounding tissue.

    It hides the diaphragm and, partly, the structures beside it. Readers include the lung down to the presumed
    position of the diaphragm, so the mask does not change.
    """
    lungs = mask > 0.5
    columns = np.flatnonzero(lungs.any(0))
    if not columns.size:
        return image
    size = image.shape[0]
    middle = int(columns.mean())
    lung = np.zeros_like(mask)
    side = slice(None, middle) if rng.random() < 0.5 else slice(middle, None)
    lung[:, side] = mask[:, side]
    rows = np.flatnonzero(lung.max(1) > 0.5)
    if not rows.size:
        return image
    y, x = np.meshgrid(*(np.arange(size, dtype=np.float32),) * 2, indexing="ij")
    level = rows[0] + rng.uniform(0.35, 0.95) * np.ptp(rows)
    rise = rng.uniform(-0.2, 0.6)  # towards the chest wall, where fluid rises higher
    wave = _smooth_fields(size, 0.04 * size, rng)[0]
    depth = y - level + np.float32(rise) * (np.abs(x - middle) - size / 5) + wave
    softness = np.float32(size * np.exp(rng.uniform(np.log(0.003), np.log(0.05))))
    share = 1 / (1 + np.exp(np.clip(-depth / softness, -30, 30)))
    share *= ndimage.gaussian_filter(lung, rng.uniform(0.002, 0.02) * size)
    tone = np.quantile(image[~lungs], rng.uniform(0.6, 0.98)) + wave / size
    return np.clip(image + np.maximum(tone - image, 0) * share * np.float32(rng.uniform(0.7, 1)), 0, 1)


def _collimate(image: FloatImage, mask: FloatImage, rng: Generator) -> FloatImage:
    """Black, or sometimes white, borders anywhere between the edge of the image and the lungs, which stay visible."""
    size = image.shape[0]
    rows, columns = np.nonzero(mask > 0)
    framed = np.full_like(image, 0.0 if rng.random() < 0.8 else 1.0)
    if not rows.size:
        return image
    top, left = (int(rng.integers(0, edge + 1)) for edge in (rows.min(), columns.min()))
    bottom, right = (int(rng.integers(edge + 1, size + 1)) for edge in (rows.max(), columns.max()))
    framed[top:bottom, left:right] = image[top:bottom, left:right]
    return framed


def _burn_in_label(image: FloatImage, mask: FloatImage, rng: Generator) -> FloatImage:
    """A bright bar with gaps, like a side marker or burnt-in text, outside of the lungs."""
    size = image.shape[0]
    height = int(rng.integers(2, max(3, size * _LABEL_SHARE / 2)))
    width = int(rng.integers(4, max(5, size * _LABEL_SHARE * 2)))
    top, left = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
    area = (slice(top, top + height), slice(left, left + width))
    letters = rng.random((height, width)) < 0.6
    labelled = image.copy()
    labelled[area] = np.where(letters & (mask[area] == 0), np.float32(rng.uniform(0.8, 1)), image[area])
    return labelled


def _factor(largest: float, rng: Generator) -> float:
    """A random factor between 1 / (1 + largest) and 1 + largest, below or above 1 with equal probability."""
    return float(np.exp(rng.uniform(-1, 1) * np.log1p(largest)))

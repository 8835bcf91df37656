"""Lungs by rules: thresholds, morphology and a watershed.

    python benchmarks/baselines/rules.py JSRT [--unseen MONTGOMERY ...] [-o runs/baselines]

The lungs are two large dark regions, one in each half, that do not touch the image's edge. The image is blurred, and a
local mean is taken away. Of many thresholds, the highest is used at which there is such a region in a half after an
opening, which cuts off what is joined by a narrow bridge. A closing fills ribs and vessels. From the eroded region, and
from what is outside of its convex hull, a watershed on the gradient then finds the boundary. The width of the local
mean, and how far the markers of the watershed are from the region and its hull, are those of the best mean Dice on
`val`; nothing is learnt from `train`.
"""

from functools import partial
from itertools import product

import numpy as np
from baseline import Example, Predict, choose, require, run
from numpy.typing import NDArray
from scipy import ndimage

from lungmask_cli.imaging.components import clean
from lungmask_cli.imaging.radiograph import FloatImage, Mask

measure, morphology = require("skimage.measure"), require("skimage.morphology")
segmentation = require("skimage.segmentation")

THRESHOLDS = np.linspace(0.05, 0.6, 34)  # shares of the pixels of the image
LEAST, MOST = 0.03, 0.25  # of the image, for each lung
BLUR, OPEN_BY, CLOSE_BY = 1.5, 4, 12  # pixels


def find_lungs(image: FloatImage, local: float, inwards: int, outwards: int) -> Mask:
    """The mask (H, W).

    Args:
        image: the radiograph.
        local: the width of the local mean, as a share of the image; none if 0.
        inwards: the distance in pixels of the inner markers from the boundary of the dark regions.
        outwards: that of the outer markers from the boundary of their convex hull.
    """
    inside, outside = np.zeros(image.shape, bool), np.ones(image.shape, bool)
    for lung in find_dark_regions(image, local):
        if lung.any():
            inside |= ndimage.binary_erosion(lung, iterations=inwards)
            outside &= ~ndimage.binary_dilation(morphology.convex_hull_image(lung), iterations=outwards)
    steepness = ndimage.gaussian_gradient_magnitude(image, 1)
    lungs: Mask = segmentation.watershed(steepness, inside + 2 * outside) == 1
    return lungs


def find_dark_regions(image: FloatImage, local: float) -> list[Mask]:
    """One of each half of the image, empty if there is none, closed and without holes."""
    flat = ndimage.gaussian_filter(image, BLUR)
    if local:
        flat -= ndimage.gaussian_filter(image, local * max(image.shape))
    found = np.zeros((2, *image.shape), bool)
    for threshold in np.quantile(flat, THRESHOLDS):
        dark = morphology.opening(flat < threshold, morphology.disk(OPEN_BY, decomposition="sequence"))
        for side, region in enumerate(find_regions(dark)):
            if region.any():
                found[side] = region
    return [close(region) for region in found]


def close(region: Mask) -> Mask:
    """The region without gaps and holes, of the same shape."""
    padded = np.pad(region, CLOSE_BY)
    closed = morphology.closing(padded, morphology.disk(CLOSE_BY, decomposition="sequence"))
    return clean(closed[CLOSE_BY:-CLOSE_BY, CLOSE_BY:-CLOSE_BY])


def find_regions(dark: Mask) -> NDArray[np.bool_]:
    """(2, H, W): in each half of the image, the largest region that may be a lung, if there is one."""
    height, width = dark.shape
    lungs = np.zeros((2, *dark.shape), bool)
    for region in sorted(measure.regionprops(measure.label(dark)), key=lambda region: region.area):
        top, left, bottom, right = region.bbox
        row, column = region.centroid
        inside = top > 0 and left > 0 and bottom < height and right < width
        central = abs(column / width - 0.5) < 0.35 and abs(row / height - 0.5) < 0.25
        if inside and central and LEAST < region.area / dark.size < MOST and right - left < width / 2:
            side = int(column > width / 2)
            lungs[side] = False
            lungs[side][region.slice] = region.image
    return lungs


def fit(train: list[Example], val: list[Example], seed: int) -> Predict:
    """Choose the settings on `val`."""
    grid = product((0.0, 0.25), (7, 10, 13), (8, 12, 16))
    return choose([partial(find_lungs, local=local, inwards=i, outwards=o) for local, i, o in grid], val)


if __name__ == "__main__":
    run("rules", fit)

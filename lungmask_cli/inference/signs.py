"""Signs of mask quality that are measured without a reference mask.

All signs are measured in a square of `GRID` x `GRID` pixels, whatever the size of the radiograph and of the network's
input. They therefore mean the same for all networks, and take the same time.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungmask_cli.imaging.components import PixelRuns
from lungmask_cli.imaging.filters import average, dilate
from lungmask_cli.imaging.geometry import Letterbox, resize, resize_runs
from lungmask_cli.imaging.morphology import bounding_box, erode, outline
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.inference.two_pass import Prediction
from lungmask_cli.models.network import THRESHOLD

GRID = 192
THUMBNAIL_SIDE = 12
_MARGIN = 0.15  # around the lungs, of their height and width: includes ribs, spine and diaphragm
_NEIGHBOURHOOD = 7  # pixels of the grid
_RING = 8
_LOW_CERTAINTY = 0.5
_SURELY_NOT, _SURELY = 0.1, 0.9
# Of opacities: pixels of the grid at the boundary that are left out; the quantile of the grey values inside the lungs
# that is taken as aerated; the brightness between aerated lung, 0, and the tissue around the lungs, 1; the certainty.
_RIM, _AERATED, _OPAQUE, _CERTAIN = 4, 0.2, 0.8, 0.99


@dataclass(frozen=True)
class GridPrediction:
    """A prediction and its mask in the square of `GRID` x `GRID` pixels.

    Args:
        image: the radiograph, float32 in [0, 1].
        passes: the probabilities of each pass that is part of the prediction, float32 in [0, 1].
        localization_passes: the probabilities of each localization pass.
        right: the patient's right lung, bool.
        left: the patient's left lung, bool.
        content: the rows and columns that the radiograph covers.
    """

    image: FloatImage
    passes: tuple[FloatImage, ...]
    localization_passes: tuple[FloatImage, ...]
    right: Mask
    left: Mask
    content: tuple[slice, slice]

    @functools.cached_property
    def lungs(self) -> Mask:
        """Both lungs."""
        return self.right | self.left

    @functools.cached_property
    def probability(self) -> FloatImage:
        """The mean of the passes."""
        return np.mean(self.passes, axis=0)

    @functools.cached_property
    def certainty_map(self) -> FloatImage:
        """0 where the probability is 0.5 in the whole neighbourhood, 1 where it is 0 or 1."""
        return average(np.abs(2 * self.probability - 1), _NEIGHBOURHOOD)

    @functools.cached_property
    def certainty(self) -> NDArray[np.float32]:
        """(boundary pixels,): the certainty at the boundary of the mask."""
        return self.certainty_map[outline(self.lungs)]

    @functools.cached_property
    def surroundings(self) -> NDArray[np.float32]:
        """The grey values of the radiograph in a ring around the lungs."""
        grown, border = (dilate(self.lungs, size) for size in (2 * _RING + 1, 3))
        return self.image[self.content][(grown & ~border)[self.content]]


def resample_to_grid(prediction: Prediction, right: PixelRuns, left: PixelRuns) -> GridPrediction:
    """Resample the prediction and the runs of its right and left lung to the square of the grid."""
    box = Letterbox(prediction.box.height, prediction.box.width, GRID)

    def resample(runs: PixelRuns) -> Mask:
        # Nearest-neighbour sampling is hundreds of times faster than averaging, and as good for these signs.
        square = np.zeros((GRID, GRID), np.bool_)
        square[box.region] = resize_runs(runs, *box.content).paint()
        return square

    passes, localization_passes = (
        tuple(one.place(GRID) for one in some) for some in (prediction.passes, prediction.localization_passes)
    )
    image = resize(prediction.image, GRID, GRID)
    return GridPrediction(image, passes, localization_passes, resample(right), resample(left), box.region)


@dataclass(frozen=True)
class PcaDistance:
    """The distance of a thumbnail from those of many chest radiographs, by principal component analysis.

    Args:
        mean: (n,), the mean thumbnail.
        components: (k, n), the first principal components, orthonormal.
        deviations: (k,), the standard deviation along each component.
        residual: the root mean square distance in all other directions together.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    deviations: NDArray[np.float64]
    residual: float

    def distance(self, thumbnail: NDArray[np.float32]) -> float:
        """The distance of a thumbnail (n,): about 1 for chest radiographs, larger for other images."""
        difference = thumbnail - self.mean
        scores = self.components @ difference
        residual = max(float(difference @ difference - scores @ scores), 0.0)
        return float(np.sqrt((np.mean((scores / self.deviations) ** 2) + residual / self.residual**2) / 2))


def shape_thumbnail(prediction: GridPrediction) -> NDArray[np.float32]:
    """(144,) in [0, 1]: the lungs, stretched to 12 x 12; the mask must not be empty."""
    return resize(prediction.lungs[bounding_box(prediction.lungs)], THUMBNAIL_SIDE, THUMBNAIL_SIDE).ravel()


def picture_thumbnail(prediction: GridPrediction) -> NDArray[np.float32]:
    """(144,) of mean 0: the radiograph around the lungs, stretched to 12 x 12; the mask must not be empty.

    Grey values are replaced by their ranks, so that contrast and gamma make no difference.
    """
    picture = prediction.image[prediction.content]
    (top, bottom), (first, last) = (
        (side.start - edge.start, side.stop - edge.start)
        for side, edge in zip(bounding_box(prediction.lungs), prediction.content, strict=True)
    )
    down, across = (int(np.ceil(_MARGIN * size)) for size in (bottom - top, last - first))
    padded = np.pad(picture, ((down, down), (across, across)), mode="edge")
    crop = padded[top : bottom + 2 * down, first : last + 2 * across]
    values = resize(crop, THUMBNAIL_SIDE, THUMBNAIL_SIDE).ravel()
    # Equal values share their mean rank; the ranks are scaled to mean 0 and a standard deviation of about 1.
    levels, counts = np.unique(np.round(values * 255), return_inverse=True, return_counts=True)[1:]
    ranks = (np.cumsum(counts) - counts / 2)[levels] / values.size
    return ((ranks - 0.5) * np.sqrt(12)).astype(np.float32)


def measure_signs(prediction: GridPrediction, shapes: PcaDistance, pictures: PcaDistance) -> dict[str, float]:
    """Measure each sign of a mask with at least one pixel.

    Args:
        prediction: the prediction and the mask.
        shapes: the PCA of thumbnails of lung masks.
        pictures: the PCA of thumbnails of radiographs.

    Returns:
        `picture` and `shape`: the PCA distance of the thumbnails, about 1 for chest radiographs.
        `smaller`: the share of the smaller lung in the lungs' area, 0 if there is only one.
        `area`: the share of the lungs in the image.
        `agreement`: the mean Dice of each later pass with the first; missing if there is only one pass.
        `ragged`: the share of the boundary where the certainty is below 0.5.
        `unsure`: the area whose probability is between 0.1 and 0.9, relative to the lungs' area.
        `inside`: the mean probability in the lungs.
        `darker`: how much darker the lungs are than their surroundings, in standard deviations of both together.
        `edge`: the share of the boundary that is at the image's edge.
    """
    area = np.count_nonzero(prediction.lungs)
    probability, certainty = prediction.probability, prediction.certainty
    lungs = prediction.lungs[prediction.content]
    at_edge = sum(np.count_nonzero(line) for line in (lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]))
    agreements = list(_agreements((*prediction.localization_passes, *prediction.passes)))
    return {
        "picture": pictures.distance(picture_thumbnail(prediction)),
        "smaller": float(min(np.count_nonzero(prediction.right), np.count_nonzero(prediction.left)) / area),
        "area": float(area / lungs.size),
        "shape": shapes.distance(shape_thumbnail(prediction)),
        **({"agreement": float(np.mean(agreements))} if agreements else {}),
        "ragged": float((certainty < _LOW_CERTAINTY).mean()),
        "unsure": float(np.count_nonzero((probability > _SURELY_NOT) & (probability < _SURELY)) / area),
        "inside": float(probability[prediction.lungs].mean()),
        "darker": _contrast(prediction),
        "edge": float(at_edge / certainty.size),
    }


def _agreements(passes: tuple[FloatImage, ...]) -> Iterator[float]:
    """The Dice of each later pass with the first."""
    first = passes[0] > THRESHOLD
    for probability in passes[1:]:
        later = probability > THRESHOLD
        total = np.count_nonzero(first) + np.count_nonzero(later)
        yield 2 * np.count_nonzero(first & later) / total if total else 1.0


def _contrast(prediction: GridPrediction) -> float:
    """How much darker the lungs are than a ring around them, in standard deviations of both together."""
    outside, inside = prediction.surroundings, prediction.image[prediction.lungs]
    if not outside.size:
        return 0.0
    return float((outside.mean() - inside.mean()) / (np.concatenate([outside, inside]).std() + 1e-3))


def measure_opacity(prediction: GridPrediction) -> float:
    """The area of opacities that the mask was drawn through, relative to the lungs' area.

    An opacity is a part of the lungs, away from the boundary, that is nearly as bright as the tissue around the lungs
    and in which the network is less certain than it is in aerated lung.
    """
    lungs = prediction.lungs
    inner = ~dilate(~lungs, 2 * _RIM + 1)
    if not inner.any() or not prediction.surroundings.size:
        return 0.0
    smoothed = average(prediction.image, _NEIGHBOURHOOD)
    dark, bright = np.quantile(smoothed[inner], _AERATED), np.median(prediction.surroundings)
    is_bright = smoothed > dark + _OPAQUE * (bright - dark)
    opacities = inner & is_bright & (prediction.certainty_map < _CERTAIN)
    opened = opacities & ~erode(~erode(opacities))
    return float(np.count_nonzero(opened) / np.count_nonzero(lungs))

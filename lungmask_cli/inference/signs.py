"""Signs of how good a mask is, measured without a hand-made one.

All of them are measured in a square of `GRID` pixels, whatever the size of the radiograph and of what the network
looks at, so that they mean the same for all networks, and cost the same.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lungmask_cli.imaging.geometry import Letterbox, resize, resize_nearest
from lungmask_cli.imaging.morphology import Box, bounding_box, outline
from lungmask_cli.imaging.radiograph import FloatImage, Mask
from lungmask_cli.inference.two_pass import Prediction
from lungmask_cli.models.network import THRESHOLD

GRID = 192
THUMBNAIL_SIDE = 12
_MARGIN = 0.15  # around the lungs, of their height and width: ribs, spine and diaphragm
_NEIGHBOURHOOD = 7  # pixels of the grid
_RING = 8
_LOW_CERTAINTY = 0.5
_SURELY_NOT, _SURELY = 0.1, 0.9


@dataclass(frozen=True)
class View:
    """A prediction and the mask that was made of it, both in the square of `GRID` x `GRID` pixels.

    Args:
        seen: the radiograph, float32 in [0, 1].
        looks: each drawing that counts, float32 in [0, 1].
        searches: each drawing that only told where to look.
        right: the patient's right lung, bool.
        left: the patient's left lung.
        content: the rows and columns that the image covers.
    """

    seen: FloatImage
    looks: tuple[FloatImage, ...]
    searches: tuple[FloatImage, ...]
    right: Mask
    left: Mask
    content: tuple[slice, slice]

    @functools.cached_property
    def lungs(self) -> Mask:
        """Both lungs."""
        both: Mask = self.right | self.left
        return both

    @functools.cached_property
    def probability(self) -> FloatImage:
        """The mean of all that count."""
        mean: FloatImage = np.mean(self.looks, axis=0)
        return mean

    @functools.cached_property
    def boundary(self) -> Mask:
        """The pixels of the lungs that have one of their four neighbours outside."""
        return outline(self.lungs)

    @property
    def confidence(self) -> float:
        """The mean certainty along the boundary; there must be lungs."""
        return float(self.certainty.mean())

    @functools.cached_property
    def certainty(self) -> NDArray[np.float32]:
        """(boundary pixels,): 0 where the probability is one half all around, 1 where it is 0 or 1."""
        around = ndimage.uniform_filter(np.abs(2 * self.probability - 1), _NEIGHBOURHOOD)
        values: NDArray[np.float32] = around[self.boundary]
        return values

    @functools.cached_property
    def box(self) -> Box:
        """The rows and columns that the lungs cover; there must be some."""
        return bounding_box(self.lungs)


def look_at(prediction: Prediction, right: Mask, left: Mask) -> View:
    """The prediction with the mask of its lungs, (H, W) bool each, in the square of the grid."""
    box = Letterbox(prediction.box.height, prediction.box.width, GRID)

    def small(mask: Mask) -> Mask:
        # The nearest pixel is found hundreds of times faster than a mean, and as good for what is counted here.
        square = np.zeros((GRID, GRID), np.bool_)
        square[box.region] = resize_nearest(mask, *box.content)
        return square

    looks, searches = (tuple(look.at(GRID) for look in drawn) for drawn in (prediction.looks, prediction.searches))
    return View(resize(prediction.seen, GRID, GRID), looks, searches, small(right), small(left), box.region)


@dataclass(frozen=True)
class PcaDistance:
    """How far thumbnails are from those of many chest radiographs, by their main ways to differ.

    Args:
        mean: (n,), the mean thumbnail.
        ways: (k, n), orthonormal, the directions in which they differ most.
        spread: (k,), the standard deviation along each.
        rest: the root mean square distance in all other directions together.
    """

    mean: NDArray[np.float64]
    ways: NDArray[np.float64]
    spread: NDArray[np.float64]
    rest: float

    def distance(self, thumbnail: NDArray[np.float32]) -> float:
        """Of a thumbnail (n,): 1 is usual for chest radiographs, and more is less like one."""
        apart = thumbnail - self.mean
        along = self.ways @ apart
        rest = max(float(apart @ apart - along @ along), 0.0)
        return float(np.sqrt((np.mean((along / self.spread) ** 2) + rest / self.rest**2) / 2))


def shape_thumbnail(view: View) -> NDArray[np.float32]:
    """(144,) in [0, 1]: the lungs, stretched to 12 x 12; there must be some."""
    return resize(view.lungs[view.box], THUMBNAIL_SIDE, THUMBNAIL_SIDE).ravel()


def picture_thumbnail(view: View) -> NDArray[np.float32]:
    """(144,) of mean 0: the radiograph around the lungs, stretched to 12 x 12; there must be lungs.

    Ranks stand for grey values, so that contrast and gamma make no difference.
    """
    picture = view.seen[view.content]
    (top, bottom), (first, last) = (
        (side.start - edge.start, side.stop - edge.start) for side, edge in zip(view.box, view.content, strict=True)
    )
    down, across = (int(np.ceil(_MARGIN * size)) for size in (bottom - top, last - first))
    padded = np.pad(picture, ((down, down), (across, across)), mode="edge")
    part = padded[top : bottom + 2 * down, first : last + 2 * across]
    return _ranks(resize(part, THUMBNAIL_SIDE, THUMBNAIL_SIDE).ravel())


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rank of each value among all, of mean 0 and about standard deviation 1; of those alike their mean rank."""
    levels, counts = np.unique(np.round(values * 255), return_inverse=True, return_counts=True)[1:]
    places = (np.cumsum(counts) - counts / 2)[levels] / values.size
    return ((places - 0.5) * np.sqrt(12)).astype(np.float32)


def measure(view: View, shapes: PcaDistance, pictures: PcaDistance) -> dict[str, float]:
    """The value of each sign in the view of a mask with at least one pixel.

    Args:
        view: the prediction and the mask.
        shapes: what thumbnails of lungs are like.
        pictures: what thumbnails of radiographs are like.

    Returns:
        `picture` and `shape`: how unlike those of chest radiographs the thumbnails are, 1 is usual.
        `smaller`: the share of the smaller lung in the lungs' area, 0 if there is but one.
        `area`: the share of the lungs in the image.
        `agreement`: the mean Dice of each later drawing with the first; missing where there is but one.
        `ragged`: the share of the boundary where the certainty is below a half.
        `unsure`: the area whose probability is neither below 0.1 nor above 0.9, by the lungs' area.
        `inside`: the mean probability in the lungs.
        `darker`: how much darker the lungs are than what is around them, in standard deviations of both together.
        `edge`: the share of the boundary that is at the image's edge.
    """
    area = np.count_nonzero(view.lungs)
    probability, certainty, image = view.probability, view.certainty, view.lungs[view.content]
    agreements = list(_agreements((*view.searches, *view.looks)))
    return {
        "picture": pictures.distance(picture_thumbnail(view)),
        "smaller": float(min(np.count_nonzero(view.right), np.count_nonzero(view.left)) / area),
        "area": float(area / image.size),
        "shape": shapes.distance(shape_thumbnail(view)),
        **({"agreement": float(np.mean(agreements))} if agreements else {}),
        "ragged": float((certainty < _LOW_CERTAINTY).mean()),
        "unsure": float(np.count_nonzero((probability > _SURELY_NOT) & (probability < _SURELY)) / area),
        "inside": float(probability[view.lungs].mean()),
        "darker": _contrast(view),
        "edge": float(_count_at_edge(image) / certainty.size),
    }


def _agreements(looks: tuple[FloatImage, ...]) -> Iterator[float]:
    """The Dice of each later drawing with the first."""
    first = looks[0] > THRESHOLD
    for look in looks[1:]:
        later = look > THRESHOLD
        total = np.count_nonzero(first) + np.count_nonzero(later)
        yield 2 * np.count_nonzero(first & later) / total if total else 1.0


def _contrast(view: View) -> float:
    """How much darker the lungs are than a ring around them, in standard deviations of both together."""
    ring = ndimage.maximum_filter(view.lungs, 2 * _RING + 1) & ~ndimage.maximum_filter(view.lungs, 3)
    around, within = view.seen[view.content][ring[view.content]], view.seen[view.lungs]
    if not around.size:
        return 0.0
    return float((around.mean() - within.mean()) / (np.concatenate([around, within]).std() + 1e-3))


def _count_at_edge(image: Mask) -> int:
    return sum(int(np.count_nonzero(line)) for line in (image[0], image[-1], image[:, 0], image[:, -1]))

"""Whether a mask can be that of two lungs: signs that a file was read in another sense than it was written."""

import numpy as np

from lungmask_cli.imaging.components import count_components
from lungmask_cli.imaging.radiograph import LungMask, Mask

EMPTY = "the mask is empty"
_SMALLEST_SIDE = 32  # in pixels; smaller masks are not judged
_MOST_AREA = 0.8  # of the image
_LEAST_THICKNESS = 0.01  # of the longer side
_MOST_COMPONENTS = 5
_MOST_ACROSS = 0.25  # of the right lung's pixels beyond the centre of the left lung


def find_implausible(mask: LungMask) -> tuple[str, ...]:
    """One sentence for each reason why the mask is hardly that of two lungs; none for small masks.

    Args:
        mask: at the size of the radiograph.
    """
    lungs = mask.lungs
    if not lungs.any():
        return (EMPTY,)
    if min(lungs.shape) < _SMALLEST_SIDE:
        return ()
    count = count_components(lungs)
    reasons = {
        "the mask covers all corners of the image: it may be inverted": _covers_corners(lungs),
        f"the mask covers more than {100 * _MOST_AREA:g} % of the image": np.count_nonzero(lungs)
        > _MOST_AREA * lungs.size,
        "the mask touches all four edges of the image": _touches_edges(lungs),
        "the mask is nowhere thicker than a line: it may be an outline": _is_thin(lungs),
        f"the mask has more than {_MOST_COMPONENTS} components": count > _MOST_COMPONENTS,
        "label 1 lies on both sides of label 2: it may be both lungs, see --labels": _is_across(mask),
    }
    return tuple(sentence for sentence, applies in reasons.items() if applies)


def _covers_corners(lungs: Mask) -> bool:
    return bool(lungs[[0, 0, -1, -1], [0, -1, 0, -1]].all())


def _touches_edges(lungs: Mask) -> bool:
    touches = all(edge.any() for edge in (lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1]))
    return touches and not _covers_corners(lungs)


def _is_thin(lungs: Mask) -> bool:
    """Whether no square with a side of a hundredth of the image's longer side lies within the mask.

    Parts of a square that lie outside the image count as mask.
    """
    side = max(3, round(_LEAST_THICKNESS * max(lungs.shape)))
    height, width = lungs.shape
    bands: Mask = np.all(lungs[: height // side * side].reshape(-1, side, width), axis=1)
    if _find_spans(bands.T, side).any():  # nearly all lungs contain a square whose rows are those of a band
        return False
    squares = np.pad(lungs, side // 2, constant_values=True)
    for _ in range(2):
        squares = _find_spans(squares, side).T
    return not squares.any()


def _find_spans(mask: Mask, length: int) -> Mask:
    """Where the next `length` rows of the mask (H, W) are all true: (H - length + 1, W)."""
    spans, reached = mask, 1
    while reached < length:  # twice as far in each step
        step = min(reached, length - reached)
        spans = spans[:-step] & spans[step:]
        reached += step
    return spans


def _is_across(mask: LungMask) -> bool:
    if not mask.labelled or mask.right is None or mask.left is None or not (mask.left.any() and mask.right.any()):
        return False
    centre = int(np.median(np.flatnonzero(mask.left) % mask.shape[1]))
    return bool(mask.right[:, centre:].sum() > _MOST_ACROSS * mask.right.sum())

"""What a mask of two lungs cannot have: holes, and specks beside the lungs."""

import numpy as np

from lungmask_cli.imaging.radiograph import Mask
from lungmask_cli.imaging.runs import fill_holes, find_runs

_SMALLEST_SHARE = 0.1


def clean(mask: Mask, most: int | None = 2) -> Mask:
    """The mask (H, W) with its holes filled and only its two largest parts kept.

    Of more than two, those near the middle column count as larger than those at the sides, such as the air beside the
    arms, of which only as much of the area counts as they are near. Parts with under a tenth of the largest one's area
    are dropped: they are specks, not lungs. Parts are 8-connected.

    Args:
        mask: what was drawn.
        most: how many parts are kept; None for all that are no specks.
    """
    filled = fill_holes(mask)
    runs = find_runs(filled)
    count, labels = runs.labels(diagonally=True)
    if count < 2:
        return filled
    areas = runs.areas(labels)
    near = 1 - np.abs(2 * runs.centres(labels) / mask.shape[1] - 1)
    largest = np.argsort(areas * near)[::-1][:most]
    kept = [label for label in largest if areas[label] >= _SMALLEST_SHARE * areas.max()]
    return runs.paint(filled, ~np.isin(labels, kept), value=False)

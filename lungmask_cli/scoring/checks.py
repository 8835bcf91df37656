"""Signs that two masks are not compared in the sense in which they were made."""

from collections.abc import Callable, Mapping

import numpy as np

from lungmask_cli.imaging.plausibility import EMPTY, find_implausible
from lungmask_cli.imaging.radiograph import LungMask, Mask
from lungmask_cli.imaging.sides import split_sides
from lungmask_cli.scoring.overlap import overlap

_SIDE = 128  # in pixels, of the reduced masks that are compared
_POOR_DICE = 0.8
_FAR_BETTER, _LEAST_TURNED = 0.2, 0.7  # in Dice
_LEAST_SIDE, _MOST_REST = 0.7, 0.1  # the covered shares of the one lung and of the other lung
_TURNS: Mapping[str, Callable[[Mask], Mask]] = {
    "rows and columns are exchanged, as in NIfTI files written from an array (rows, columns)": np.transpose,
    "it is turned by 90 degrees": np.rot90,
    "it is turned by 270 degrees": lambda mask: np.rot90(mask, 3),
    "it is turned by 180 degrees": lambda mask: np.rot90(mask, 2),
    "it is turned upside down": np.flipud,
}


def check_mask(mask: LungMask) -> tuple[str, ...]:
    """One sentence for each reason why the mask is hardly that of two lungs; empty masks are counted elsewhere."""
    return tuple(sentence for sentence in find_implausible(mask) if sentence != EMPTY)


def check_orientation(predicted: Mask, truth: Mask) -> tuple[str, ...]:
    """A sentence if the masks (H, W) agree poorly as they are, and far better when one is turned or transposed."""
    one, other = _reduce(predicted), _reduce(truth)
    dice = overlap(one, other).dice
    if not dice < _POOR_DICE:  # NaN if both are empty
        return ()
    turned = {name: turn(one) for name, turn in _TURNS.items()}
    dices = {name: overlap(mask, other).dice for name, mask in turned.items() if mask.shape == other.shape}
    best = max(dices, key=lambda name: dices[name])
    far_better = dices[best] > max(_LEAST_TURNED, dice + _FAR_BETTER)
    return (f"agrees far better with its reference when {best}",) if far_better else ()


def is_one_lung_of(one: Mask, both: Mask) -> bool:
    """Whether the first mask (H, W) covers one of the two lungs in the second, and hardly any of the other."""
    one, both = _reduce(one), _reduce(both)
    if not _MOST_REST * both.sum() < one.sum() < both.sum():
        return False
    sides = split_sides(both)
    if not all(side.sum() > _MOST_REST * both.sum() for side in sides):
        return False
    shares = sorted(float(one[side].mean()) for side in sides)
    return shares[0] <= _MOST_REST and shares[1] >= _LEAST_SIDE


def _reduce(mask: Mask) -> Mask:
    step = max(1, max(mask.shape) // _SIDE)
    return mask[::step, ::step]

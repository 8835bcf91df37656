"""Where predicted and reference masks of `accuracy.py --keep FOLDER` differ, over all images, in one picture.

    python benchmarks/where.py FOLDER -o where.png [--only PATTERN]

Every reference mask is scaled to the same frame. In the picture, the mean reference mask is grey, missed area is blue,
and added area is orange. Both are printed as shares of the reference area, mean and median: readers who draw different
borders cause a difference that is similar on all images. --only selects images by name, such as '*_0.png' for those of
Montgomery and Shenzhen without tuberculosis.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungmask_cli.formats.masks import read_masks

SIDE = 512
MARGIN = 0.08
# A difference in every fourth image is drawn at full strength.
FULL_STRENGTH = 0.25
LEFT_OUT, ADDED = np.array([60, 140, 255]), np.array([255, 140, 0])

Picture = NDArray[np.float32]


def framed(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Picture:
    """The crop of `mask` around the lungs of the reference mask, (SIDE, SIDE) in [0, 1]."""
    (top, bottom), (left, right) = (
        (indices[0], indices[-1] + 1) for indices in map(np.flatnonzero, (truth.any(1), truth.any(0)))
    )
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    box = (left - across, top - down, right + across, bottom + down)
    picture = Image.fromarray(mask.astype(np.float32)).transform(
        (SIDE, SIDE), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR
    )
    return np.asarray(picture, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", default="*.png", metavar="PATTERN")
    options = parser.parse_args()
    paths = sorted(path for path in (options.folder / "truth").rglob("*.png") if path.match(options.only))
    sums = np.zeros((3, SIDE, SIDE), np.float32)
    shares = []
    for path in paths:
        mask, truth = (
            read_masks([options.folder / part / path.relative_to(options.folder / "truth")])[0] > 0
            for part in ("masks", "truth")
        )
        parts = (truth, truth & ~mask, mask & ~truth)
        sums += np.stack([framed(part, truth) for part in parts])
        shares.append([part.sum() / truth.sum() for part in parts[1:]])
    grey, left_out, added = sums[..., None] / len(paths)
    picture = 110 * grey + sum(
        np.minimum(part / FULL_STRENGTH, 1) * (colour - 110 * grey)
        for part, colour in ((left_out, LEFT_OUT), (added, ADDED))
    )
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(options.output)
    for name, values in zip(("left out", "added"), np.transpose(shares), strict=True):
        print(f"{name}: {values.mean():.4f} of the truth's area, median {np.median(values):.4f}, {len(paths)} images")


if __name__ == "__main__":
    main()

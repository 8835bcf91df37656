"""Synthetic radiographs with known lungs: for tests, never for claims."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Phantom:
    """`image` (H, W) in [0, 1], bones bright; `left` and `right` lung, the patient's, and `heart`, (H, W) bool."""

    image: NDArray[np.float32]
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]
    heart: NDArray[np.bool_]

    @property
    def lungs(self) -> NDArray[np.bool_]:
        return self.left | self.right


def draw_phantom(height: int = 128, width: int = 128, seed: int = 0, heart: bool = False) -> Phantom:
    """A bright body with two dark elliptic lungs, a brighter spine between them, and a little noise.

    The image shows the bright elliptic heart only with `heart`; the lungs are the same, except for what it hides.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    middle, centre_row = 0.5 + rng.uniform(-0.04, 0.04), 0.5 + rng.uniform(-0.05, 0.05)
    height_radius, width_radius = 0.3 + rng.uniform(-0.04, 0.04), 0.14 + rng.uniform(-0.02, 0.02)

    def lung(centre: float) -> NDArray[np.bool_]:
        return ((y - centre_row) / height_radius) ** 2 + ((x - centre) / width_radius) ** 2 < 1

    right, left = lung(middle - 0.21), lung(middle + 0.21)
    body = ((y - 0.55) / 0.6) ** 2 + ((x - middle) / 0.48) ** 2 < 1
    heart_mask = ((y - centre_row - 0.12) / 0.15) ** 2 + ((x - middle - 0.04) / 0.14) ** 2 < 1
    if heart:
        right, left = right & ~heart_mask, left & ~heart_mask
    image = 0.05 + 0.6 * body - 0.4 * (left | right) + 0.2 * (np.abs(x - middle) < 0.05) * body
    if heart:
        image[heart_mask] = 0.95
    noisy = image + rng.normal(0, 0.02, image.shape)
    return Phantom(np.clip(noisy, 0, 1).astype(np.float32), left, right, heart_mask)


def save_grey(path: Path, image: NDArray[np.float32]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(path)
    return path


def save_mask(path: Path, mask: NDArray[np.bool_]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(path)
    return path


def write_heart_set(folder: Path, count: int, size: int = 64, drawn: int | None = None) -> Path:
    """A data set of phantoms with hearts as images/, masks/ and hearts/, which has only the first `drawn` of them."""
    for number in range(count):
        phantom = draw_phantom(size, size, seed=number, heart=True)
        name = f"p{number:03d}.png"
        save_grey(folder / "images" / name, phantom.image)
        save_mask(folder / "masks" / name, phantom.lungs)
        if drawn is None or number < drawn:
            save_mask(folder / "hearts" / name, phantom.heart)
    return folder


def write_plain_set(folder: Path, count: int, size: int = 64) -> Path:
    """A data set of `count` phantoms as images/ and masks/."""
    for number in range(count):
        phantom = draw_phantom(size, size, seed=number)
        save_grey(folder / "images" / f"p{number:03d}.png", phantom.image)
        save_mask(folder / "masks" / f"p{number:03d}.png", phantom.lungs)
    return folder


def write_jsrt_set(folder: Path, count: int) -> Path:
    """A data set of `count` phantoms as JSRT's .IMG files and SCR's mask folders."""
    for number in range(1, count + 1):
        phantom = draw_phantom(256, 256, seed=number)
        name, fold = f"JPCLN{number:03d}", "fold1" if number % 2 else "fold2"
        large = np.kron(phantom.image, np.ones((8, 8), np.float32))
        (folder / "All247images").mkdir(parents=True, exist_ok=True)
        (4095 - np.round(large * 4095)).astype(">u2").tofile(folder / "All247images" / f"{name}.IMG")
        for side, mask in (("left lung", phantom.left), ("right lung", phantom.right)):
            save_mask(folder / "scratch" / fold / "masks" / side / f"{name}.gif", np.kron(mask, np.ones((4, 4), bool)))
        heart = folder / "scratch" / fold / "masks" / "heart" / f"{name}.gif"
        save_mask(heart, np.kron(phantom.heart, np.ones((4, 4), bool)))
    return folder

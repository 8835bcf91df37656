"""Pictures of a training run: augmented training images, and the predicted masks of validation images."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lungmask_cli.config import AugmentationConfig
from lungmask_cli.formats.png import write_picture
from lungmask_cli.imaging.overlay import draw_overlay
from lungmask_cli.imaging.radiograph import FloatImage
from lungmask_cli.training.augmentation import augment, augment_unlabelled
from lungmask_cli.training.batches import RadiographBatches

PROGRESS = "progress"
_STRIP_IMAGES = 4
_STRIPS = 10
COLUMNS = 6
_TEXT_HEIGHT = 16
_CELL = 192


def draw_augmentations(
    pairs: Sequence[tuple[FloatImage, FloatImage]], config: AugmentationConfig, seed: int
) -> Image.Image:
    """A sheet of images with their masks: a row without augmentation, one for each augmentation, and two with all.

    In its own row, an augmentation that has a probability is applied to every image.

    Args:
        pairs: images (S, S) and masks (S, S, structures), float32 in [0, 1], of 0 structures for a radiograph without
            masks; they are repeated if there are fewer than `COLUMNS`.
        config: the augmentations.
        seed: seed of the augmentations.
    """
    used = {name: value for name, value in asdict(config).items() if value}
    rows = [("original", AugmentationConfig())]
    for name, value in used.items():
        strength = 1.0 if name.endswith("_probability") else value
        rows.append((f"{name} {value:g}", replace(AugmentationConfig(), **{name: strength})))
    rows += [("all combined", config)] * (2 if used else 0)
    sheet = Image.new("RGB", (COLUMNS * _CELL, len(rows) * (_CELL + _TEXT_HEIGHT)), "black")
    for line, (title, augmentations) in enumerate(rows):
        top = line * (_CELL + _TEXT_HEIGHT)
        ImageDraw.Draw(sheet).text((4, top + 2), title, fill="white")
        for column in range(COLUMNS):
            image, mask = pairs[column % len(pairs)]
            rng = np.random.default_rng((seed, line, column))
            if mask.shape[-1]:
                image, mask = augment(image, mask, augmentations, rng)
                lungs = mask[..., 0] > 0.5
            else:
                image, _ = augment_unlabelled(image, augmentations, rng)
                lungs = np.zeros(image.shape, bool)
            cell = draw_overlay(image, lungs).resize((_CELL, _CELL), Image.Resampling.BILINEAR)
            sheet.paste(cell, (column * _CELL, top + _TEXT_HEIGHT))
    return sheet


class ProgressStrips(keras.callbacks.Callback):
    """Draws the masks of the first validation images into RUN/progress, about ten times in a run.

    Predicted masks are blue, reference masks orange.
    """

    def __init__(self, validation: RadiographBatches, folder: Path, epochs: int) -> None:
        super().__init__()
        self._pairs = validation.first_pairs(_STRIP_IMAGES)
        self._folder = folder / PROGRESS
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw a strip in every tenth part of the run, and after the last epoch."""
        if epoch + 1 != self._epochs and epoch % max(1, self._epochs // _STRIPS):
            return
        images = np.stack([image for image, _ in self._pairs])[..., None]
        predicted: NDArray[np.float32] = keras.ops.convert_to_numpy(self.model(images, training=False))[..., 0]
        cells = [
            draw_overlay(image, mask > 0.5, truth[..., 0] > 0.5)
            for (image, truth), mask in zip(self._pairs, predicted, strict=True)
        ]
        strip = Image.new("RGB", (sum(cell.width for cell in cells), cells[0].height))
        for index, cell in enumerate(cells):
            strip.paste(cell, (index * cell.width, 0))
        write_picture(self._folder / f"epoch_{epoch + 1:04d}.png", strip)

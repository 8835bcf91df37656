"""Training batches as a Keras `PyDataset`, which every Keras backend reads."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import AugmentationConfig
from lungmask_cli.datasets.prepared import Entry, PreparedSet
from lungmask_cli.imaging.geometry import resize
from lungmask_cli.imaging.masks import read_mask
from lungmask_cli.imaging.radiograph import FloatImage
from lungmask_cli.imaging.read import read_radiograph
from lungmask_cli.training.augmentation import augment

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


def read_pair(prepared: PreparedSet, entry: Entry) -> tuple[FloatImage, FloatImage]:
    """Image and mask of one prepared pair, both (size, size) float32 in [0, 1].

    Raises:
        ImageError: a file is broken.
    """
    pixels = read_radiograph(prepared.folder / entry.image).pixels
    return pixels.astype(np.float32) / np.float32(65535), read_mask(prepared.folder / entry.mask).astype(np.float32)


def _stack(images: tuple[FloatImage, ...]) -> FloatImage:
    stacked: FloatImage = np.stack(images)[..., None]
    return stacked


class RadiographBatches(keras.utils.PyDataset):
    """Batches of (B, S, S, 1) radiographs and masks in [0, 1], held in memory at the size of the network.

    Masks that are made smaller keep the share of lung in each pixel, which the network learns to draw; cut at one
    half after enlarging, that keeps the boundary where it was. With `augmentation` the order and the changes are
    drawn anew for each epoch from (seed, epoch, image) alone, and a rest smaller than a batch waits for the next epoch.
    A run that goes on begins with another `epoch` than 0.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        entries: list[Entry],
        image_size: int,
        batch_size: int,
        augmentation: AugmentationConfig | None = None,
        seed: int = 0,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self._images = np.empty((len(entries), image_size, image_size), np.uint16)
        self._masks = np.empty((len(entries), image_size, image_size), np.uint8)
        for row, entry in enumerate(entries):
            image, mask = read_pair(prepared, entry)
            self._images[row] = np.round(resize(image, image_size, image_size) * 65535)
            self._masks[row] = np.round(resize(mask, image_size, image_size) * 255)
        self._batch_size = min(batch_size, len(entries))
        self._augmentation = augmentation
        self._seed = seed
        self._epoch = epoch
        self._order = self._draw_order()

    def __len__(self) -> int:
        if self._augmentation is None:
            return math.ceil(len(self._images) / self._batch_size)
        return len(self._images) // self._batch_size

    def __getitem__(self, index: int) -> Batch:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        pairs = [self._pair(int(row)) for row in rows]
        images, masks = zip(*pairs, strict=True)
        return _stack(images), _stack(masks)

    def first(self, count: int) -> list[tuple[FloatImage, FloatImage]]:
        """The first images and masks, unchanged, (S, S) each."""
        return [self._stored(row) for row in range(min(count, len(self._images)))]

    def on_epoch_end(self) -> None:
        """Draw a new order and new changes."""
        self._epoch += 1
        self._order = self._draw_order()

    def _pair(self, row: int) -> tuple[FloatImage, FloatImage]:
        image, mask = self._stored(row)
        if self._augmentation is None:
            return image, mask
        return augment(image, mask, self._augmentation, np.random.default_rng((self._seed, self._epoch, row)))

    def _stored(self, row: int) -> tuple[FloatImage, FloatImage]:
        return self._images[row].astype(np.float32) / 65535, self._masks[row].astype(np.float32) / 255

    def _draw_order(self) -> NDArray[Any]:
        if self._augmentation is None:
            return np.arange(len(self._images))
        return np.random.default_rng((self._seed, self._epoch)).permutation(len(self._images))

"""Training batches as a Keras `PyDataset`, which every Keras backend reads."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import NO_CONTRAST, AugmentationConfig
from lungmask_cli.datasets.prepared import Entry, PreparedSet
from lungmask_cli.errors import ImageError
from lungmask_cli.formats.masks import read_lung_mask
from lungmask_cli.formats.radiographs import read_radiograph
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.geometry import resize
from lungmask_cli.imaging.radiograph import FloatImage
from lungmask_cli.training.augmentation import augment

_BYTES_PER_PIXEL = 3  # of image and mask
Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


def read_pair(prepared: PreparedSet, entry: Entry) -> tuple[FloatImage, FloatImage]:
    """Image and mask of one prepared pair, both (size, size) float32 in [0, 1].

    Raises:
        ImageError: a file is broken.
    """
    pixels = read_radiograph(prepared.folder / entry.image).pixels
    lungs = read_lung_mask(prepared.folder / entry.mask).lungs
    return pixels.astype(np.float32) / np.float32(65535), lungs.astype(np.float32)


def load_pair(prepared: PreparedSet, entry: Entry, size: int) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Image and mask of one prepared pair at the size of the network, (size, size) each, as they are kept in memory.

    Masks that are made smaller keep the share of lung in each pixel, which the network learns to draw; cut at one
    half after enlarging, that keeps the boundary where it was.

    Raises:
        ImageError: a file is broken.
    """
    image, mask = (resize(pixels, size, size) for pixels in read_pair(prepared, entry))
    return np.round(image * 65535).astype(np.uint16), np.round(mask * 255).astype(np.uint8)


class RadiographBatches(keras.utils.PyDataset):
    """Batches of (B, S, S, 1) radiographs and masks in [0, 1], held in memory or read again in each epoch.

    With `augmentation` the order and the changes are drawn anew for each epoch from (seed, epoch, image) alone, and a
    rest smaller than a batch waits for the next epoch.

    Args:
        prepared: the data.
        entries: those of its images that are to be used.
        image_size: S.
        batch_size: B; less if there are fewer images.
        augmentation: changes to make; None for images that are to be judged.
        seed: of order and changes.
        epoch: from 1; whoever trains counts it on.
        memory_gb: read from disk in each epoch where all images would take more.
        workers: threads that make batches.
        contrast: normalisation of what the network sees.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        entries: Sequence[Entry],
        image_size: int,
        batch_size: int,
        augmentation: AugmentationConfig | None = None,
        seed: int = 0,
        epoch: int = 1,
        memory_gb: float = math.inf,
        workers: int = 1,
        contrast: str = NO_CONTRAST,
    ) -> None:
        super().__init__(workers=workers)
        self._prepared = prepared
        self._entries = entries
        self._contrast = contrast
        self._augmentation = augmentation
        self._seed = seed
        self.epoch = epoch
        self.batch_size = min(batch_size, len(entries))
        self.image_size = image_size
        self.failure: ImageError | None = None
        self.is_in_memory = len(entries) * image_size**2 * _BYTES_PER_PIXEL <= memory_gb * 2**30
        if self.is_in_memory:
            self._images = np.empty((len(entries), image_size, image_size), np.uint16)
            self._masks = np.empty((len(entries), image_size, image_size), np.uint8)
            for row, entry in enumerate(entries):
                self._images[row], self._masks[row] = load_pair(prepared, entry, image_size)

    def __len__(self) -> int:
        if self._augmentation is None:
            return math.ceil(len(self._entries) / self.batch_size)
        return len(self._entries) // self.batch_size

    def __getitem__(self, index: int) -> Batch:
        return self.share(self.epoch, index)

    def share(self, epoch: int, index: int, part: int = 0, of: int = 1) -> Batch:
        """One of so many equal parts of a batch; of a rest, parts may be smaller by one image, or empty.

        Raises:
            ImageError: a file has become unreadable, which `failure` then says, too.
        """
        rows = self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        rows = rows[part * len(rows) // of : (part + 1) * len(rows) // of]
        images = np.empty((len(rows), self.image_size, self.image_size, 1), np.float32)
        masks = np.empty_like(images)
        for place, row in enumerate(rows):
            try:
                images[place, ..., 0], masks[place, ..., 0] = self._pair(epoch, int(row))
            except ImageError as error:  # threads and backends wrap it until nobody can read it
                self.failure = error
                raise
        return images, masks

    def first(self, count: int) -> list[tuple[FloatImage, FloatImage]]:
        """The first images and masks, (S, S) each."""
        return [self._pair(self.epoch, row) for row in range(min(count, len(self._entries)))]

    def _pair(self, epoch: int, row: int) -> tuple[FloatImage, FloatImage]:
        image, mask = self._stored(row)
        if self._augmentation is not None:
            random = np.random.default_rng((self._seed, epoch, row))
            image, mask = augment(image, mask, self._augmentation, random)
        return enhance(image, self._contrast), mask

    def _stored(self, row: int) -> tuple[FloatImage, FloatImage]:
        if self.is_in_memory:
            image, mask = self._images[row], self._masks[row]
        else:
            image, mask = load_pair(self._prepared, self._entries[row], self.image_size)
        return image.astype(np.float32) / 65535, mask.astype(np.float32) / 255

    def _order(self, epoch: int) -> NDArray[Any]:
        if self._augmentation is None:
            return np.arange(len(self._entries))
        return np.random.default_rng((self._seed, epoch)).permutation(len(self._entries))

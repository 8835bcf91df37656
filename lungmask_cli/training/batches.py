"""Training batches as a Keras `PyDataset`, which works with every Keras backend."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from lungmask_cli.config import HEART, LUNGS, TrainConfig
from lungmask_cli.datasets.prepared import Entry, PreparedSet
from lungmask_cli.errors import ImageError
from lungmask_cli.imaging.contrast import enhance
from lungmask_cli.imaging.geometry import resize
from lungmask_cli.imaging.radiograph import FloatImage
from lungmask_cli.training.augmentation import augment

_BYTES_PER_PIXEL = 3  # of image and mask; hearts are few
_NOT_DRAWN = -1.0
Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
Pair = tuple[NDArray[np.uint16], NDArray[np.uint8]]


def load_pair(prepared: PreparedSet, entry: Entry, size: int, structures: Sequence[str] = (LUNGS,)) -> Pair:
    """Image and masks of one prepared pair at the input size of the network.

    Args:
        prepared: the data.
        entry: the pair.
        size: the input size.
        structures: those to load; the heart is left out where it is not drawn.

    Returns:
        The image (size, size), and the masks (size, size, structures).

    A pixel of a reduced mask is the fraction of it that is lung, which the network learns to predict. When the
    prediction is enlarged and thresholded at 0.5, the boundary is where it was.

    Raises:
        ImageError: a file is missing or damaged.
    """
    image, *masks = prepared.read_pair(entry)
    if HEART in structures and entry.heart:
        masks.append(prepared.read_heart(entry))
    image, *masks = (resize(pixels, size, size) for pixels in (image, *masks))
    return np.round(image * 65535).astype(np.uint16), np.round(np.stack(masks, -1) * 255).astype(np.uint8)


class RadiographBatches(keras.utils.PyDataset):
    """Batches of radiographs and masks in [0, 1], held in memory or read from disk in each epoch.

    Radiographs are (B, S, S, 1), masks (B, S, S, structures), with -1 where a structure is not drawn.

    Training batches are shuffled and augmented. Order and augmentations depend on (seed, epoch, image) alone, and
    images that do not fill a last batch are left out in that epoch. With `balance`, images of small data sets are
    repeated, and some of large ones are left out.

    Args:
        prepared: the data.
        entries: the images to use.
        config: input size, batch size (at most the number of images), contrast normalisation, augmentation and seed.
        is_training: shuffle and augment.
        memory_gb: read from disk in each epoch if the images would take more memory.
        workers: the number of threads that make batches.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        entries: Sequence[Entry],
        config: TrainConfig,
        is_training: bool = False,
        memory_gb: float = math.inf,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers)
        self._prepared = prepared
        self._entries = entries
        self._config = config
        self._is_training = is_training
        self.epoch = 1  # is set by the training loop
        self.batch_size = min(config.batch_size, len(entries))
        self.image_size = size = config.image_size
        self.structures = len(config.structures)
        self.read_error: ImageError | None = None
        self._repeats = _expected_repeats([entry.origin for entry in entries], config.balance)
        self.is_in_memory = len(entries) * size**2 * _BYTES_PER_PIXEL <= memory_gb * 2**30
        if self.is_in_memory:
            self._pairs = [load_pair(prepared, entry, size, config.structures) for entry in entries]

    def __len__(self) -> int:
        if not self._is_training:
            return math.ceil(len(self._entries) / self.batch_size)
        return len(self._entries) // self.batch_size

    def __getitem__(self, index: int) -> Batch:
        return self.shard(self.epoch, index)

    def shard(self, epoch: int, index: int, shard: int = 0, shards: int = 1) -> Batch:
        """One of several equal parts of a batch. Parts of an incomplete batch differ by one image, or are empty.

        Raises:
            ImageError: a file has become unreadable. The error is kept in `read_error`, too.
        """
        rows = self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        rows = rows[shard * len(rows) // shards : (shard + 1) * len(rows) // shards]
        images = np.empty((len(rows), self.image_size, self.image_size, 1), np.float32)
        masks = np.full((*images.shape[:3], self.structures), _NOT_DRAWN, np.float32)
        for position, row in enumerate(rows):
            try:
                image, drawn = self._pair(epoch, int(row))
            except ImageError as error:  # threads and backends wrap it in errors that do not name the file
                self.read_error = error
                raise
            images[position, ..., 0], masks[position, ..., : drawn.shape[-1]] = image, drawn
        return images, masks

    def _order(self, epoch: int) -> NDArray[np.intp]:
        """The row of each image in the order of the epoch; the k-th repetition of row r is r + k * number of rows."""
        count = len(self._entries)
        if not self._is_training:
            return np.arange(count)
        rng = np.random.default_rng((self._config.seed, epoch))
        if not self._config.balance:
            return rng.permutation(count)
        # Systematic sampling: each row as often as expected, rounded up or down, and as many rows as there are images.
        rows = rng.permutation(count)
        ends = np.floor(np.cumsum(self._repeats[rows]) + rng.random()).astype(np.intp)
        ends[-1] = count
        repeats = np.diff(ends, prepend=0)
        repetition = np.arange(count) - np.repeat(ends - repeats, repeats)
        return rng.permutation(np.repeat(rows, repeats) + count * repetition)

    def first_pairs(self, count: int) -> list[tuple[FloatImage, FloatImage]]:
        """The first images (S, S) and their masks (S, S, structures), without the heart where it is not drawn."""
        return [self._pair(self.epoch, row) for row in range(min(count, len(self._entries)))]

    def _pair(self, epoch: int, number: int) -> tuple[FloatImage, FloatImage]:
        """Image and masks of a row or, beyond the last row, of its repetition, which is augmented differently."""
        row = number % len(self._entries)
        if self.is_in_memory:
            stored = self._pairs[row]
        else:
            stored = load_pair(self._prepared, self._entries[row], self.image_size, self._config.structures)
        image: FloatImage = stored[0].astype(np.float32) / np.float32(65535)
        mask: FloatImage = stored[1].astype(np.float32) / np.float32(255)
        if self._is_training:
            rng = np.random.default_rng((self._config.seed, epoch, number))
            image, mask = augment(image, mask, self._config.augmentation, rng)
        return enhance(image, self._config.contrast), mask


def _expected_repeats(origins: Sequence[str], balance: float) -> NDArray[np.float64]:
    """How often each image is shown in an epoch of as many images, by the data set that it comes from."""
    _, numbers, sizes = np.unique(origins, return_inverse=True, return_counts=True)
    shares = sizes ** (1 - balance)
    expected: NDArray[np.float64] = (shares / shares.sum() * len(origins) / sizes)[numbers]
    return expected

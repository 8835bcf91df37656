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
from lungmask_cli.training.augmentation import augment, augment_unlabelled

_BYTES_PER_PIXEL = 3  # of image and mask; hearts are few
_NOT_DRAWN = -1.0
_UNLABELLED = 1  # the last part of seeds, so that radiographs without masks have random numbers of their own
Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
Pair = tuple[NDArray[np.uint16], NDArray[np.uint8]]


def load_pair(prepared: PreparedSet, entry: Entry, size: int, structures: Sequence[str] = (LUNGS,)) -> Pair:
    """Image and masks of one prepared pair at the input size of the network.

    Args:
        prepared: the data.
        entry: the pair, or a radiograph without masks.
        size: the input size.
        structures: those to load; the heart is left out where it is not drawn.

    Returns:
        The image (size, size), and the masks (size, size, structures); 0 structures for a radiograph without masks.

    A pixel of a reduced mask is the fraction of it that is lung, which the network learns to predict. When the
    prediction is enlarged and thresholded at 0.5, the boundary is where it was.

    Raises:
        ImageError: a file is missing or damaged.
    """
    if not entry.mask:
        image = resize(prepared.read_image(entry), size, size)
        return np.round(image * 65535).astype(np.uint16), np.empty((size, size, 0), np.uint8)
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

    With radiographs without masks, each batch ends with some of them (`count_in_batch`), one after the other through
    all epochs, in a new order each time. If they are used for consistency, all radiographs are (B, S, S, 2): the second
    channel of these is the same radiograph before its grey values were changed, and 0 for the others.

    Args:
        prepared: the data.
        entries: the images to use.
        config: input size, batch size (at most the number of images), contrast normalisation, augmentation and seed.
        is_training: shuffle and augment.
        memory_gb: read from disk in each epoch if the images would take more memory.
        workers: the number of threads that make batches.
        unlabelled: radiographs without masks, for training.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        entries: Sequence[Entry],
        config: TrainConfig,
        is_training: bool = False,
        memory_gb: float = math.inf,
        workers: int = 1,
        unlabelled: PreparedSet | None = None,
    ) -> None:
        super().__init__(workers=workers)
        self._sets = [(prepared, tuple(entries)), *([(unlabelled, unlabelled.entries)] if unlabelled else [])]
        self._config = config
        self._is_training = is_training
        self.epoch = 1  # is set by the training loop
        self._labelled_count, self._unlabelled_count = count_in_batch(config, len(entries), unlabelled is not None)
        self.channels = 2 if unlabelled and config.unlabelled.consistency else 1
        self.image_size = size = config.image_size
        self.structures = len(config.structures)
        self.read_error: ImageError | None = None
        self._repeats = _expected_repeats([entry.origin for entry in entries], config.balance)
        count = sum(len(own) for _, own in self._sets)
        self.is_in_memory = count * size**2 * _BYTES_PER_PIXEL <= memory_gb * 2**30
        self._pairs: list[list[Pair]] = []
        if self.is_in_memory:
            self._pairs = [[load_pair(one, entry, size, config.structures) for entry in own] for one, own in self._sets]

    def __len__(self) -> int:
        count = len(self._sets[0][1])
        return count // self._labelled_count if self._is_training else math.ceil(count / self._labelled_count)

    def __getitem__(self, index: int) -> Batch:
        return self.shard(self.epoch, index)

    def shard(self, epoch: int, index: int, shard: int = 0, shards: int = 1) -> Batch:
        """One of several equal parts of a batch, each with the same number of radiographs without masks.

        Parts of an incomplete batch differ by one image, or are empty.

        Raises:
            ImageError: a file has become unreadable. The error is kept in `read_error`, too.
        """
        rows = self._order(epoch)[index * self._labelled_count : (index + 1) * self._labelled_count]
        first = ((epoch - 1) * len(self) + index) * self._unlabelled_count
        own, others = (
            numbers[shard * len(numbers) // shards : (shard + 1) * len(numbers) // shards]
            for numbers in (rows, range(first, first + self._unlabelled_count))
        )
        count = len(own) + len(others)
        images = np.zeros((count, self.image_size, self.image_size, self.channels), np.float32)
        masks = np.full((*images.shape[:3], self.structures), _NOT_DRAWN, np.float32)
        try:
            for position, row in enumerate(own):
                images[position, ..., 0], drawn = self._pair(epoch, int(row))
                masks[position, ..., : drawn.shape[-1]] = drawn
            for position, number in enumerate(others, start=len(own)):
                images[position] = self._unlabelled(number)
        except ImageError as error:  # threads and backends wrap it in errors that do not name the file
            self.read_error = error
            raise
        return images, masks

    def _order(self, epoch: int) -> NDArray[np.intp]:
        """The row of each image in the order of the epoch; the k-th repetition of row r is r + k * number of rows."""
        count = len(self._sets[0][1])
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
        return [self._pair(self.epoch, row) for row in range(min(count, len(self._sets[0][1])))]

    def _pair(self, epoch: int, number: int) -> tuple[FloatImage, FloatImage]:
        """Image and masks of a row or, beyond the last row, of its repetition, which is augmented differently."""
        image, mask = self._load(0, number % len(self._sets[0][1]))
        if self._is_training:
            rng = np.random.default_rng((self._config.seed, epoch, number))
            image, mask = augment(image, mask, self._config.augmentation, rng)
        return enhance(image, self._config.contrast), mask

    def _unlabelled(self, number: int) -> FloatImage:
        """The radiograph without masks with this number in the whole training: (S, S, channels)."""
        turn, place = divmod(number, len(self._sets[1][1]))
        row = np.random.default_rng((self._config.seed, turn, _UNLABELLED)).permutation(len(self._sets[1][1]))[place]
        image, _ = self._load(1, int(row))
        rng = np.random.default_rng((self._config.seed, number, 0, _UNLABELLED))
        views = augment_unlabelled(image, self._config.augmentation, rng)[: self.channels]
        return np.stack([enhance(view, self._config.contrast) for view in views], -1)

    def _load(self, number: int, row: int) -> tuple[FloatImage, FloatImage]:
        """Image and masks of a row of one of the sets."""
        prepared, entries = self._sets[number]
        if self.is_in_memory:
            image, mask = self._pairs[number][row]
        else:
            image, mask = load_pair(prepared, entries[row], self.image_size, self._config.structures)
        return image.astype(np.float32) / np.float32(65535), mask.astype(np.float32) / np.float32(255)


def count_in_batch(config: TrainConfig, images: int, unlabelled: bool) -> tuple[int, int]:
    """How many of the images with masks are in each batch, and how many radiographs without masks, if there are any."""
    others = min(max(1, round(config.batch_size * config.unlabelled.share)), config.batch_size - 1) if unlabelled else 0
    return min(config.batch_size - others, images), others


def _expected_repeats(origins: Sequence[str], balance: float) -> NDArray[np.float64]:
    """How often each image is shown in an epoch of as many images, by the data set that it comes from."""
    _, numbers, sizes = np.unique(origins, return_inverse=True, return_counts=True)
    shares = sizes ** (1 - balance)
    expected: NDArray[np.float64] = (shares / shares.sum() * len(origins) / sizes)[numbers]
    return expected

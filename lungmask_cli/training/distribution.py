"""Training on one device, or on several devices that share each batch.

Several devices use TensorFlow's strategies: `MirroredStrategy` for the devices of one machine,
`MultiWorkerMirroredStrategy` for the processes that `TF_CONFIG` describes. Each device computes its part of the batch,
gradients are summed, and all devices take the same step, so that the losses are those of one device with the whole
batch. This module works around three limitations of Keras 3.15: it clips the gradients of each device before they are
summed, it cannot build a model from data of several processes, and it cannot average the metrics that they return.
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import UsageError
from lungmask_cli.networks.adversarial import AdversarialModel
from lungmask_cli.networks.backend import Device, quietly
from lungmask_cli.training.batches import Batch, RadiographBatches
from lungmask_cli.training.cluster import VARIABLE, Cluster, read_cluster


class SingleDevice:
    """Training on one device."""

    replicas = 1
    is_chief = True
    model_class: type[AdversarialModel] = AdversarialModel
    optimizer_class: type[keras.optimizers.Adam] = keras.optimizers.Adam

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which networks and optimisers must be created."""
        return contextlib.nullcontext()

    def distribute(self, batches: RadiographBatches) -> Any:
        """These batches in the form that `fit` takes."""
        return batches


class DataParallel(SingleDevice):
    """Training on several devices that share each batch.

    Args:
        strategy: a strategy of `tf.distribute`.
        is_chief: whether this process writes the run folder.
    """

    def __init__(self, strategy: Any, is_chief: bool) -> None:
        self._strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        self.is_chief = is_chief
        self.model_class = _DataParallelModel
        self.optimizer_class = _DataParallelAdam

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which networks and optimisers must be created, so that all devices have them."""
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def distribute(self, batches: RadiographBatches) -> Any:
        """The shard of each batch for each device, for one epoch after the other, without end."""
        import tensorflow as tf

        def make_shard(epoch: Any, index: Any, shard: Any) -> Batch:
            return batches.shard(int(epoch), int(index), int(shard), self.replicas)

        def make_tensors(*index: Any) -> tuple[Any, Any]:
            images, masks = tf.numpy_function(make_shard, index, (tf.float32, tf.float32))
            # TensorFlow cannot infer the shapes of arrays.
            for tensor, channels in ((images, batches.channels), (masks, batches.structures)):
                tensor.set_shape((None, batches.image_size, batches.image_size, channels))
            return images, masks

        def make_dataset(context: Any) -> Any:
            local = self.replicas // context.num_input_pipelines
            shards = range(context.input_pipeline_id * local, (context.input_pipeline_id + 1) * local)
            indices = tf.data.Dataset.from_generator(
                lambda: _shard_indices(batches, shards), output_signature=(tf.TensorSpec((), tf.int64),) * 3
            )
            dataset = indices.map(make_tensors, num_parallel_calls=batches.workers, deterministic=True)
            return dataset.prefetch(tf.data.AUTOTUNE)

        return self._strategy.distribute_datasets_from_function(make_dataset)


def _shard_indices(batches: RadiographBatches, shards: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Epoch, batch and shard of everything that the devices of one process need, in this order."""
    for epoch in itertools.count(batches.epoch):
        yield from ((epoch, index, shard) for index in range(len(batches)) for shard in shards)


def choose_distribution(device: Device, config: TrainConfig, counts: Sequence[int]) -> SingleDevice:
    """One device, or the devices that share each batch. Must be called before anything else is computed.

    Args:
        device: the chosen device.
        config: the configuration of the run.
        counts: the number of images with masks in each step, and that of the others.

    Raises:
        UsageError: the devices cannot share the batch, or cannot train with this configuration.
    """
    cluster = read_cluster()
    if cluster.processes == 1 and device.count == 1:
        return SingleDevice()
    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"{VARIABLE} is set, but Keras runs on {keras.backend.backend()}", f"Unset {VARIABLE}.")
    if cluster.processes > 1 and device.count > 1:
        raise UsageError(f"--devices and {VARIABLE} exclude each other", "Each process uses all GPUs that it sees.")
    if config.precision == "mixed_float16":
        raise UsageError("several devices cannot train in mixed_float16", "Use --precision mixed_bfloat16.")
    distribution = DataParallel(_create_strategy(device, cluster), cluster.is_chief)
    _refuse_unequal_shares(distribution.replicas, *counts)
    return distribution


def _refuse_unequal_shares(devices: int, images: int, others: int) -> None:
    """Check that each device gets as many images as the others, and as many radiographs without masks."""
    if not (images % devices or others % devices):
        return
    if others:
        raise UsageError(
            f"{devices} devices cannot share {images} images with masks and {others} without masks equally",
            f"Use --batch-size {2 * devices}, with --unlabelled-share 0.5, or multiples of it.",
        )
    raise UsageError(
        f"{devices} devices cannot share a batch of {images} images equally",
        f"Use --batch-size {-(-images // devices) * devices}.",
    )


def _create_strategy(device: Device, cluster: Cluster) -> Any:
    import tensorflow as tf

    if cluster.processes > 1:
        with quietly():
            return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.MirroredStrategy([f"/{device.kind}:{number}" for number in range(device.count)])


class _DataParallelModel(AdversarialModel):
    """Adversarial training on each device's shard of the batch."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """This device's share of the mean loss over the batch."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss / self.distribute_strategy.num_replicas_in_sync

    def train_step(self, data: Any) -> Any:
        """A step that returns metrics which Keras can average over processes."""
        return self._add_axis(super().train_step(data))

    def test_step(self, data: Any) -> Any:
        """A step that returns metrics which Keras can average over processes."""
        return self._add_axis(super().test_step(data))

    def _add_axis(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """With several processes, Keras averages metrics along their first axis, which scalars do not have."""
        if read_cluster().processes == 1:
            return metrics
        return {name: metric[None] for name, metric in metrics.items()}

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the model is built, and Keras cannot build one from the data of several processes."""


class _DataParallelAdam(keras.optimizers.Adam):
    """Adam that clips the sum of the gradients of all devices, as a single device does."""

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        import tensorflow as tf

        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, grads)
        clipped: list[Any] = super()._clip_gradients(summed)
        return clipped

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
        return list(grads_and_vars)  # summed by _clip_gradients already

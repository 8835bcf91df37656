"""One device, or several of one machine or of many, that share each batch.

The latter is TensorFlow's: `MirroredStrategy` for the devices of one machine, `MultiWorkerMirroredStrategy` for the
processes that `TF_CONFIG` describes. Each device draws its share of the batch, gradients are added up, and all go the
same step, so that the losses are those of one device with the whole batch. Three things in which Keras 3.15 falls short
of that are put right here: it clips the gradients of each device before they are added up; it cannot build a model from
data of several processes; and it cannot average the numbers that they return.
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


class OneDevice:
    """A device that trains alone."""

    replicas = 1
    is_chief = True
    model_class: type[AdversarialModel] = AdversarialModel
    optimizer_class: type[keras.optimizers.Adam] = keras.optimizers.Adam

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where networks and optimisers are to be made."""
        return contextlib.nullcontext()

    def feed(self, batches: RadiographBatches) -> Any:
        """What `fit` is given for these batches."""
        return batches


class ManyDevices(OneDevice):
    """Devices that share each batch.

    Args:
        strategy: of TensorFlow.
        is_chief: this process writes the run.
    """

    def __init__(self, strategy: Any, is_chief: bool) -> None:
        self._strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        self.is_chief = is_chief
        self.model_class = _SharedModel
        self.optimizer_class = _SharedAdam

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where networks and optimisers are to be made, so that all devices have them."""
        scope: contextlib.AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def feed(self, batches: RadiographBatches) -> Any:
        """Each device's share of each batch, for one epoch after the other, without end."""
        import tensorflow as tf

        def share(epoch: Any, index: Any, part: Any) -> Batch:
            return batches.share(int(epoch), int(index), int(part), self.replicas)

        def of_this_process(context: Any) -> Any:
            local = self.replicas // context.num_input_pipelines
            parts = range(context.input_pipeline_id * local, (context.input_pipeline_id + 1) * local)
            wanted = tf.data.Dataset.from_generator(
                lambda: _shares(batches, parts), output_signature=(tf.TensorSpec((), tf.int64),) * 3
            )
            made = wanted.map(
                lambda *which: _shaped(tf.numpy_function(share, which, (tf.float32, tf.float32)), batches.image_size),
                num_parallel_calls=batches.workers,
                deterministic=True,
            )
            return made.prefetch(tf.data.AUTOTUNE)

        return self._strategy.distribute_datasets_from_function(of_this_process)


def _shares(batches: RadiographBatches, parts: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Epoch, batch and part of all that the devices of a process need, in this order."""
    for epoch in itertools.count(batches.epoch):
        yield from ((epoch, index, part) for index in range(len(batches)) for part in parts)


def _shaped(arrays: tuple[Any, Any], size: int) -> tuple[Any, Any]:
    """Tensors that know the shape that TensorFlow cannot see in NumPy's arrays."""
    for array in arrays:
        array.set_shape((None, size, size, 1))
    images, masks = arrays
    return images, masks


def find_devices(device: Device, config: TrainConfig, batch: int) -> OneDevice:
    """Those that are to train, which must be known before anything else is computed.

    Args:
        device: as it was chosen.
        config: of the run.
        batch: images in each step.

    Raises:
        UsageError: they cannot share the batch, or cannot compute as is wanted.
    """
    cluster = read_cluster()
    if cluster.processes == 1 and device.count == 1:
        return OneDevice()
    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"{VARIABLE} is set, but Keras runs on {keras.backend.backend()}", f"Unset {VARIABLE}.")
    if cluster.processes > 1 and device.count > 1:
        raise UsageError(f"--devices and {VARIABLE} exclude each other", "Each process uses all GPUs that it sees.")
    if config.precision == "mixed_float16":
        raise UsageError("several devices do not train in mixed_float16", "Use --precision mixed_bfloat16.")
    found = ManyDevices(_strategy(device, cluster), cluster.is_chief)
    if batch % found.replicas:
        better = -(-batch // found.replicas) * found.replicas
        raise UsageError(
            f"{found.replicas} devices cannot share a batch of {batch} images equally", f"Use --batch-size {better}."
        )
    return found


def _strategy(device: Device, cluster: Cluster) -> Any:
    import tensorflow as tf

    if cluster.processes > 1:
        with quietly():
            return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.MirroredStrategy([f"/{device.kind}:{number}" for number in range(device.count)])


class _SharedModel(AdversarialModel):
    """The game on each device's share of the batch."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """This device's part of the mean loss over the batch."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss / self.distribute_strategy.num_replicas_in_sync

    def train_step(self, data: Any) -> Any:
        """A step that returns what Keras can average over processes."""
        return self._averageable(super().train_step(data))

    def test_step(self, data: Any) -> Any:
        """A step that returns what Keras can average over processes."""
        return self._averageable(super().test_step(data))

    def _averageable(self, numbers: dict[str, Any]) -> dict[str, Any]:
        """Over processes, Keras averages along the first axis, which numbers do not have."""
        if read_cluster().processes == 1:
            return numbers
        return {name: number[None] for name, number in numbers.items()}

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: everything is built, and Keras would look at data of several processes, which it cannot."""


class _SharedAdam(keras.optimizers.Adam):
    """Adam that clips the sum of all devices' gradients, as one device would, and not each device's own."""

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        import tensorflow as tf

        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, grads)
        clipped: list[Any] = super()._clip_gradients(summed)
        return clipped

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
        return list(grads_and_vars)  # they are summed already

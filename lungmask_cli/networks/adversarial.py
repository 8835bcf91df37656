"""Adversarial training as one Keras model with one loss.

The discriminator's loss takes the predicted mask through a stopped gradient, so it trains only the discriminator. The
generator's adversarial loss calls the discriminator through `stateless_call` with stopped weights, so it trains only
the generator. Their sum is an ordinary loss: `fit`, callbacks and every Keras backend work as for any model. Adam
treats each weight separately, so one Adam is equivalent to two with the same learning rate.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from lungmask_cli.config import LUNGS, LossConfig, TrainConfig
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.networks.losses import adversarial_loss, is_annotated, structures_loss
from lungmask_cli.networks.metrics import MeanDice, dice_name


class AdversarialModel(keras.Model):
    """A generator and its discriminator; without a discriminator, plain supervised training.

    Called on radiographs (B, S, S, 1) in [0, 1], it returns the generator's probabilities (B, S, S, structures). The
    reference masks have the same shape, and are -1 where a structure is not drawn.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model | None,
        loss: LossConfig,
        structures: Sequence[str] = (LUNGS,),
    ) -> None:
        super().__init__(name="adversarial")
        self.generator = generator
        self.discriminator = discriminator
        self.loss_config = loss
        # 1 during adversarial training, 0 while the generator is trained alone.
        self.adversary = self.add_weight(
            (), "ones", trainable=False, aggregation="only_first_replica", name="adversary"
        )
        self.dices = [MeanDice(dice_name(structure), index) for index, structure in enumerate(structures)]
        self.segmentation_mean = keras.metrics.Mean("segmentation_loss")
        self.generator_mean = keras.metrics.Mean("generator_adversarial_loss")
        self.discriminator_mean = keras.metrics.Mean("discriminator_loss")

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """The generator's probabilities."""
        return self.generator(x, training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> KerasTensor:
        """The sum of the generator's and the discriminator's losses; in evaluation only the segmentation loss."""
        x, truth = ops.convert_to_tensor(x), ops.cast(y, "float32")
        loss = structures_loss(self.loss_config.terms, truth, y_pred)
        self.segmentation_mean.update_state(loss, sample_weight=ops.shape(truth)[0])
        if self.discriminator is None or not training:
            return loss
        generator_loss, discriminator_loss = self._adversarial_losses(self.discriminator, x, truth, y_pred)
        self.generator_mean.update_state(generator_loss)
        self.discriminator_mean.update_state(discriminator_loss)
        return loss + self.adversary * (self.loss_config.adversarial * generator_loss + discriminator_loss)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the Dice of each structure and return all metrics."""
        for dice in self.dices:
            dice.update_state(y, y_pred)
        return self.get_metrics_result()

    def _adversarial_losses(
        self, discriminator: keras.Model, x: KerasTensor, truth: KerasTensor, predicted: KerasTensor
    ) -> tuple[KerasTensor, KerasTensor]:
        """The generator's adversarial loss, and the discriminator's loss.

        Where a structure is not drawn, the reference mask is the predicted one, with a stopped gradient in both, so
        that neither network learns from it. The discriminator is called twice on the predicted masks: with stopped
        weights, and with the masks stopped. Both calls use the same copies of the weights and the state, so TensorFlow
        recognises them as identical and computes them once.
        """
        drawn, unlearnt = is_annotated(truth), ops.stop_gradient(predicted)
        truth, predicted = (ops.where(drawn, masks, unlearnt) for masks in (truth, predicted))
        real = adversarial_loss(discriminator([x, truth], training=True), self.loss_config.real_label)
        weights = [ops.copy(weight) for weight in discriminator.trainable_variables]
        state = [ops.copy(variable) for variable in discriminator.non_trainable_variables]
        frozen = [ops.stop_gradient(weight) for weight in weights]
        for_generator, _ = discriminator.stateless_call(frozen, state, [x, predicted], training=True)
        for_discriminator, new_state = discriminator.stateless_call(
            weights, state, [x, ops.stop_gradient(predicted)], training=True
        )
        for variable, value in zip(discriminator.non_trainable_variables, new_state, strict=True):
            variable.assign(value)
        fake = adversarial_loss(for_discriminator, 0.0)
        return adversarial_loss(for_generator, 1.0), 0.5 * (real + fake)


def build_adversarial_model(config: TrainConfig, kind: type[AdversarialModel] = AdversarialModel) -> AdversarialModel:
    """The generator and discriminator that `config` describes, as one model that is not compiled yet.

    The initial weights follow from `config.seed`.

    Raises:
        ConfigError: a network has an unknown name, or cannot be built for images of this size.
    """
    keras.utils.set_random_seed(config.seed)
    shape = (config.image_size, config.image_size)
    count = len(config.structures)
    generator = build_generator(config.generator, shape, count)
    discriminator = build_discriminator(config.discriminator, shape, count)
    model = kind(generator, discriminator, config.loss, config.structures)
    model.build((None, config.image_size, config.image_size, 1))
    return model

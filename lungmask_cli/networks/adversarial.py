"""Adversarial training as one Keras model with one loss.

The discriminator's loss takes the predicted mask through a stopped gradient, so it trains only the discriminator. The
generator's adversarial loss calls the discriminator through `stateless_call` with stopped weights, so it trains only
the generator. Their sum is an ordinary loss: `fit`, callbacks and every Keras backend work as for any model. Adam
treats each weight separately, so one Adam is equivalent to two with the same learning rate.

Radiographs without masks have no segmentation loss. Their predicted masks must satisfy the discriminator, which is
trained on those with masks alone (Dong et al. 2018, arXiv:1807.03434; Hung et al. 2018, arXiv:1802.07934).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from lungmask_cli.config import LUNGS, LossConfig, TrainConfig, UnlabelledConfig
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.networks.losses import adversarial_loss, is_annotated, is_labelled, structures_loss
from lungmask_cli.networks.metrics import MeanDice, dice_name


class AdversarialModel(keras.Model):
    """A generator and its discriminator; without a discriminator, plain supervised training.

    Called on radiographs (B, S, S, 1) in [0, 1], it returns the generator's probabilities (B, S, S, structures). The
    reference masks have the same shape, and are -1 where a structure is not drawn. A second channel of the radiographs
    is the same before its grey values were changed, which is used for consistency.

    Args:
        generator: the generator.
        discriminator: the discriminator, or None.
        loss: the losses on radiographs with masks.
        structures: what the generator predicts.
        unlabelled: how radiographs without masks are learnt from; None if there are none.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model | None,
        loss: LossConfig,
        structures: Sequence[str] = (LUNGS,),
        unlabelled: UnlabelledConfig | None = None,
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
        self.unlabelled_config = unlabelled
        if unlabelled:
            # 1 while the generator learns from radiographs without masks, otherwise 0.
            self.unlabelled = self.add_weight(
                (), "ones", trainable=False, aggregation="only_first_replica", name="unlabelled"
            )
            self.unlabelled_mean = keras.metrics.Mean("unlabelled_adversarial_loss")
            self.consistency_mean = keras.metrics.Mean("consistency_loss")

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """The generator's probabilities."""
        return self.generator(x[..., :1], training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> KerasTensor:
        """The sum of the generator's and the discriminator's losses; in evaluation only the segmentation loss."""
        x, truth = ops.convert_to_tensor(x), ops.cast(y, "float32")
        loss = structures_loss(self.loss_config.terms, truth, y_pred)
        self.segmentation_mean.update_state(loss, sample_weight=ops.shape(truth)[0])
        if not training:
            return loss
        if self.unlabelled_config and self.unlabelled_config.consistency:
            consistency_loss = self._consistency_loss(x, truth, y_pred)
            self.consistency_mean.update_state(consistency_loss)
            loss += self.unlabelled * self.unlabelled_config.consistency * consistency_loss
        if self.discriminator is None:
            return loss
        return loss + self._adversarial_losses(self.discriminator, x[..., :1], truth, y_pred)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the Dice of each structure and return all metrics."""
        for dice in self.dices:
            dice.update_state(y, y_pred)
        return self.get_metrics_result()

    def _consistency_loss(self, x: KerasTensor, truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
        """The segmentation losses of radiographs without masks, whose reference is the mask predicted without changes.

        Source: the hard labels of FixMatch (Sohn et al. 2020, arXiv:2001.07685), without its threshold.
        """
        reference = ops.stop_gradient(self.generator(x[..., 1:], training=False))
        reference = ops.where(is_labelled(truth), -1.0, ops.cast(reference > 0.5, "float32"))
        return structures_loss(self.loss_config.terms, reference, predicted)

    def _adversarial_losses(
        self, discriminator: keras.Model, x: KerasTensor, truth: KerasTensor, predicted: KerasTensor
    ) -> KerasTensor:
        """The weighted sum of the generator's adversarial losses and the discriminator's loss.

        Where a structure is not drawn, the reference mask is the predicted one, with a stopped gradient in both, so
        that neither network learns from it; only from radiographs without any mask, the generator does. The
        discriminator is called twice on the predicted masks: with stopped weights, and with the masks stopped. Both
        calls use the same copies of the weights and the state, so TensorFlow recognises them as identical and computes
        them once.
        """
        drawn, is_known, unlearnt = is_annotated(truth), is_labelled(truth), ops.stop_gradient(predicted)
        labelled = ops.cast(is_known[:, 0, 0, 0], "float32")
        truth = ops.where(drawn, truth, unlearnt)
        predicted = ops.where(ops.logical_or(drawn, ops.logical_not(is_known)), predicted, unlearnt)
        real = adversarial_loss(discriminator([x, truth], training=True), self.loss_config.real_label, labelled)
        weights = [ops.copy(weight) for weight in discriminator.trainable_variables]
        state = [ops.copy(variable) for variable in discriminator.non_trainable_variables]
        frozen = [ops.stop_gradient(weight) for weight in weights]
        for_generator, _ = discriminator.stateless_call(frozen, state, [x, predicted], training=True)
        for_discriminator, new_state = discriminator.stateless_call(
            weights, state, [x, ops.stop_gradient(predicted)], training=True
        )
        for variable, value in zip(discriminator.non_trainable_variables, new_state, strict=True):
            variable.assign(value)
        generator_loss = adversarial_loss(for_generator, 1.0, labelled)
        discriminator_loss = 0.5 * (real + adversarial_loss(for_discriminator, 0.0, labelled))
        self.generator_mean.update_state(generator_loss)
        self.discriminator_mean.update_state(discriminator_loss)
        loss = self.loss_config.adversarial * generator_loss + discriminator_loss
        if self.unlabelled_config:
            unlabelled_loss = adversarial_loss(for_generator, 1.0, 1.0 - labelled)
            self.unlabelled_mean.update_state(unlabelled_loss)
            loss += self.unlabelled * self.unlabelled_config.adversarial * unlabelled_loss
        return self.adversary * loss


def build_adversarial_model(
    config: TrainConfig, kind: type[AdversarialModel] = AdversarialModel, unlabelled: bool = False
) -> AdversarialModel:
    """The generator and discriminator that `config` describes, as one model that is not compiled yet.

    The initial weights follow from `config.seed`. With `unlabelled`, there are radiographs without masks.

    Raises:
        ConfigError: a network has an unknown name, or cannot be built for images of this size.
    """
    keras.utils.set_random_seed(config.seed)
    shape = (config.image_size, config.image_size)
    count = len(config.structures)
    generator = build_generator(config.generator, shape, count)
    discriminator = build_discriminator(config.discriminator, shape, count)
    model = kind(generator, discriminator, config.loss, config.structures, config.unlabelled if unlabelled else None)
    model.build((None, config.image_size, config.image_size, 1))
    return model

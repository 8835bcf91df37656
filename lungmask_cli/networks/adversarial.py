"""The adversarial game as one Keras model with one loss.

The discriminator's loss sees the drawn mask through a stopped gradient, so it trains the discriminator alone. The
generator's adversarial loss calls the discriminator through `stateless_call` with stopped weights, so it trains the
generator alone. Their sum is an ordinary loss: `fit`, callbacks and every Keras backend work as for any model, and
Adam, which treats each weight by itself, does what two Adams of one learning rate would do.
"""

from typing import Any

import keras
from keras import KerasTensor, ops

from lungmask_cli.config import LossConfig, TrainConfig
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.networks.losses import adversarial_loss, segmentation_loss
from lungmask_cli.networks.metrics import MeanDice


class AdversarialModel(keras.Model):
    """A generator and the discriminator it plays against; without a discriminator, plain supervised training.

    Called on radiographs (B, S, S, 1) in [0, 1] it returns the generator's probabilities of the same shape.
    """

    def __init__(self, generator: keras.Model, discriminator: keras.Model | None, loss: LossConfig) -> None:
        super().__init__(name="adversarial")
        self.generator = generator
        self.discriminator = discriminator
        self.loss_config = loss
        self.dice = MeanDice()
        self.segmentation_mean = keras.metrics.Mean("segmentation_loss")
        self.generator_mean = keras.metrics.Mean("generator_adversarial_loss")
        self.discriminator_mean = keras.metrics.Mean("discriminator_loss")

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        """The generator's lung probabilities."""
        return self.generator(x, training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> KerasTensor:
        """Both players' losses, added; in evaluation only what compares the masks."""
        x, truth = ops.convert_to_tensor(x), ops.cast(y, "float32")
        loss = segmentation_loss(self.loss_config, truth, y_pred)
        self.segmentation_mean.update_state(loss, sample_weight=ops.shape(truth)[0])
        if self.discriminator is None or not training:
            return loss
        weight = self.loss_config.adversarial
        if weight:
            fooled = adversarial_loss(self._frozen_discriminator([x, y_pred]), 1.0)
            self.generator_mean.update_state(fooled)
            loss += weight * fooled
        judged = self._discriminator_loss(x, truth, ops.stop_gradient(y_pred))
        self.discriminator_mean.update_state(judged)
        return loss + judged

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the Dice and return all that is watched."""
        self.dice.update_state(y, y_pred)
        return self.get_metrics_result()

    def _discriminator_loss(self, x: KerasTensor, truth: KerasTensor, drawn: KerasTensor) -> KerasTensor:
        assert self.discriminator is not None
        real = adversarial_loss(self.discriminator([x, truth], training=True), self.loss_config.real_label)
        fake = adversarial_loss(self.discriminator([x, drawn], training=True), 0.0)
        return 0.5 * (real + fake)

    def _frozen_discriminator(self, inputs: list[KerasTensor]) -> KerasTensor:
        assert self.discriminator is not None
        frozen = [ops.stop_gradient(weight) for weight in self.discriminator.trainable_variables]
        state = self.discriminator.non_trainable_variables
        logits, _ = self.discriminator.stateless_call(frozen, state, inputs, training=True)
        return logits


def build_adversarial_model(config: TrainConfig, kind: type[AdversarialModel] = AdversarialModel) -> AdversarialModel:
    """Generator, discriminator and their game as `config` describes them, not yet compiled.

    The first weights follow from `config.seed`.

    Raises:
        ConfigError: a part has an unknown name.
    """
    keras.utils.set_random_seed(config.seed)
    generator = build_generator(config.generator, config.image_size)
    model = kind(generator, build_discriminator(config.discriminator, config.image_size), config.loss)
    model.build((None, config.image_size, config.image_size, 1))
    return model

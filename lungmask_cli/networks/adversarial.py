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
from lungmask_cli.networks.losses import segmentation_loss
from lungmask_cli.networks.losses.adversarial import adversarial_loss
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
        # 1 while the discriminator plays, 0 while the generator is trained alone.
        self.adversary = self.add_weight(
            (), "ones", trainable=False, aggregation="only_first_replica", name="adversary"
        )
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
        loss = segmentation_loss(self.loss_config.terms, truth, y_pred)
        self.segmentation_mean.update_state(loss, sample_weight=ops.shape(truth)[0])
        if self.discriminator is None or not training:
            return loss
        fooled, judged = self._play(x, truth, y_pred)
        self.generator_mean.update_state(fooled)
        self.discriminator_mean.update_state(judged)
        return loss + self.adversary * (self.loss_config.adversarial * fooled + judged)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the Dice and return all that is watched."""
        self.dice.update_state(y, y_pred)
        return self.get_metrics_result()

    def _play(self, x: KerasTensor, truth: KerasTensor, drawn: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """The generator's adversarial loss, and the discriminator's.

        The drawn mask is judged twice, with stopped weights and as a stopped mask. Both passes are made of the same
        copies of the weights and the state, so that TensorFlow sees that they are one and computes it once.
        """
        judge = self.discriminator
        assert judge is not None
        real = adversarial_loss(judge([x, truth], training=True), self.loss_config.real_label)
        weights = [ops.copy(weight) for weight in judge.trainable_variables]
        state = [ops.copy(variable) for variable in judge.non_trainable_variables]
        frozen = [ops.stop_gradient(weight) for weight in weights]
        seen, _ = judge.stateless_call(frozen, state, [x, drawn], training=True)
        logits, changed = judge.stateless_call(weights, state, [x, ops.stop_gradient(drawn)], training=True)
        for variable, value in zip(judge.non_trainable_variables, changed, strict=True):
            variable.assign(value)
        fake = adversarial_loss(logits, 0.0)
        return adversarial_loss(seen, 1.0), 0.5 * (real + fake)


def build_adversarial_model(config: TrainConfig, kind: type[AdversarialModel] = AdversarialModel) -> AdversarialModel:
    """Generator, discriminator and their game as `config` describes them, not yet compiled.

    The first weights follow from `config.seed`.

    Raises:
        ConfigError: a network has an unknown name, or cannot be built for images of that size.
    """
    keras.utils.set_random_seed(config.seed)
    shape = (config.image_size, config.image_size)
    generator = build_generator(config.generator, shape)
    model = kind(generator, build_discriminator(config.discriminator, shape), config.loss)
    model.build((None, config.image_size, config.image_size, 1))
    return model

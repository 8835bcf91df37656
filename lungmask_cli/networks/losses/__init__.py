"""What the generator and the discriminator are asked to make small.

Losses that compare masks are registered in `networks/parts.py`: each takes the hand-made mask and the drawn
probability, (B, H, W, 1) in [0, 1], and returns a scalar.
"""

from collections.abc import Mapping

from keras import KerasTensor, ops

from lungmask_cli.networks.parts import LOSSES, find_part


def segmentation_loss(terms: Mapping[str, float], truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """The sum of the losses of those names, each times its weight.

    Raises:
        ConfigError: there is no loss of that name.
    """
    loss = ops.zeros(())
    for name, weight in terms.items():
        loss += weight * find_part("loss", name, LOSSES).load()(truth, probability)
    return loss

"""The registry of generators, discriminators and losses, by name.

This module does not import Keras, so listing the parts is fast. A new part is one function and one line here.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lungmask_cli.config import TrainConfig
from lungmask_cli.errors import ConfigError, suggest

NO_DISCRIMINATOR = "none"


@dataclass(frozen=True)
class Part:
    """A generator, discriminator or loss.

    Args:
        path: its function, as `module:function` below this package.
        summary: what it is, in one line.
    """

    path: str
    summary: str

    def load(self) -> Any:
        """Import the function."""
        module, _, function = self.path.partition(":")
        return getattr(importlib.import_module(f"lungmask_cli.networks.{module}"), function)


GENERATORS = {
    "unet": Part("generators.unet:unet", "U-Net"),
    "attention-unet": Part("generators.attention_unet:attention_unet", "U-Net with attention gates on its skips"),
    "fcn": Part("generators.fcn:fcn", "FCN-8s on the convolutions of VGG16"),
    "pix2pix": Part("generators.pix2pix:pix2pix", "encoder-decoder with skips, all strides 2"),
    "residual-unet": Part("generators.residual_unet:residual_unet", "U-Net of residual blocks at half resolution"),
    "scan": Part("generators.scan:scan", "residual blocks and one transposed convolution"),
}
DISCRIMINATORS = {
    "patch": Part("discriminators.patch:patch", "one logit for each patch"),
    "image": Part("discriminators.patch:image", "one logit for the image"),
    "four-scales": Part("discriminators.patch:four_scales", "four patch discriminators of four scales"),
    "scan": Part("discriminators.scan_critic:scan_critic", "SCAN's critic: residual blocks, one logit for the image"),
}
LOSSES = {
    "l1": Part("losses:l1", "mean absolute difference"),
    "cross_entropy": Part("losses:cross_entropy", "mean binary cross-entropy"),
    "dice": Part("losses:dice", "one minus the soft Dice"),
    "focal_tversky": Part("losses:focal_tversky", "overlap that penalises missed lung most"),
}


def find_part(kind: str, name: str, known: dict[str, Part]) -> Part:
    """The part with this name.

    Raises:
        ConfigError: no part has this name; the message suggests the nearest one.
    """
    if name not in known:
        raise unknown_part(kind, name, known)
    return known[name]


def check_parts(config: TrainConfig) -> TrainConfig:
    """The configuration itself, if all its parts exist.

    Raises:
        ConfigError: a part does not exist; the message suggests the nearest one.
    """
    find_part("generator", config.generator.name, GENERATORS)
    if config.discriminator.name != NO_DISCRIMINATOR:
        find_part("discriminator", config.discriminator.name, DISCRIMINATORS)
    for name in config.loss.terms:
        find_part("loss", name, LOSSES)
    return config


def unknown_part(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that is not registered, with the nearest one that is."""
    return ConfigError(f"there is no {kind} named {name!r}", suggest(name, known))

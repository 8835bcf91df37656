"""The parts that a system is put together from, by name: generators, discriminators, losses.

It imports no Keras, so that listing them costs nothing. A new part is one file and one line here.
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
    """Where a part is made, as `module:function` below this package, and what it is in one line."""

    place: str
    summary: str

    def load(self) -> Any:
        """The function."""
        module, _, function = self.place.partition(":")
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
    "l1": Part("losses.pixelwise:l1", "mean absolute difference"),
    "cross_entropy": Part("losses.pixelwise:cross_entropy", "mean binary cross-entropy"),
    "dice": Part("losses.overlap:dice", "one minus the soft Dice"),
    "focal_tversky": Part("losses.overlap:focal_tversky", "overlap that forgives missed lung least"),
}


def find_part(kind: str, name: str, known: dict[str, Part]) -> Part:
    """The part of that name.

    Raises:
        ConfigError: there is none; the nearest name is given.
    """
    if name not in known:
        raise unknown_part(kind, name, known)
    return known[name]


def with_known_parts(config: TrainConfig) -> TrainConfig:
    """The configuration, once all its parts are found.

    Raises:
        ConfigError: there is no part of some name; the nearest is given.
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

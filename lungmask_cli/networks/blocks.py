"""Building blocks that generators and discriminators share."""

import difflib

from keras import KerasTensor, backend, initializers, layers

from lungmask_cli.errors import ConfigError

NORMALIZATIONS = ("batch", "group", "none")


def normalization(kind: str, channels: int) -> layers.Layer:
    """A normalisation layer: `batch`, `group` (at most eight groups, so that it suits one image), or `none`.

    Raises:
        ConfigError: `kind` is none of these.
    """
    if kind == "batch":
        return layers.BatchNormalization(momentum=0.9, synchronized=_devices_share_batch())
    if kind == "group":
        groups = max(g for g in range(1, min(8, channels) + 1) if channels % g == 0)
        return layers.GroupNormalization(groups)
    if kind == "none":
        return layers.Identity()
    raise unknown_part("normalization", kind, NORMALIZATIONS)


def _devices_share_batch() -> bool:
    """Whether the layer is made for several devices, whose statistics must then be those of the whole batch."""
    if backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.distribute.has_strategy())


def normal_initializer(seed: int) -> initializers.Initializer:
    """N(0, 0.02), the start of the DCGAN and pix2pix families."""
    return initializers.RandomNormal(stddev=0.02, seed=seed)


def convolution_block(x: KerasTensor, filters: int, kind: str) -> KerasTensor:
    """Two times 3 x 3 convolution - normalisation - ReLU: (B, H, W, C) to (B, H, W, filters)."""
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=kind == "none", kernel_initializer="he_normal")(x)
        x = layers.ReLU()(normalization(kind, filters)(x))
    return x


def level_widths(filters: int, max_filters: int, levels: int) -> list[int]:
    """The filters of each level: doubled from one to the next, up to `max_filters`."""
    return [min(filters * 2**level, max_filters) for level in range(levels)]


def unknown_part(part: str, name: str, known: tuple[str, ...]) -> ConfigError:
    """The error for a name that is not registered, with the nearest one that is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return ConfigError(f"there is no {part} named {name!r}", f"Did you mean {near}? Known: {', '.join(known)}.")

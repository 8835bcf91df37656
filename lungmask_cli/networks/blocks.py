"""Building blocks that generators and discriminators share."""

from collections.abc import Sequence

from keras import Input, KerasTensor, backend, initializers, layers, ops

from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.parts import unknown_part

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
        return GroupNormalization(groups)
    if kind == "none":
        return layers.Identity()
    raise unknown_part("normalization", kind, NORMALIZATIONS)


class GroupNormalization(layers.GroupNormalization):
    """Keras's group normalisation of (batch, height, width, channels), over the last axis, in fewer passes.

    Keras reshapes to five axes and normalises those, which takes a third of the compact U-Net's time on a CPU. Here
    the moments of each channel are taken first and their groups combined, so that the image is only scaled and
    shifted. Variables and the class's name, by which they are saved, are Keras's.
    """

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """The normalised `inputs`, of the same shape."""
        if _devices_share_batch():
            # One may be left without an image of the last batch. What TensorFlow's convolutions then return has a wrong
            # number of channels, which Keras's reshaping forgives and broadcasting does not.
            return super().call(inputs)
        x = ops.cast(inputs, "float32")
        of_channels, variances = ops.moments(x, axes=(1, 2))
        mean = self._of_groups(of_channels)
        variance = self._of_groups(variances + ops.square(of_channels - mean))
        scale = ops.rsqrt(variance + self.epsilon) * ops.cast(self.gamma, "float32")
        shift = ops.cast(self.beta, "float32") - mean * scale
        return ops.cast(x * scale[:, None, None, :] + shift[:, None, None, :], self.compute_dtype)

    def _of_groups(self, values: KerasTensor) -> KerasTensor:
        """The mean over each group of (batch, channels), repeated for its channels."""
        grouped = ops.reshape(values, (-1, self.groups, values.shape[-1] // self.groups))
        mean = ops.mean(grouped, axis=2, keepdims=True)
        return ops.reshape(ops.broadcast_to(mean, ops.shape(grouped)), (-1, values.shape[-1]))


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


def residual_block(x: KerasTensor, filters: int, size: int, kind: str) -> KerasTensor:
    """SCAN's block of two convolutions beside a 1 x 1 one: (B, H, W, C) to (B, H, W, filters).

    Source: Dai et al. 2018 (arXiv:1703.08770), section 3, as re-implementations have it: convolution - normalisation -
    ReLU - convolution - normalisation, plus the normalised shortcut, then normalisation and ReLU.
    """

    def convolution(x: KerasTensor, size: int) -> KerasTensor:
        made = layers.Conv2D(filters, size, padding="same", use_bias=kind == "none", kernel_initializer="he_normal")
        return normalization(kind, filters)(made(x))

    inner = convolution(layers.ReLU()(convolution(x, size)), size)
    joined = layers.Add()([inner, convolution(x, 1)])
    return layers.ReLU()(normalization(kind, filters)(joined))


def residual_encoder(x: KerasTensor, widths: Sequence[int], kind: str) -> KerasTensor:
    """The first blocks of SCAN's networks: one of 7 x 7, then one of 3 x 3 for each width, halved between them."""
    x = residual_block(x, widths[0], 7, kind)
    for level, width in enumerate(widths):
        x = layers.AveragePooling2D(2)(x) if level else x
        x = residual_block(x, width, 3, kind)
    return x


def pair_inputs(shape: tuple[int, int]) -> list[KerasTensor]:
    """What every discriminator sees: a radiograph and a mask."""
    return [Input((*shape, 1), name=name) for name in ("radiograph", "mask")]


def require_multiple(shape: tuple[int, int], step: int, network: str) -> None:
    """See that a network can halve images of that height and width as often as it must.

    Raises:
        ConfigError: it cannot; the next size that it can is given.
    """
    if any(side < step or side % step for side in shape):
        height, width = shape
        better = " x ".join(str(max(1, -(-side // step)) * step) for side in shape)
        raise ConfigError(
            f"{network} needs height and width that are multiples of {step}, not {height} x {width}",
            f"The next size is {better}; it is set by --image-size.",
        )


def level_widths(filters: int, max_filters: int, levels: int) -> list[int]:
    """The filters of each level: doubled from one to the next, up to `max_filters`."""
    return [min(filters * 2**level, max_filters) for level in range(levels)]

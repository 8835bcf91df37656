"""Building blocks shared by generators and discriminators."""

from collections.abc import Sequence

from keras import Input, KerasTensor, backend, initializers, layers, ops

from lungmask_cli.errors import ConfigError
from lungmask_cli.networks.parts import unknown_part

NORMALIZATIONS = ("batch", "group", "none")


def normalization(kind: str, channels: int) -> layers.Layer:
    """A normalisation layer: `batch`, `group` (at most eight groups; suits batches of one image), or `none`.

    Raises:
        ConfigError: `kind` is none of these.
    """
    if kind == "batch":
        return BatchNormalization(momentum=0.9, synchronized=_devices_share_batch())
    if kind == "group":
        groups = max(g for g in range(1, min(8, channels) + 1) if channels % g == 0)
        return GroupNormalization(groups)
    if kind == "none":
        return layers.Identity()
    raise unknown_part("normalization", kind, NORMALIZATIONS)


class BatchNormalization(layers.BatchNormalization):
    """Keras's batch normalisation over the last axis of (B, H, W, C), trained by TensorFlow's fused operation.

    Keras composes it of a dozen operations, which take longer on a CPU. The class has the name and the variables of
    Keras's, under which weights are saved.
    """

    def call(self, inputs: KerasTensor, training: bool | None = None, mask: KerasTensor | None = None) -> KerasTensor:
        """The normalised `inputs`, of the same shape."""
        if not (training and self.trainable) or self.synchronized or backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        scale, offset = (ops.cast(weight, "float32") for weight in (self.gamma, self.beta))
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, scale, offset, epsilon=self.epsilon)
        count = ops.cast(ops.size(inputs) / inputs.shape[-1], "float32")
        biased = variance * (count - 1) / count  # as in Keras
        for variable, value in ((self.moving_mean, mean), (self.moving_variance, biased)):
            variable.assign(variable * self.momentum + value * (1 - self.momentum))
        return outputs


class GroupNormalization(layers.GroupNormalization):
    """Keras's group normalisation of (B, H, W, C) over the last axis, faster.

    Keras reshapes the image to five axes, which takes a third of the compact U-Net's time on a CPU. Here the moments of
    each channel are computed first and combined to those of the groups, so the image is only scaled and shifted. The
    class has the name and the variables of Keras's, under which weights are saved.
    """

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """The normalised `inputs`, of the same shape."""
        if _devices_share_batch():
            # A device may have no image of the last batch. TensorFlow's convolutions then return a wrong number of
            # channels, which works with Keras's reshaping but not with broadcasting.
            return super().call(inputs)
        x = ops.cast(inputs, "float32")
        channel_means, channel_variances = ops.moments(x, axes=(1, 2))
        mean = self._group_means(channel_means)
        variance = self._group_means(channel_variances + ops.square(channel_means - mean))
        scale = ops.rsqrt(variance + self.epsilon) * ops.cast(self.gamma, "float32")
        shift = ops.cast(self.beta, "float32") - mean * scale
        return ops.cast(x * scale[:, None, None, :] + shift[:, None, None, :], self.compute_dtype)

    def _group_means(self, values: KerasTensor) -> KerasTensor:
        """The mean over each group of (B, C), repeated for each of its channels: (B, C)."""
        grouped = ops.reshape(values, (-1, self.groups, values.shape[-1] // self.groups))
        mean = ops.mean(grouped, axis=2, keepdims=True)
        return ops.reshape(ops.broadcast_to(mean, ops.shape(grouped)), (-1, values.shape[-1]))


def _devices_share_batch() -> bool:
    """Whether the layer is built for several devices, which must compute statistics over the whole batch."""
    if backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.distribute.has_strategy())


def normal_initializer(seed: int) -> initializers.Initializer:
    """N(0, 0.02), as in DCGAN and pix2pix."""
    return initializers.RandomNormal(stddev=0.02, seed=seed)


def convolution(x: KerasTensor, filters: int, size: int, kind: str, stride: int = 1) -> KerasTensor:
    """Convolution and normalisation: (B, H, W, C) to (B, H / stride, W / stride, filters)."""
    layer = layers.Conv2D(filters, size, stride, "same", use_bias=kind == "none", kernel_initializer="he_normal")
    return normalization(kind, filters)(layer(x))


def convolution_block(x: KerasTensor, filters: int, kind: str) -> KerasTensor:
    """3 x 3 convolution - normalisation - ReLU, twice: (B, H, W, C) to (B, H, W, filters)."""
    for _ in range(2):
        x = layers.ReLU()(convolution(x, filters, 3, kind))
    return x


def residual_block(x: KerasTensor, filters: int, size: int, kind: str) -> KerasTensor:
    """SCAN's block of two convolutions with a 1 x 1 convolution as shortcut: (B, H, W, C) to (B, H, W, filters).

    Source: Dai et al. 2018 (arXiv:1703.08770), section 3, as in re-implementations: convolution - normalisation -
    ReLU - convolution - normalisation, plus the normalised shortcut, then normalisation and ReLU.
    """
    inner = convolution(layers.ReLU()(convolution(x, filters, size, kind)), filters, size, kind)
    joined = layers.Add()([inner, convolution(x, filters, 1, kind)])
    return layers.ReLU()(normalization(kind, filters)(joined))


def residual_encoder(x: KerasTensor, widths: Sequence[int], kind: str) -> KerasTensor:
    """The blocks of SCAN's networks: one of 7 x 7, one of 3 x 3 and pooling per width but the last, and four of it."""
    x = residual_block(x, widths[0], 7, kind)
    for width in widths[:-1]:
        x = residual_block(x, width, 3, kind)
        x = layers.AveragePooling2D(2)(x)
    for size in (1, 3, 1, 3):
        x = residual_block(x, widths[-1], size, kind)
    return x


def pair_inputs(shape: tuple[int, int], structures: int) -> list[KerasTensor]:
    """The inputs of every discriminator: a radiograph and the masks of its structures."""
    return [Input((*shape, 1), name="radiograph"), Input((*shape, structures), name="mask")]


def require_multiple(shape: tuple[int, int], step: int, network: str) -> None:
    """Check that the height and width of images are multiples of `step`.

    Raises:
        ConfigError: they are not; the message gives the next valid size.
    """
    if any(side < step or side % step for side in shape):
        height, width = shape
        better = " x ".join(str(max(1, -(-side // step)) * step) for side in shape)
        raise ConfigError(
            f"{network} needs height and width that are multiples of {step}, not {height} x {width}",
            f"The next valid size is {better}. Set it with --image-size.",
        )


def level_widths(filters: int, max_filters: int, levels: int) -> list[int]:
    """The filters of each level: doubled from one to the next, up to `max_filters`."""
    return [min(filters * 2**level, max_filters) for level in range(levels)]

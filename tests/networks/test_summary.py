"""Parameters and multiply-adds: of single layers by hand, of networks compared with the profiler of TensorFlow."""

import keras
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from lungmask_cli.config import DiscriminatorConfig, GeneratorConfig
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.networks.summary import abbreviate_number, summarize_network


def build_network(*parts, shape=(8, 6, 3)):
    x = inputs = keras.Input(shape)
    for layer in parts:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("layer", "shape", "parameters", "multiply_adds"),
    [
        (layers.Conv2D(5, 3, padding="same"), (8, 6, 5), 3 * 3 * 3 * 5 + 5, 8 * 6 * 3 * 3 * 3 * 5),
        (layers.Conv2D(5, 4, 2, "same", use_bias=False), (4, 3, 5), 4 * 4 * 3 * 5, 4 * 3 * 4 * 4 * 3 * 5),
        (layers.Conv2D(6, 3, groups=3, padding="valid"), (6, 4, 6), 3 * 3 * 1 * 6 + 6, 6 * 4 * 3 * 3 * 1 * 6),
        (layers.DepthwiseConv2D(3, padding="same"), (8, 6, 3), 3 * 3 * 3 + 3, 8 * 6 * 3 * 3 * 3),
        (layers.Conv2DTranspose(5, 4, 2, "same"), (16, 12, 5), 4 * 4 * 3 * 5 + 5, 8 * 6 * 4 * 4 * 3 * 5),
        (layers.Dense(7), (8, 6, 7), 3 * 7 + 7, 8 * 6 * 3 * 7),
        (layers.BatchNormalization(), (8, 6, 3), 4 * 3, 0),
        (layers.UpSampling2D(2), (16, 12, 3), 0, 0),
    ],
)
def test_the_counts_of_one_layer_by_hand(layer, shape, parameters, multiply_adds):
    summary = summarize_network(build_network(layer))
    row = summary.layers[-1]
    assert (row.shape, row.parameters, row.multiply_adds) == (shape, parameters, multiply_adds)
    assert row.kind == type(layer).__name__
    assert summary.flops == 2 * multiply_adds


def test_a_wrapper_has_the_counts_of_its_layer_and_its_own_parameters():
    row = summarize_network(build_network(layers.SpectralNormalization(layers.Conv2D(4, 3, padding="same")))).layers[-1]
    assert row.kind == "Conv2D"
    assert row.detail == "3×3"  # noqa: RUF001
    assert row.multiply_adds == 8 * 6 * 3 * 3 * 3 * 4
    assert row.parameters == 3 * 3 * 3 * 4 + 4 + 4  # kernel, bias, singular vector


def test_trainable_and_other_parameters_are_counted_separately():
    summary = summarize_network(build_network(layers.BatchNormalization()))
    assert (summary.trainable, summary.not_trainable, summary.parameters) == (6, 6, 12)


def test_a_layer_that_is_called_twice_computes_twice_but_has_its_parameters_once():
    shared = layers.Conv2D(3, 3, padding="same")
    summary = summarize_network(build_network(shared, shared))
    assert [row.parameters for row in summary.layers] == [0, 84, 0]
    assert [row.multiply_adds for row in summary.layers] == [0, 3888, 3888]
    assert summary.parameters == 84


def test_a_nested_model_counts_with_all_its_layers():
    inner = build_network(layers.Conv2D(4, 3), layers.Conv2D(2, 1))
    summary = summarize_network(build_network(inner))
    assert summary.multiply_adds == summarize_network(inner).multiply_adds > 0
    assert summary.parameters == inner.count_params()


def test_inputs_are_indices_of_earlier_layers():
    radiograph, mask = keras.Input((8, 8, 1), name="radiograph"), keras.Input((8, 8, 1), name="mask")
    joined = layers.Concatenate(name="joined")([radiograph, mask])
    summary = summarize_network(keras.Model([radiograph, mask], [joined, layers.ReLU(name="second")(joined)]))
    by_name = {row.name: row for row in summary.layers}
    assert [summary.layers[index].name for index in by_name["joined"].inputs] == ["radiograph", "mask"]
    assert [summary.layers[index].name for index in summary.outputs] == ["joined", "second"]
    assert all(source < index for index, row in enumerate(summary.layers) for source in row.inputs)


@pytest.mark.parametrize(
    ("layer", "detail"),
    [
        (layers.Conv2D(1, 4, 2), "4×4 /2"),  # noqa: RUF001
        (layers.Conv2DTranspose(1, 2, 2), "2×2 /2"),  # noqa: RUF001
        (layers.Conv2D(1, (3, 1), (2, 1), activation="sigmoid"), "3×1 /2×1 sigmoid"),  # noqa: RUF001
        (layers.MaxPooling2D(2), "2×2"),  # noqa: RUF001
        (layers.MaxPooling2D(3, strides=2), "3×3 /2"),  # noqa: RUF001
        (layers.UpSampling2D(2), "2×2"),  # noqa: RUF001
        (layers.Activation("sigmoid"), "sigmoid"),
        (layers.ReLU(), ""),
        (layers.Dropout(0.1), ""),
    ],
)
def test_details_are_kernel_stride_and_activation(layer, detail):
    assert summarize_network(build_network(layer)).layers[-1].detail == detail


SHAPE = (64, 64)
NETWORKS = {
    "unet": lambda: build_generator(GeneratorConfig("unet", 4, 64, 4, "group"), SHAPE),
    "pix2pix": lambda: build_generator(GeneratorConfig("pix2pix", 4, 32, 5, "batch"), SHAPE),
    "attention": lambda: build_generator(GeneratorConfig("attention-unet", 4, 64, 4, "batch"), SHAPE),
    "scan": lambda: build_generator(GeneratorConfig("scan", 4, 32, 5, "batch"), SHAPE),
    "fcn": lambda: build_generator(GeneratorConfig("fcn", 4, 16, 5, "none"), SHAPE),
    "four scales": lambda: build_discriminator(DiscriminatorConfig("four-scales", 4), SHAPE),
    "critic": lambda: build_discriminator(DiscriminatorConfig("scan", 4), SHAPE),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_equal_those_of_the_profiler_of_tensorflow(name):
    model = NETWORKS[name]()
    summary = summarize_network(model)
    assert summary.flops == profiled_flops(model) > 0
    assert summary.parameters == model.count_params() == sum(row.parameters for row in summary.layers)


def profiled_flops(model):
    """FLOPs of convolutions and matrix products in the frozen graph for one image; the profiler counts others, too."""
    signature = [tf.TensorSpec((1, *tensor.shape[1:])) for tensor in model.inputs]
    concrete = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0])).get_concrete_function(*signature)
    graph = convert_variables_to_constants_v2(concrete).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    kinds = tf.compat.v1.profiler.profile(graph, cmd="op", options={**options, "output": "none"})
    counted, node = 0, kinds
    while node.children:
        (node,) = node.children
        counted += node.float_ops if node.name in ("Conv2D", "Conv2DBackpropInput", "MatMul") else 0
    return counted


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1025, "1.02 k"),
        (33_088, "33.1 k"),
        (525_568, "526 k"),
        (13_613_889, "13.6 M"),
        (2e9, "2.00 G"),
    ],
)
def test_numbers_are_formatted_with_three_digits(number, text):
    assert abbreviate_number(number) == text

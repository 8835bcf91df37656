"""Diagrams of all registered networks, and of others that nobody has registered."""

import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace

import keras
import pytest
from keras import layers

from lungmask_cli.config import DiscriminatorConfig, GeneratorConfig
from lungmask_cli.networks.diagram import LEGEND, build_diagram, draw_svg, draw_text
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS
from lungmask_cli.networks.summary import format_shape, summarize_network

SHAPE = (64, 64)
SVG = "{http://www.w3.org/2000/svg}"
CHARACTER = 6.6  # points


def generator(name):
    config = GeneratorConfig(name, filters=2, max_filters=8, normalization="batch")
    return summarize_network(build_generator(config, SHAPE))


def discriminator(name, shape=SHAPE):
    return summarize_network(build_discriminator(DiscriminatorConfig(name, filters=2), shape))


def two_heads():
    """A U-Net of two levels with two more outputs, which classify the features of the lower level."""
    inputs = keras.Input((16, 16, 1), name="radiograph")
    top = layers.Conv2D(2, 3, padding="same")(inputs)
    middle = layers.Conv2D(4, 3, 2, padding="same")(top)
    up = layers.UpSampling2D(2)(middle)
    mask = layers.Conv2D(1, 3, padding="same")(layers.Concatenate()([up, top]))
    heads = [layers.Dense(1)(layers.GlobalAveragePooling2D()(middle)) for _ in range(2)]
    return summarize_network(keras.Model(inputs, [mask, *heads]))


def pyramid():
    """An encoder that takes smaller copies of the image at its lower levels."""
    x = inputs = keras.Input((32, 32, 1), name="radiograph")
    for level in range(3):
        x = layers.Conv2D(4, 3, 2, padding="same")(x)
        x = layers.Concatenate()([x, layers.AveragePooling2D(2 ** (level + 1))(inputs)])
    return summarize_network(keras.Model(inputs, x))


def two_hourglasses():
    """Two U-Nets in a row."""
    x = inputs = keras.Input((32, 32, 1), name="radiograph")
    for _ in range(2):
        skips = []
        for width in (2, 4):
            skips.append(layers.Conv2D(width, 3, padding="same")(x))
            x = layers.MaxPooling2D()(skips[-1])
        for width, skip in ((4, skips[1]), (2, skips[0])):
            x = layers.Add()([layers.Conv2DTranspose(width, 2, 2)(x), skip])
    return summarize_network(keras.Model(inputs, x))


def one_layer():
    inputs = keras.Input((8, 8, 1), name="radiograph")
    return summarize_network(keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(inputs)))


NETWORKS = {
    **{name: (generator, name) for name in GENERATORS},
    **{f"{name} discriminator": (discriminator, name) for name in DISCRIMINATORS},
    **{build.__name__: (build,) for build in (two_heads, pyramid, two_hourglasses, one_layer)},
}


@pytest.fixture(params=NETWORKS, scope="module")
def summary(request):
    build, *arguments = NETWORKS[request.param]
    return build(*arguments)


def skips(summary):
    """The sides of the images of all blocks that are connected across."""
    diagram = build_diagram(summary)
    pairs = [(diagram.blocks[start], diagram.blocks[end]) for start, end in diagram.edges]
    return sorted(start.shape[0] for start, end in pairs if start.row == end.row)


def test_every_parameter_is_counted_in_one_block(summary):
    assert sum(block.parameters for block in build_diagram(summary).blocks) == summary.parameters


def test_text_has_a_frame_for_every_block_with_its_shape_and_layers(summary):
    text = draw_text(summary)
    blocks = build_diagram(summary).blocks
    assert text.count("┌─") >= len(blocks)
    for block in blocks:
        assert format_shape(block.shape) in text
        for line in block.lines:
            assert f"│ {line} " in text


def test_every_block_but_the_first_is_connected(summary):
    diagram = build_diagram(summary)
    reached = {end for _, end in diagram.edges}
    assert reached == set(range(1, len(diagram.blocks)))
    heads = sum(draw_text(summary).count(head) for head in "▲▶▼◀")
    assert heads == len({tuple(route[-1]) for route in diagram.routes()})


def test_svg_has_all_text_without_overlap(summary):
    root = ET.fromstring(draw_svg([("generator <G> & co", "1 parameter", summary), ("discriminator", "", summary)]))
    width, height = float(root.get("width")), float(root.get("height"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"generator <G> & co", "discriminator", *LEGEND} <= set(texts)
    for block in build_diagram(summary).blocks:
        assert all(texts.count(line) >= 2 for line in block.lines)
    for group in root.findall(f"{SVG}g"):
        x, y = map(float, group.get("transform").removeprefix("translate(").rstrip(")").split())
        frames = [
            [float(frame.get(key)) for key in ("x", "y", "width", "height")] for frame in group.iter(f"{SVG}rect")
        ]
        for one, two in itertools.combinations(frames, 2):
            across = one[0] + one[2] <= two[0] or two[0] + two[2] <= one[0]
            assert across or one[1] + one[3] <= two[1] or two[1] + two[3] <= one[1]
        for left, top, wide, high in frames:
            assert 0 <= x + left <= x + left + wide <= width
            assert 0 <= y + top <= y + top + high <= height
        for text in group.iter(f"{SVG}text"):
            left, base = float(text.get("x")), float(text.get("y"))
            right = left + CHARACTER * len(text.text)
            assert any(a <= left <= right <= a + w and b < base < b + h for a, b, w, h in frames)


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("unet", [8, 16, 32, 64]),
        ("attention-unet", [8, 16, 32, 64]),
        ("pix2pix", [4, 8, 16, 32]),
        ("residual-unet", [4, 8, 16, 32]),
        ("fcn", [4, 8]),
        ("scan", []),
    ],
)
def test_the_skips_of_a_generator_connect_blocks_of_equal_size(name, sides):
    assert skips(generator(name)) == sides


def test_a_unet_goes_down_in_one_column_and_up_in_the_next():
    blocks = build_diagram(generator("unet")).blocks
    assert [block.shape[0] for block in blocks] == [64, 32, 16, 8, 4, 8, 16, 32, 64]
    assert [(block.column, block.upwards) for block in blocks] == [(0, False)] * 5 + [(1, True)] * 4
    assert blocks[5].lines[1:] == ("ConvTranspose 2×2 /2", "Concatenate", "2 × Conv 3×3")  # noqa: RUF001


def test_each_of_four_discriminators_has_its_own_column():
    blocks = build_diagram(discriminator("four-scales", (256, 256))).blocks
    assert [sum(block.column == column for block in blocks) for column in range(5)] == [6, 6, 6, 6, 0]


def test_further_outputs_have_their_own_columns():
    blocks = build_diagram(two_heads()).blocks
    assert sorted(block.column for block in blocks) == [0, 0, 1, 2, 3]
    assert skips(two_heads()) == [16]


def test_two_networks_in_a_row_have_four_columns_and_all_skips():
    assert {block.column for block in build_diagram(two_hourglasses()).blocks} == {0, 1, 2, 3}
    assert skips(two_hourglasses()) == [16, 16, 32, 32]


def test_unknown_layers_are_shown_by_name():
    summary = one_layer()
    changed = replace(summary, layers=(summary.layers[0], replace(summary.layers[1], kind="Wavelet2D")))
    assert "Wavelet 3×3" in draw_text(changed)  # noqa: RUF001

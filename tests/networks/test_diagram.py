"""Diagrams of all networks there are, and of some that there are not."""

import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace

import keras
import pytest
from keras import layers

from lungmask_cli.config import DiscriminatorConfig, GeneratorConfig
from lungmask_cli.networks.diagram.layout import lay_out
from lungmask_cli.networks.diagram.outline import find_legs, outline
from lungmask_cli.networks.diagram.svg import PEN as SVG_PEN
from lungmask_cli.networks.diagram.svg import draw_svg
from lungmask_cli.networks.diagram.text import PEN as TEXT_PEN
from lungmask_cli.networks.diagram.text import draw_text
from lungmask_cli.networks.discriminators import build_discriminator
from lungmask_cli.networks.generators import build_generator
from lungmask_cli.networks.parts import DISCRIMINATORS, GENERATORS
from lungmask_cli.networks.summary import TIMES, summarize_network

SHAPE = (64, 64)
SVG = "{http://www.w3.org/2000/svg}"


def generator(name):
    return summarize_network(
        build_generator(GeneratorConfig(name, filters=2, max_filters=8, normalization="batch"), SHAPE)
    )


def discriminator(name, shape=SHAPE):
    return summarize_network(build_discriminator(DiscriminatorConfig(name, filters=2), shape))


def two_heads():
    """A U-Net of two levels that also says from its middle, twice, whether there is a chest at all."""
    inputs = keras.Input((16, 16, 1), name="radiograph")
    top = layers.Conv2D(2, 3, padding="same")(inputs)
    middle = layers.Conv2D(4, 3, 2, padding="same")(top)
    up = layers.UpSampling2D(2)(middle)
    drawn = layers.Conv2D(1, 3, padding="same")(layers.Concatenate()([up, top]))
    heads = [layers.Dense(1)(layers.GlobalAveragePooling2D()(middle)) for _ in range(2)]
    return summarize_network(keras.Model(inputs, [drawn, *heads]))


def pyramid():
    """An encoder that is shown smaller copies of the image further down."""
    x = inputs = keras.Input((32, 32, 1), name="radiograph")
    for level in range(3):
        x = layers.Conv2D(4, 3, 2, padding="same")(x)
        x = layers.Concatenate()([x, layers.AveragePooling2D(2 ** (level + 1))(inputs)])
    return summarize_network(keras.Model(inputs, x))


def two_hourglasses():
    """Down, up, down and up again, with a skip over each valley."""
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
    **{make.__name__: (make,) for make in (two_heads, pyramid, two_hourglasses, one_layer)},
}


@pytest.fixture(params=NETWORKS, scope="module")
def anatomy(request):
    make, *arguments = NETWORKS[request.param]
    return make(*arguments)


def test_every_parameter_is_in_one_block_or_branch(anatomy):
    drawn = outline(anatomy)
    assert sum(part.parameters for part in (*drawn.blocks, *drawn.branches)) == anatomy.parameters


@pytest.mark.parametrize("pen", [SVG_PEN, TEXT_PEN], ids=["svg", "text"])
def test_boxes_do_not_overlap_and_text_has_room(anatomy, pen):
    boxes = lay_out(outline(anatomy), pen).boxes
    for one, other in itertools.combinations(boxes, 2):
        apart = one.right <= other.x or other.right <= one.x or one.bottom <= other.y or other.bottom <= one.y
        assert apart, (one, other)
    for box in boxes:
        room = box.width - 2 * pen.padding[0]
        assert all(len(line) * pen.advance <= room for line in (*box.lines, f"{box.title} {box.note}"))


@pytest.mark.parametrize("pen", [SVG_PEN, TEXT_PEN], ids=["svg", "text"])
def test_arrows_run_across_or_down_and_end_at_a_box(anatomy, pen):
    layout = lay_out(outline(anatomy), pen)
    for arrow in layout.arrows:
        for (x, y), (next_x, next_y) in itertools.pairwise(arrow.points):
            assert x == next_x or y == next_y
        for x, y in (arrow.points[0], arrow.points[-1]):
            assert any(box.x <= x <= box.right and box.y <= y <= box.bottom for box in layout.boxes)


def test_text_has_all_words_and_straight_frames(anatomy):
    drawn = outline(anatomy)
    text = draw_text(drawn)
    assert text.count("┌") >= len(drawn.blocks)
    words = " ".join(part.strip("│ ") for part in text.replace("│", "\n").splitlines())
    for block in drawn.blocks:
        assert f" {TIMES} ".join(map(str, block.shape)) in text
        assert all(word.split()[0] in words for word in block.work)


def test_svg_is_one_document_with_a_white_ground_and_all_text_inside(anatomy):
    drawn = outline(anatomy)
    root = ET.fromstring(draw_svg([("generator <G> & co", drawn), ("discriminator", drawn)]))
    width, height = float(root.get("width")), float(root.get("height"))
    ground = root.find(f"{SVG}rect")
    assert (ground.get("fill"), float(ground.get("width")), float(ground.get("height"))) == ("#ffffff", width, height)
    for group in root.findall(f"{SVG}g"):
        x, y = map(float, group.get("transform").removeprefix("translate(").rstrip(")").split())
        for frame in group.findall(f"{SVG}rect"):
            assert x + float(frame.get("x")) >= 0
            assert x + float(frame.get("x")) + float(frame.get("width")) <= width
            assert y + float(frame.get("y")) + float(frame.get("height")) <= height
    for text in root.findall(f"{SVG}text"):
        assert float(text.get("x")) + len(text.text) * SVG_PEN.advance <= width
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "generator <G> & co" in texts
    assert len(texts) >= 2 * len(drawn.blocks)


@pytest.mark.parametrize(
    ("areas", "legs"),
    [
        ([9, 4, 1], ()),
        ([9], ()),
        ([4, 9], (0, 0)),
        ([9, 4, 1, 4, 9], (0, 0, 1, 2, 2)),
        ([16, 9, 4, 16], (0, 0, 1, 2)),
        ([9, 4, 1, 4, 9, 4, 1, 4, 9], (0, 0, 1, 2, 3, 4, 5, 6, 6)),
        ([9, 4, 9, 4, 9], (0, 1, 3, 5, 6)),
    ],
)
def test_legs_are_counted_by_turns(areas, legs):
    assert find_legs(areas) == legs


def test_a_unet_has_a_skip_on_each_level_but_the_last():
    drawn = outline(generator("unet"))
    assert [block.shape[0] for block in drawn.blocks] == [64, 32, 16, 8, 4, 8, 16, 32, 64]
    assert {(branch.sources, branch.target) for branch in drawn.branches} == {((4 - k,), 4 + k) for k in range(1, 5)}
    assert not any(branch.work for branch in drawn.branches)
    assert drawn.blocks[5].work == (f"ConvTranspose 2{TIMES}2 /2", "Concatenate", f"2 {TIMES} Conv 3{TIMES}3")


def test_an_attention_gate_is_a_branch_with_work_that_also_sees_the_level_below():
    drawn = outline(generator("attention-unet"))
    gate = next(branch for branch in drawn.branches if branch.target == 6)
    assert gate.sources == (2, 5)
    assert gate.work[-1] == "Multiply"
    assert gate.parameters > 0


def test_residual_blocks_are_told_in_words():
    drawn = outline(generator("scan"))
    assert drawn.branches == ()
    assert f"Add with Conv 1{TIMES}1" in drawn.blocks[1].work
    assert any(work.startswith(f"2 {TIMES} (2 {TIMES} Conv") for work in drawn.blocks[4].work)


def test_what_is_merged_from_far_back_on_the_way_down_is_told_with_its_shape():
    work = outline(pyramid()).blocks[2].work
    assert work[-1] == f"Concatenate with AveragePooling 4{TIMES}4 of 32 {TIMES} 32 {TIMES} 1"


def test_each_of_four_discriminators_has_a_line_of_its_own():
    drawn = outline(discriminator("four-scales", (256, 256)))
    assert [len(chain.blocks) for chain in drawn.chains] == [6, 6, 6, 6]
    assert [chain.start for chain in drawn.chains] == [None, 0, 6, 12]
    boxes = lay_out(drawn, SVG_PEN).boxes
    assert len({box.y + box.height / 2 for box in boxes}) == 4


def test_heads_stand_beside_the_block_they_start_from():
    drawn = outline(two_heads())
    boxes = lay_out(drawn, SVG_PEN).boxes
    main = [boxes[number] for number in drawn.chains[0].blocks]
    heads = [boxes[number] for chain in drawn.chains[1:] for number in chain.blocks]
    assert len(heads) == 2
    assert all(head.x >= max(box.right for box in main) for head in heads)


def test_layers_of_ones_own_are_drawn_by_their_names():
    anatomy = one_layer()
    own = replace(anatomy, layers=(anatomy.layers[0], replace(anatomy.layers[1], kind="Wavelet2D")))
    assert "Wavelet" in draw_text(outline(own))

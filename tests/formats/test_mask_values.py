"""What the numbers of a mask file mean: each documented form comes back exactly, or is refused with what to do."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.formats.mask_values import MaskOptions, describe_labels, make_mask_options
from lungmask_cli.formats.masks import read_lung_mask
from tests.phantoms import draw_phantom

PHANTOM = draw_phantom(64, 64)
RIGHT, LEFT, LUNGS = PHANTOM.right, PHANTOM.left, PHANTOM.lungs
HEART = np.zeros((64, 64), bool)
HEART[40:52, 28:36] = True
HEART &= ~LUNGS
RING = np.zeros((64, 64), bool)  # around the lungs, as for "ignore"
RING[1:-1, 1:-1] = LUNGS[2:, 1:-1] | LUNGS[:-2, 1:-1] | LUNGS[1:-1, 2:] | LUNGS[1:-1, :-2]
RING &= ~LUNGS


def grey(*values: tuple[np.ndarray, int], background: int = 0, kind: type = np.uint8) -> np.ndarray:
    """An image of these values in these masks, the later over the earlier."""
    image = np.full((64, 64), background, kind)
    for mask, value in values:
        image[mask] = value
    return image


def save(path: Path, values: np.ndarray, **options: object) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def save_palette(path: Path, indices: np.ndarray, colours: list[tuple[int, int, int]], **options: object) -> Path:
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([number for colour in colours for number in colour])
    image.save(path, **options)
    return path


def coloured(*values: tuple[np.ndarray, tuple[int, int, int]], background: tuple[int, int, int] = (0, 0, 0)):
    image = np.full((64, 64, 3), background, np.uint8)
    for mask, value in values:
        image[mask] = value
    return image


def assert_lungs(path: Path, expected: np.ndarray = LUNGS, **options: object) -> None:
    assert np.array_equal(read_lung_mask(path, MaskOptions(**options)).lungs, expected)  # type: ignore[arg-type]


def refusal(path: Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_lung_mask(path)
    assert caught.value.message.startswith(str(path))
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("ignored", [255, 254, 200])
def test_labels_with_an_ignored_area_are_refused_unless_the_labels_are_given(tmp_path, ignored):
    path = save(tmp_path / "a.png", grey((RING, ignored), (RIGHT, 1), (LEFT, 2)))
    assert "--labels" in refusal(path).hint
    assert_lungs(path, labels=(1, 2))
    both = save(tmp_path / "b.png", grey((RING, ignored), (LUNGS, 1)))
    assert "--labels" in refusal(both).hint
    assert_lungs(both, labels=(1, 1))


def test_a_palette_with_an_ignored_area_is_refused_unless_the_labels_are_given(tmp_path):
    colours = [(0, 0, 0), (128, 0, 0), (0, 128, 0)] + [(0, 0, 0)] * 252 + [(224, 224, 192)]
    path = save_palette(tmp_path / "a.png", grey((RING, 255), (RIGHT, 1), (LEFT, 2)), colours)
    assert "--labels" in refusal(path).hint
    assert_lungs(path, labels=(1, 2))


@pytest.mark.parametrize("value", [64, 127, 128, 170, 220])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_another_organ_in_another_grey_is_refused(tmp_path, value, name):
    path = save(tmp_path / name, np.kron(grey((HEART, value), (LUNGS, 255)), np.ones((8, 8), np.uint8)))
    assert "--labels" in refusal(path).hint
    if not name.endswith("jpg"):
        assert_lungs(path, np.kron(LUNGS, np.ones((8, 8), bool)), labels=(255, 255))


def test_right_and_left_lung_in_two_greys_are_refused_unless_the_labels_are_given(tmp_path):
    path = save(tmp_path / "a.png", grey((RIGHT, 128), (LEFT, 255)))
    assert "--labels" in refusal(path).hint
    mask = read_lung_mask(path, MaskOptions(labels=(128, 255)))
    assert np.array_equal(mask.right, RIGHT)
    assert np.array_equal(mask.left, LEFT)


@pytest.mark.parametrize("background", [1, 128, 170])
def test_a_mask_without_a_background_of_0_is_refused(tmp_path, background):
    largest = 2 if background == 1 else 255
    assert "background" in refusal(save(tmp_path / "a.png", grey((LUNGS, largest), background=background))).message


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 30, 40)])
@pytest.mark.parametrize("opaque", [255, 128])
def test_a_mask_in_the_transparency_is_read(tmp_path, colour, opaque):
    rgba = np.dstack([coloured(background=colour), grey((LUNGS, opaque))])
    assert_lungs(save(tmp_path / "rgba.png", rgba))
    assert_lungs(save(tmp_path / "la.png", rgba[..., [0, 3]]))
    assert_lungs(save(tmp_path / "a.webp", rgba, lossless=True, exact=True))


def test_a_mask_in_both_colour_and_transparency_is_read(tmp_path):
    rgba = np.dstack([coloured((LUNGS, (0, 255, 0))), grey((LUNGS, 255))])
    assert_lungs(save(tmp_path / "a.png", rgba))
    grey_and_alpha = np.dstack([grey((LUNGS, 255)), grey((LUNGS, 255))])
    assert_lungs(save(tmp_path / "b.png", grey_and_alpha))


@pytest.mark.parametrize("opacity", [0, 128, 255])
def test_transparency_that_is_the_same_everywhere_is_ignored(tmp_path, opacity):
    assert_lungs(save(tmp_path / "a.png", np.dstack([grey((LUNGS, 255)), grey(background=opacity)])))


def test_colours_and_transparency_that_differ_are_refused(tmp_path):
    rgba = np.dstack([coloured((RIGHT, (255, 255, 255))), grey((LUNGS, 255))])
    assert "transparency" in refusal(save(tmp_path / "a.png", rgba)).message
    assert "transparency" in refusal(save(tmp_path / "b.png", rgba[..., [0, 3]])).message


def test_several_colours_on_a_transparent_background_are_refused_unless_they_are_given(tmp_path):
    rgba = np.dstack([coloured((RIGHT, (0, 255, 0)), (LEFT, (0, 0, 255)), background=(9, 9, 9)), grey((LUNGS, 255))])
    path = save(tmp_path / "a.png", rgba)
    assert "--labels" in refusal(path).hint
    mask = read_lung_mask(path, make_mask_options("#00ff00,#0000ff", None))
    assert np.array_equal(mask.left, LEFT)
    assert np.array_equal(mask.lungs, LUNGS)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (0, 140, 20), (255, 255, 0)])
def test_one_colour_on_black_is_lung_however_dark_its_luminance(tmp_path, colour):
    assert_lungs(save(tmp_path / "a.png", coloured((LUNGS, colour))))
    smooth = Image.fromarray(coloured((LUNGS, colour))).resize((128, 128), Image.Resampling.BILINEAR)
    smooth.save(tmp_path / "b.png")
    assert read_lung_mask(tmp_path / "b.png").lungs.sum() == pytest.approx(4 * LUNGS.sum(), rel=0.05)


@pytest.mark.parametrize(
    ("right", "left", "background"),
    [
        ((0, 255, 0), (0, 0, 255), (0, 0, 0)),
        ((255, 0, 0), (128, 0, 128), (0, 0, 0)),
        ((255, 0, 0), (255, 0, 0), (255, 255, 255)),
    ],
)
def test_several_colours_are_refused_unless_they_are_given_as_labels(tmp_path, right, left, background):
    path = save(tmp_path / "a.png", coloured((RIGHT, right), (LEFT, left), background=background))
    error = refusal(path)
    assert "#{:02x}{:02x}{:02x}".format(*right) in error.message
    assert "--labels" in error.hint
    labels = ",".join(dict.fromkeys("#{:02X}{:02x}{:02x}".format(*colour) for colour in (right, left)))
    mask = read_lung_mask(path, make_mask_options(labels, None))
    assert np.array_equal(mask.lungs, LUNGS)
    if right != left:
        assert np.array_equal(mask.left, LEFT)
    assert refusal(save(tmp_path / "a.jpg", coloured((RIGHT, right), (LEFT, left), background=background)))


def test_a_picture_of_many_colours_is_no_mask(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert "many colours" in refusal(save(tmp_path / "a.png", photograph)).message


@pytest.mark.parametrize("first", [(255, 0, 0), (255, 255, 255)])
def test_a_palette_that_does_not_begin_with_black_is_read_by_its_colours(tmp_path, first):
    """As programs order the palette of a GIF by how frequent the colours are."""
    assert_lungs(save_palette(tmp_path / "a.gif", grey((~LUNGS, 1)), [first, (0, 0, 0)]))


@pytest.mark.parametrize("largest", [1, 2, 3])
@pytest.mark.parametrize(("name", "quality"), [("a.jpg", 95), ("a.jpg", 50), ("a.webp", 90), ("a.jp2", None)])
def test_small_numbers_in_a_lossy_file_are_refused(tmp_path, largest, name, quality):
    options = {} if quality is None else {"quality": quality}
    path = save(tmp_path / name, grey((RIGHT, 1), (LEFT, largest)), **options)
    assert "PNG" in refusal(path).hint


def test_small_numbers_in_colours_of_sixteen_bits_are_refused(tmp_path):
    rows = b"".join(b"\0" + row.astype(">u2").repeat(3).tobytes() for row in grey((LUNGS, 1), kind=np.uint16))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert "PNG" in refusal(tmp_path / "a.png").hint


@pytest.mark.parametrize("values", [[[-1, 0, 1]], [[-5.5, 0, 7.2]], [[0, 0.5, 7.5]]])
def test_numbers_that_are_neither_labels_nor_probabilities_are_refused(tmp_path, values):
    Image.fromarray(np.array(values, np.float32)).save(tmp_path / "a.tif")
    refusal(tmp_path / "a.tif")


def test_smoothed_masks_and_those_that_jpeg_has_blurred_are_read(tmp_path):
    large = Image.fromarray(np.kron(grey((LUNGS, 255)), np.ones((4, 4), np.uint8)))
    expected = np.kron(LUNGS, np.ones((4, 4), bool))
    for quality in (30, 75, 95):
        large.save(tmp_path / "a.jpg", quality=quality)
        assert (read_lung_mask(tmp_path / "a.jpg").lungs != expected).mean() < 0.005
    for size in (100, 256, 700):
        small = Image.fromarray(grey((LUNGS, 255))).resize((size, size), Image.Resampling.BICUBIC)
        small.save(tmp_path / "a.png")
        assert read_lung_mask(tmp_path / "a.png").lungs.mean() == pytest.approx(LUNGS.mean(), rel=0.05)


@pytest.mark.parametrize(
    ("text", "labels", "in_colour"),
    [("1,2", (1, 2), False), ("7", (7, 7), False), ("3, 4", (3, 4), False), ("#00FF00,#0000ff", (0xFF00, 0xFF), True)],
)
def test_labels_are_parsed_and_described(text, labels, in_colour):
    options = make_mask_options(text, None)
    assert (options.labels, options.in_colour) == (labels, in_colour)
    assert describe_labels(options) == text.replace(" ", "").lower()


@pytest.mark.parametrize(
    ("text", "lungs", "heart"),
    [
        ("right=1,left=2,heart=3", (1, 2), 3),
        ("heart=1, lungs=4", (4, 4), 1),
        ("left=2,right=1", (1, 2), None),
        ("lungs=#00ff00,heart=#ff0000", (0xFF00, 0xFF00), 0xFF0000),
    ],
)
def test_labels_can_be_named_and_include_the_heart(text, lungs, heart):
    options = make_mask_options(text, None)
    assert (options.labels, options.heart) == (lungs, heart)
    assert make_mask_options(describe_labels(options), None) == options


def test_the_label_of_the_heart_is_read(tmp_path):
    path = save(tmp_path / "a.png", grey((RIGHT, 1), (LEFT, 2), (HEART, 3)))
    mask = read_lung_mask(path, make_mask_options("right=1,left=2,heart=3", None))
    assert np.array_equal(mask.heart, HEART)
    assert np.array_equal(mask.left, LEFT & ~HEART)
    assert read_lung_mask(path, make_mask_options("1,2", None)).heart is None


@pytest.mark.parametrize(
    "text",
    [
        *("1,1", "a,b", "1,2,3", "", "-1,2", "#00ff0,#1", "1,#0000ff", "right=1,left=1,heart=2", "heart=1"),
        *("right=1,heart=2", "lungs=1,left=2", "right=1,left=2,heart=#0000ff", "right=1,left=2,liver=3"),
    ],
)
def test_other_labels_are_refused(text):
    with pytest.raises(UsageError, match="--labels"):
        make_mask_options(text, None)


def as_binary(path: Path, value: int, kind: type = np.uint8) -> None:
    save(path, grey((LUNGS, value), kind=kind))


# Each documented form; those that are ambiguous may be refused, but none may be read as something else.
FORMS: dict[str, Callable[[Path, int], object]] = {
    "8 bits": as_binary,
    "16 bits": lambda path, value: as_binary(path, 257 * value, np.uint16),
    "labels": lambda path, value: save(path, grey((RIGHT, 1), (LEFT, 2))),
    "labels and ignore": lambda path, value: save(path, grey((RING, max(3, value)), (RIGHT, 1), (LEFT, 2))),
    "lungs and heart": lambda path, value: save(path, grey((HEART, min(254, value)), (LUNGS, 255))),
    "heart brighter than lungs": lambda path, value: save(path, grey((HEART, 255), (LUNGS, min(254, value)))),
    "two greys": lambda path, value: save(path, grey((RIGHT, value), (LEFT, 255))),
    "transparency": lambda path, value: save(path, np.dstack([grey(background=value), grey((LUNGS, 255))])),
    "half transparent": lambda path, value: save(path, np.dstack([grey(background=9), grey((LUNGS, value))])),
    "colour": lambda path, value: save(path, coloured((LUNGS, (0, value, value // 2)))),
    "two colours": lambda path, value: save(path, coloured((RIGHT, (0, value, 0)), (LEFT, (0, 0, 255)))),
    "colour and white background": lambda path, value: save(
        path, coloured((LUNGS, (value, 0, 0)), background=(255, 255, 255))
    ),
    "palette": lambda path, value: save_palette(
        path, grey((RIGHT, 1), (LEFT, 2)), [(0, 0, 0), (value, 0, 0), (0, value, 0)]
    ),
    "palette and ignore": lambda path, value: save_palette(
        path, grey((RING, 3), (RIGHT, 1), (LEFT, 2)), [(0, 0, 0), (value, 0, 0), (0, value, 0), (255, 255, 255)]
    ),
    "unordered palette": lambda path, value: save_palette(path, grey((~LUNGS, 1)), [(value, 0, 0), (0, 0, 0)]),
}


NEVER_AMBIGUOUS = ("16 bits", "labels", "transparency", "palette")


@given(st.sampled_from(sorted(FORMS)), st.integers(1, 255), st.sampled_from(["png", "tif"]))
@settings(max_examples=200, deadline=None)
def test_a_mask_in_any_form_comes_back_exactly_or_is_refused(tmp_path_factory, form, value, suffix):
    path = tmp_path_factory.mktemp("forms") / f"a.{suffix}"
    FORMS[form](path, value)
    try:
        mask = read_lung_mask(path)
    except ImageError:
        assert form not in NEVER_AMBIGUOUS, (form, value)
        return
    assert np.array_equal(mask.lungs, LUNGS), (form, value)

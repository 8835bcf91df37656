"""The Python interface, and networks that several threads use."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lungmask_cli
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.inference.segmenter import Segmenter
from lungmask_cli.inference.two_pass import predict
from lungmask_cli.models.load import start_runtime
from lungmask_cli.models.network import batched
from tests.inference.by_hand import NETWORK, by_hand
from tests.phantoms import draw_phantom, save_grey

__all__ = ["by_hand"]


def dice(one, two):
    return 2 * np.count_nonzero(one & two) / (np.count_nonzero(one) + np.count_nonzero(two))


def test_an_array_and_its_file_have_the_same_lungs(by_hand, tmp_path):
    phantom = draw_phantom(200, 160)
    path = save_grey(tmp_path / "a.png", phantom.image)
    segmenter = lungmask_cli.Segmenter()
    found = segmenter.segment(np.round(phantom.image * 255).astype(np.uint8))
    assert found.lungs.shape == found.probability.shape == (200, 160)
    assert np.array_equal(found.lungs, segmenter.segment(path).lungs)
    assert np.array_equal(found.lungs, found.right | found.left)
    assert not (found.right & found.left).any()
    assert dice(found.right, phantom.right) > 0.9
    assert dice(found.left, phantom.left) > 0.9


def test_the_unit_of_an_array_does_not_matter(by_hand):
    image = draw_phantom(128, 128).image
    segmenter = Segmenter()
    lungs = segmenter.segment(image).lungs
    assert dice(segmenter.segment(image.astype(np.float64) * 4000 - 1000).lungs, lungs) > 0.999


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 3)), np.zeros((0, 4)), np.full((8, 8), np.nan), np.full((8, 8), "a")]
)
def test_what_is_no_radiograph_is_refused(by_hand, array):
    with pytest.raises(ImageError):
        Segmenter().segment(array)


def test_threads_may_share_a_segmenter(by_hand):
    images = [draw_phantom(100, 90, seed).image for seed in range(16)]
    segmenter = Segmenter(threads=4)
    alone = [segmenter.segment(image).lungs for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: segmenter.segment(image).lungs, images))
    assert all(map(np.array_equal, alone, together))


def test_several_networks_count_the_same():
    image = draw_phantom(128, 128).image
    one = predict([NETWORK], image)
    two = predict([NETWORK, NETWORK], image)
    assert len(two.looks) == 2 * len(one.looks)
    assert two.probability == pytest.approx(one.probability, abs=1e-6)


def test_augmentation_looks_more_often_and_finds_the_same():
    image = draw_phantom(128, 128).image
    plain, augmented = predict([NETWORK], image), predict([NETWORK], image, augment=True)
    assert len(augmented.looks) > len(plain.looks)
    assert dice(plain.probability > 0.5, augmented.probability > 0.5) > 0.97


def test_what_waits_is_drawn_in_one_go_and_each_gets_its_own():
    begun, sizes = threading.Event(), []

    def draw(seen):
        begun.wait(5)
        sizes.append(len(seen))
        return seen + 1

    ask = batched(draw, max_batch=4)
    with ThreadPoolExecutor(9) as pool:
        answers = [pool.submit(ask, np.full((1, 2, 2), float(number), np.float32)) for number in range(9)]
        begun.set()
        for number, answer in enumerate(answers):
            assert np.array_equal(answer.result(), np.full((1, 2, 2), number + 1.0))
    assert sum(sizes) == 9
    assert 1 < max(sizes) <= 4


def test_who_waits_hears_of_errors():
    def draw(seen):
        raise ValueError("no memory left")

    ask = batched(draw, max_batch=4)
    for _ in range(2):
        with pytest.raises(ValueError, match="no memory left"):
            ask(np.zeros((1, 2, 2), np.float32))


def test_unknown_runtimes_are_refused():
    with pytest.raises(UsageError, match="no runtime named 'tenserflow'"):
        start_runtime("tenserflow")
    with pytest.raises(UsageError, match="computes on the CPU"):
        start_runtime("onnx", "gpu")

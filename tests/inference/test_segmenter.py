"""The Python interface, and networks that several threads share."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import lungmask_cli
from lungmask_cli.errors import ImageError, UsageError
from lungmask_cli.inference.options import InferenceOptions
from lungmask_cli.inference.segmenter import Segmenter
from lungmask_cli.inference.two_pass import predict
from lungmask_cli.models import load
from lungmask_cli.models.load import start_runtime
from lungmask_cli.models.network import batched
from lungmask_cli.networks.backend import Device, has_gpu
from tests.inference.fake_network import NETWORK, fake_network
from tests.phantoms import draw_phantom, save_grey

__all__ = ["fake_network"]


def dice(one, two):
    return 2 * np.count_nonzero(one & two) / (np.count_nonzero(one) + np.count_nonzero(two))


def test_an_array_and_its_file_have_the_same_lungs(fake_network, tmp_path):
    phantom = draw_phantom(200, 160)
    path = save_grey(tmp_path / "a.png", phantom.image)
    segmenter = lungmask_cli.Segmenter()
    result = segmenter.segment(np.round(phantom.image * 255).astype(np.uint8))
    assert result.lungs.shape == result.probability.shape == (200, 160)
    assert np.array_equal(result.lungs, segmenter.segment(path).lungs)
    assert np.array_equal(result.lungs, result.right | result.left)
    assert not (result.right & result.left).any()
    assert dice(result.right, phantom.right) > 0.9
    assert dice(result.left, phantom.left) > 0.9


def test_the_unit_of_an_array_does_not_matter(fake_network):
    image = draw_phantom(128, 128).image
    segmenter = Segmenter()
    lungs = segmenter.segment(image).lungs
    assert dice(segmenter.segment(image.astype(np.float64) * 4000 - 1000).lungs, lungs) > 0.999


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3, 3)), np.zeros((0, 4)), np.full((8, 8), np.nan), np.full((8, 8), "a")]
)
def test_arrays_that_are_not_radiographs_are_refused(fake_network, array):
    with pytest.raises(ImageError):
        Segmenter().segment(array)


def test_the_options_are_keywords_of_the_segmenter(fake_network):
    segmenter = Segmenter("tiny", tta=True, polarity=False, threads=2)
    assert (segmenter.tta, segmenter.polarity, segmenter.cleanup, segmenter.threads) == (True, False, True, 2)
    assert "tta=True" in repr(segmenter)
    assert InferenceOptions(["general", Path("run")]).weight_names == ("general", "run")
    with pytest.raises(TypeError, match="augment"):
        Segmenter(augment=True)


def test_threads_can_share_a_segmenter(fake_network):
    images = [draw_phantom(100, 90, seed).image for seed in range(16)]
    segmenter = Segmenter(threads=4)
    alone = [segmenter.segment(image).lungs for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: segmenter.segment(image).lungs, images))
    assert all(map(np.array_equal, alone, together))


def test_several_networks_are_averaged():
    image = draw_phantom(128, 128).image
    one = predict([NETWORK], image)
    two = predict([NETWORK, NETWORK], image)
    assert len(two.passes) == 2 * len(one.passes)
    assert two.probability == pytest.approx(one.probability, abs=1e-6)


def test_tta_adds_passes_and_finds_the_same_lungs():
    image = draw_phantom(128, 128).image
    plain, augmented = predict([NETWORK], image), predict([NETWORK], image, tta=True)
    assert len(augmented.passes) > len(plain.passes)
    assert dice(plain.probability > 0.5, augmented.probability > 0.5) > 0.97


def test_waiting_images_are_predicted_as_one_batch():
    begun, sizes = threading.Event(), []

    def predict(images):
        begun.wait(5)
        sizes.append(len(images))
        return images + 1

    predict_batched = batched(predict, 4)
    with ThreadPoolExecutor(9) as pool:
        answers = [pool.submit(predict_batched, np.full((1, 2, 2), float(number), np.float32)) for number in range(9)]
        begun.set()
        for number, answer in enumerate(answers):
            assert np.array_equal(answer.result(), np.full((1, 2, 2), number + 1.0))
    assert sum(sizes) == 9
    assert 1 < max(sizes) <= 4


def test_errors_reach_all_waiting_callers():
    def predict(images):
        raise ValueError("no memory left")

    predict_batched = batched(predict, 4)
    for _ in range(2):
        with pytest.raises(ValueError, match="no memory left"):
            predict_batched(np.zeros((1, 2, 2), np.float32))


def test_unknown_runtimes_are_refused():
    with pytest.raises(UsageError, match="no runtime named 'tenserflow'"):
        start_runtime("tenserflow")
    with pytest.raises(UsageError, match="computes on the CPU"):
        start_runtime("onnx", "gpu")


@pytest.mark.parametrize(
    ("runtime", "device", "driver", "backend", "expected"),
    [
        ("auto", "auto", False, "cpu", "onnx"),
        ("auto", "auto", True, "gpu", "keras"),
        ("auto", "auto", True, "cpu", "onnx"),  # TensorFlow without CUDA
        ("auto", "cpu", True, "gpu", "onnx"),
        ("auto", "gpu:0", False, "gpu", "keras"),
        ("keras", "auto", False, "cpu", "keras"),
        ("onnx", "auto", True, "gpu", "onnx"),
    ],
)
def test_keras_runs_on_gpus_and_onnx_on_the_cpu(runtime, device, driver, backend, expected, monkeypatch):
    monkeypatch.setattr(load, "has_gpu", lambda: driver)
    monkeypatch.setattr(load, "choose_device", lambda hardware: Device(backend, "fake"))
    chosen, used = start_runtime(runtime, device)
    assert chosen == expected
    assert used.kind == (backend if expected == "keras" else "cpu")


@pytest.mark.parametrize(
    ("runtime", "sizes", "expected"),
    [
        ("auto", [54_000_000, 124_000_000], "keras"),
        ("auto", [54_000_000, 54_000_000], "auto"),
        ("onnx", [124_000_000], "onnx"),
        ("keras", [54_000_000], "keras"),
    ],
)
def test_large_networks_run_with_keras_unless_onnx_is_named(runtime, sizes, expected, tmp_path):
    files = [tmp_path / f"{number}.weights.h5" for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        with file.open("wb") as stream:
            stream.truncate(size)
    assert InferenceOptions(files, runtime=runtime).choose_runtime() == expected


def test_a_hidden_gpu_is_not_found(monkeypatch):
    for visible in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert not has_gpu()

"""A network that needs no training: it predicts what is neither dark nor bright, as the lungs of phantoms are."""

from dataclasses import replace

import numpy as np
import pytest

from lungmask_cli.batch import engines
from lungmask_cli.config import HEART, LUNGS
from lungmask_cli.inference import segmenter
from lungmask_cli.inference.options import InferenceOptions
from lungmask_cli.models.manifest import shipped_weights
from lungmask_cli.models.network import Network
from lungmask_cli.networks.backend import Device

MANIFEST = {"sha256": "0" * 64, "config": {"image_size": 64, "zoom": True}}


def predict_mid_grey(images):
    return (((images > 0.12) & (images < 0.45)).astype(np.float32) * 0.98 + 0.01)[..., None]


def predict_lungs_and_heart(images):
    heart = (images > 0.93).astype(np.float32) * 0.98 + 0.01
    return np.concatenate([predict_mid_grey(images), heart[..., None]], axis=-1)


NETWORK = Network(predict_mid_grey, 64, 64, contrast="none", zoom=True, detail=128, flips=False, manifest=MANIFEST)
HEART_NETWORK = replace(NETWORK, predict=predict_lungs_and_heart, structures=(LUNGS, HEART))


@pytest.fixture
def fake_heart_network(fake_network, monkeypatch):
    """Segmenters use this network, whatever their weights; phantoms with a heart have the brightest pixels there."""
    monkeypatch.setattr(segmenter, "load_network", lambda *_: HEART_NETWORK)
    monkeypatch.setattr(InferenceOptions, "weight_files", lambda _: [shipped_weights()["general"]])


@pytest.fixture
def fake_network(monkeypatch):
    """Segmenters use this network, whatever their weights."""
    for module in (segmenter, engines):
        monkeypatch.setattr(module, "start_runtime", lambda *_: ("onnx", Device("cpu", "fake")))
    monkeypatch.setattr(segmenter, "load_network", lambda *_: NETWORK)

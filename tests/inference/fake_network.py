"""A network that needs no training: it predicts what is neither dark nor bright, as the lungs of phantoms are."""

import numpy as np
import pytest

from lungmask_cli.batch import engines
from lungmask_cli.inference import segmenter
from lungmask_cli.models.network import Network
from lungmask_cli.networks.backend import Device

MANIFEST = {"sha256": "0" * 64, "config": {"image_size": 64, "zoom": True}}


def predict_mid_grey(images):
    return ((images > 0.12) & (images < 0.45)).astype(np.float32) * 0.98 + 0.01


NETWORK = Network(predict_mid_grey, 64, 64, contrast="none", zoom=True, detail=128, flips=False, manifest=MANIFEST)


@pytest.fixture
def fake_network(monkeypatch):
    """Segmenters use this network, whatever their weights."""
    for module in (segmenter, engines):
        monkeypatch.setattr(module, "start_runtime", lambda *_: ("onnx", Device("cpu", "fake")))
    monkeypatch.setattr(segmenter, "load_network", lambda *_: NETWORK)

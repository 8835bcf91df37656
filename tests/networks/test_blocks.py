"""The normalisation layers, compared with those of Keras."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungmask_cli.networks.blocks import BatchNormalization, GroupNormalization, normalization


@settings(max_examples=15, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 4, 8]),
    per_group=st.integers(1, 3),
    side=st.integers(1, 9),
    mean=st.floats(-20, 20),
    seed=st.integers(0, 2**16),
)
def test_group_normalization_equals_that_of_keras(
    groups: int, per_group: int, side: int, mean: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(mean, 2, (2, side, side + 1, groups * per_group)).astype(np.float32)
    ours, theirs = GroupNormalization(groups), keras.layers.GroupNormalization(groups)
    for layer in (ours, theirs):
        layer.build(values.shape)
        variables = np.random.default_rng(seed + 1)
        layer.set_weights([variables.normal(1, 0.5, weight.shape) for weight in layer.weights])
    found = keras.ops.convert_to_numpy(ours(values))
    assert np.allclose(found, keras.ops.convert_to_numpy(theirs(values)), atol=2e-3)


@settings(max_examples=10, deadline=None)
@given(
    count=st.integers(1, 4),
    channels=st.integers(1, 9),
    side=st.integers(2, 9),
    mean=st.floats(-5, 5),
    seed=st.integers(0, 2**16),
)
def test_batch_normalization_trains_as_that_of_keras(
    count: int, channels: int, side: int, mean: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (count, side, side + 1, channels)
    values, target = rng.normal(mean, 2, shape).astype(np.float32), rng.normal(0, 1, shape).astype(np.float32)
    results = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        model = keras.Sequential([keras.Input(shape[1:]), kind(momentum=0.9)])
        start = np.random.default_rng(seed + 1)
        model.set_weights([start.uniform(0.5, 1.5, weight.shape) for weight in model.weights])
        model.compile(keras.optimizers.SGD(0.1), loss="mse", jit_compile=False)
        loss = model.train_on_batch(values, target)
        results.append([np.asarray(loss), *model.get_weights(), model.predict_on_batch(values)])
    for ours, theirs in zip(*results, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def test_an_image_does_not_depend_on_the_others_of_its_batch() -> None:
    values = np.random.default_rng(0).normal(3, 2, (3, 8, 8, 16)).astype(np.float32)
    layer = normalization("group", 16)
    batch = keras.ops.convert_to_numpy(layer(values))
    alone = np.concatenate([keras.ops.convert_to_numpy(layer(values[n : n + 1])) for n in range(3)])
    assert batch == pytest.approx(alone, abs=1e-5)
    assert batch.mean(axis=(1, 2)).reshape(3, 8, 2).mean(axis=2) == pytest.approx(0, abs=1e-4)

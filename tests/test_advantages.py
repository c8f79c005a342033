"""The three advantages of Section 1: memory by liveness, updates that round trip, what crosses between processes."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from replication.advantages import arena, updates
from squeezenet import costs, deep_compression, models
from squeezenet.weights import sqnt

# Memory


def bypassed():
    """Of 8x8 pixels: a (4 channels), b (8), c (4), sum of a and c, d (2 values)."""
    image = keras.Input((8, 8, 1), name="image")
    a = layers.Conv2D(4, 1, name="a")(image)
    b = layers.Conv2D(8, 1, name="b")(a)
    c = layers.Conv2D(4, 1, name="c")(layers.Dropout(0.5, name="drop")(b))
    total = layers.Add(name="sum")([a, c])
    return keras.Model(image, layers.Dense(2, name="d")(layers.Flatten(name="flat")(total)))


def test_liveness_of_a_bypass_worked_out_by_hand():
    """While c computes, a still lives for the sum; the dropout and the flattening are no memory of their own."""
    live = {each.layer: each.activations for each in costs.live_activations(bypassed())}
    pixels = 64
    by_hand = {
        "image": pixels,
        "a": pixels * (1 + 4),
        "b": pixels * (4 + 8),
        "c": pixels * (4 + 8 + 4),
        "sum": pixels * (4 + 4 + 4),
        "d": pixels * 4 + 2,
    }
    assert live == by_hand
    moved = {each.layer: each.moved for each in costs.live_activations(bypassed())}
    assert (moved["c"], moved["sum"], moved["d"]) == (36 + pixels * 12, pixels * 12, 514 + pixels * 4 + 2)
    kept = {each.layer: each.activations for each in costs.live_activations(bypassed(), keep_input=True)}
    assert kept == {name: size + pixels * (name not in ("image", "a")) for name, size in by_hand.items()}


def test_peak_memory_counts_weights_and_the_most_that_lives():
    model = bypassed()
    parameters = (1 + 1) * 4 + (4 + 1) * 8 + (8 + 1) * 4 + (256 + 1) * 2
    assert costs.peak_memory(model) == 4 * (parameters + 64 * 16)
    assert costs.peak_memory(model, weight_bytes=1, activation_bytes=2) == parameters + 2 * 64 * 16
    x = keras.Input((4, 4, 2))
    joined = keras.Model(x, layers.Concatenate()([layers.Conv2D(3, 1)(x), layers.Conv2D(5, 1)(x)]))
    assert costs.peak_memory(joined, 0, 1) == 16 * (3 + 5 + 8)
    assert costs.peak_memory(joined, 0, 1, in_place=True) == 16 * (2 + 3 + 5)


def test_memory_needs_a_size():
    with pytest.raises(ValueError, match="images of a fixed size"):
        costs.live_activations(models.create("squeezenet", (None, None, 3), 10))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT comes with TensorFlow")
@pytest.mark.parametrize("bypass", [False, "complex"])
@pytest.mark.parametrize("bits", [32, 8])
def test_liveness_is_what_litert_keeps(bypass, bits):
    """It keeps the image too, and starts each tensor at a multiple of 64 bytes; its planner leaves few gaps."""
    model = models.create("squeezenet", (32, 32, 3), 10, use_bypass=bypass, dropout_rate=None)
    live = max(each.activations for each in costs.live_activations(model, keep_input=True)) * bits / 8
    assert live <= arena.arena(model, bits) < 1.03 * live


# Updates


def version(seed, shape=(3, 3, 8, 16)):
    rng = np.random.default_rng(seed)
    kernels = {f"conv{i}/kernel": rng.normal(0, 0.1, shape).astype(np.float32) for i in (1, 2)}
    return kernels | {"conv1/bias": rng.normal(0, 0.1, shape[-1]).astype(np.float32)}


def moved(old, step=0.01):
    rng = np.random.default_rng(7)
    return {name: x + np.where(x, rng.normal(0, step, x.shape), 0).astype(np.float32) for name, x in old.items()}


def same(one, two):
    return all(np.array_equal(one[name], two[name]) for name in one | two)


def test_updates_round_trip():
    old = version(1)
    pruned = deep_compression.prune_network(old, {"conv1": 0.3, "conv2": 0.5})
    shared = deep_compression.share_network(pruned, 4)
    tuned = {name: np.where(x, 1.25 * x, 0).astype(np.float32) if x.ndim > 1 else x for name, x in shared.items()}
    anew = deep_compression.share_network(deep_compression.prune_network(moved(old), {"conv1": 0.3, "conv2": 0.5}), 4)
    for before, after in [
        (old, moved(old)), (pruned, moved(pruned)), (shared, tuned), (shared, anew), (pruned, anew), (anew, old),
        (old, old), (old, {name: -x for name, x in old.items()}), (pruned, {name: 0 * x for name, x in old.items()}),
    ]:  # fmt: skip
        assert same(updates.apply(before, updates.encode(before, after)), after)


def test_an_update_says_what_is_shortest():
    old = version(1)
    shared = deep_compression.share_network(deep_compression.prune_network(old, {"conv1": 0.3, "conv2": 0.3}), 6)
    tuned = {name: 1.25 * x for name, x in shared.items()}
    anew = deep_compression.share_network(deep_compression.prune_network(moved(old), {"conv1": 0.3, "conv2": 0.3}), 6)
    size = {name: len(updates.encode(shared, x)) for name, x in (("same", shared), ("tuned", tuned), ("anew", anew))}
    assert size["same"] < size["tuned"] < size["anew"] < len(sqnt.encode(anew, {}))
    old = version(1, (3, 3, 64, 64))
    assert len(updates.encode(old, moved(old, 1e-4))) < 0.8 * len(sqnt.encode(moved(old, 1e-4), {}))


def test_an_update_is_for_the_same_network():
    with pytest.raises(ValueError, match="names or shapes"):
        updates.encode(version(1), version(1, (1, 1, 8, 16)))


@given(st.binary(max_size=3 * updates.BLOCK), st.integers(0, 255))
def test_the_general_tool_round_trips(old, byte):
    new = bytes(x ^ byte for x in old[::-1])
    assert updates.inflate(updates.deflate(new, old), old) == new

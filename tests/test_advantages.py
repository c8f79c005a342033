"""The three advantages of Section 1: memory by liveness, updates that round trip, what crosses between processes."""

import zlib

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from replication.advantages import arena, updates
from replication.report import advantages, claims, paper
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
    channels = {"image": 1, "a": 1 + 4, "b": 4 + 8, "c": 4 + 8 + 4, "sum": 4 + 4 + 4}
    by_hand = {name: pixels * count for name, count in channels.items()} | {"d": pixels * 4 + 2}
    assert live == by_hand
    kept = {each.layer: each.activations for each in costs.live_activations(bypassed(), keep_input=True)}
    assert kept == {name: size + pixels * (name not in ("image", "a")) for name, size in by_hand.items()}
    two = keras.Model((model := bypassed()).input, [model.get_layer("b").output, model.output])  # b is an output
    assert costs.live_activations(two)[-1].activations == live["d"] + 8 * pixels


@pytest.mark.parametrize(("bypass", "bits"), [(False, 32), ("complex", 8)])
def test_liveness_is_what_litert_keeps(bypass, bits):
    """It keeps the image too, and starts each tensor at a multiple of 64 bytes; its planner leaves few gaps."""
    model = models.create("squeezenet", (32, 32, 3), 10, use_bypass=bypass, dropout_rate=None)
    live = max(each.activations for each in costs.live_activations(model, keep_input=True)) * bits / 8
    assert live <= arena.arena(model, bits) < 1.03 * live


# Updates


def version(shape=(3, 3, 8, 16)):
    rng = np.random.default_rng(1)
    kernels = {f"conv{i}/kernel": rng.normal(0, 0.1, shape).astype(np.float32) for i in (1, 2)}
    return kernels | {"conv1/bias": rng.normal(0, 0.1, shape[-1]).astype(np.float32)}


def moved(old, step=0.01):
    rng = np.random.default_rng(7)
    return {name: x + np.where(x, rng.normal(0, step, x.shape), 0).astype(np.float32) for name, x in old.items()}


def forms(bits):
    """A network and its next versions: pruned, with shared values, these tuned, and compressed anew."""
    old, kept = version(), {"conv1": 0.3, "conv2": 0.5}
    pruned = deep_compression.prune_network(old, kept)
    shared = deep_compression.share_network(pruned, bits)
    tuned = {name: 1.25 * x if x.ndim > 1 else x for name, x in shared.items()}
    anew = deep_compression.share_network(deep_compression.prune_network(moved(old), kept), bits)
    return old, pruned, shared, tuned, anew


def test_updates_round_trip():
    old, pruned, shared, tuned, anew = forms(4)
    for before, after in [
        (old, moved(old)), (pruned, moved(pruned)), (shared, tuned), (shared, anew), (pruned, anew), (anew, old),
        (old, old), (old, {name: -x for name, x in old.items()}), (pruned, {name: 0 * x for name, x in old.items()}),
    ]:  # fmt: skip
        np.testing.assert_equal(updates.apply(before, updates.encode(before, after)), after)


def test_an_update_says_what_is_shortest():
    _, _, shared, tuned, anew = forms(6)
    same, values, codes = (len(updates.encode(shared, new)) for new in (shared, tuned, anew))
    assert same < values < codes < len(sqnt.encode(anew, {}))
    old = version((3, 3, 64, 64))
    assert len(updates.encode(old, moved(old, 1e-4))) < 0.8 * len(sqnt.encode(moved(old, 1e-4), {}))
    old, new = updates.raw(old), updates.raw(moved(old, 1e-4))
    assert zlib.decompress(updates.deflate(new)) == new
    data, inflated = updates.deflate(new, old), b""
    for i in range(0, len(new), updates.BLOCK):
        tool = zlib.decompressobj(-zlib.MAX_WBITS, zdict=old[i : i + updates.BLOCK])
        inflated += tool.decompress(data)
        data = tool.unused_data
    assert inflated == new and not data


# Communication

PARAMETERS = {"half_width": 184_938, "squeezenet": 740_554, "complex_bypass": 1_081_802}
PARAMETERS |= {"sr_500": 2_891_402, "sr_1000": 5_760_906, "alexnet": 23_322_506}


def counted(sent):
    """Rows as `make communication` leaves them: so many bytes an update, and as many again when idle."""
    rng = np.random.default_rng(0)
    rows = []
    for variant, parameters in PARAMETERS.items():
        bytes_ = [10 * sent(parameters) + 500 + float(rng.normal(0, 100)) for _ in range(3)]
        row = {"variant": variant, "dtype": "float32", "parameters": parameters, "updates": 10, "hardware": "none"}
        rows.append(row | {"bytes": bytes_, "idle_bytes": [500] * 3, "seconds": [4.0] * 3})
    return advantages.per_update(rows)


def sizes(factor):
    rows = []
    for network, size in (("squeezenet", 3_000_000), ("alexnet", int(3_000_000 * factor))):
        for form, how, share in (("32 bits", "trained further", 1), ("6 bits", "shared values tuned", 0.1)):
            row = {"network": network, "form": form, "how": how, "dataset": "CIFAR-10", "epochs": 2}
            rows.append(row | {"download": int(size * share), "update": int(size * share / 2)})
    return pd.DataFrame(rows)


def verdict(claim, communication=None, updates=None):
    ours = advantages.Advantages(communication, updates, pd.DataFrame())
    claimed = paper.table("claims").query("id == @claim")
    return claims.assess(claimed, {}, paper.numbers(), ours).verdict.item()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (lambda parameters: 8 * parameters, claims.MEASURED),
        (lambda parameters: parameters**1.2, claims.MEASURED_NOT),
        (lambda parameters: 8 * parameters + 3e6, claims.MEASURED_NOT),  # mostly a constant
        (lambda parameters: 8 * parameters * (1.3 if parameters > 5e6 else 1), claims.UNDECIDED),
    ],
)
def test_proportional_is_a_power_of_one(sent, expected):
    assert verdict("communication", communication=counted(sent)) == expected


@pytest.mark.parametrize(("factor", "expected"), [(30, claims.MEASURED), (0.9, claims.MEASURED_NOT)])
def test_a_smaller_network_sends_less(factor, expected):
    assert verdict("export", updates=sizes(factor)) == expected

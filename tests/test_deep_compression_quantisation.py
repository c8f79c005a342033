"""Quantisation for a budget of bytes: sizes, the grid, and what error feedback gains."""

import keras
import numpy as np
import pytest

from squeezenet import SqueezeNet
from squeezenet.deep_compression import prune_network, quantisation
from squeezenet.weights import set_tensors, sqnt, tensors

ARCHITECTURE = {"model": "squeezenet", "input_shape": [64, 64, 3], "nb_classes": 10}


def images(count, seed):
    """Smooth noise, whose neighbouring pixels are alike as those of photographs."""
    noise = np.random.default_rng(seed).normal(0, 100, (count, 16, 16, 3))
    return np.repeat(np.repeat(noise, 4, axis=1), 4, axis=2).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    network = SqueezeNet((64, 64, 3), 10, compression=0.5, dropout_rate=None)
    pruned = prune_network(tensors(network), quality=0.5)
    pruned["fire2_expand3x3/kernel"][..., 0] = 0  # a filter without weights
    set_tensors(network, pruned)
    return network


@pytest.fixture(scope="module")
def quantiser(network):
    return quantisation.Quantiser(network, "avgpool10", images(12, seed=0))


def test_a_bias_beyond_float16_is_kept(quantiser, monkeypatch):
    bias = quantiser.tensors["conv1/bias"] + np.float32(1e5)
    monkeypatch.setitem(quantiser.tensors, "conv1/bias", bias)
    quantised = quantiser._quantise(dict.fromkeys(quantiser.layers, 0.01), feedback=False)
    np.testing.assert_array_equal(quantised["conv1/bias"], bias)


@pytest.mark.parametrize(("share", "short"), [(0.25, 0.02), (0.18, 0)])  # a layer that goes uncoded is a jump
def test_files_are_as_large_as_asked_and_keep_zeros(quantiser, share, short):
    budget = int(share * 4 * np.count_nonzero(np.concatenate([t.ravel() for t in quantiser.tensors.values()])))
    data = quantiser.encode(budget, ARCHITECTURE)
    assert (1 - quantisation.TOLERANCE - short) * budget <= len(data) <= budget
    for name, tensor in sqnt.decode(data)[1].items():
        if name.endswith("kernel"):
            np.testing.assert_array_equal(tensor[quantiser.tensors[name] == 0], 0)


def test_a_budget_without_need_or_hope_is_an_error(network, quantiser):
    for budget in (10**8, 100):
        with pytest.raises(ValueError, match="budget is too small or too large"):
            quantiser.encode(budget, ARCHITECTURE)
    with pytest.raises(ValueError, match="conv1 must be a Conv2D with a bias, undilated, ungrouped"):
        quantisation.drawn_inputs(SqueezeNet((32, 32, 3), 10), ["conv1"], np.zeros((1, 32, 32, 3)))
    with pytest.raises(ValueError, match="conv10 does not change fire9 on these images"):
        quantisation.Quantiser(network, "fire9", images(4, seed=0))


@pytest.mark.parametrize("for_all", [False, True])  # a factor for each filter, and one for all
def test_feedback_lowers_the_error_of_outputs_that_it_has_not_seen(network, quantiser, monkeypatch, for_all):
    """At the same steps, feedback against rounding."""
    if for_all:
        monkeypatch.setattr(quantisation, "MOST_FACTORS", 0)
        quantiser = quantisation.Quantiser(network, "avgpool10", images(12, seed=0))
    steps = {name: 0.3 * quantiser.tensors[f"{name}/kernel"].std() for name in quantiser.layers}
    unseen, original = images(12, seed=7), quantiser.tensors
    outputs = []
    head = keras.Model(network.input, network.get_layer("avgpool10").output)
    for feedback in (False, True):
        quantised = quantiser._quantise(steps, feedback)
        for name in (f"{layer}/kernel" for layer in steps):
            assert not quantised[name][original[name] == 0].any() and len(np.unique(quantised[name])) < 99, name
        set_tensors(network, quantised)
        outputs.append(head.predict(unseen, verbose=0))
    set_tensors(network, original)
    rounding, fed_back = (np.linalg.norm(output - head.predict(unseen, verbose=0)) for output in outputs)
    assert fed_back < 0.7 * rounding

"""Retraining within a compressed network: zeros stay zero, shared values stay shared."""

import keras
import numpy as np
import pytest

from replication.compress.retraining import SharedSGD, retrain
from replication.compress.steps import Compress, Steps
from replication.dataset.cifar10 import CLASSES
from replication.dataset.splits import Split
from replication.params import read
from replication.train.recipe import Train, build
from squeezenet import deep_compression, weights


def test_a_variant_without_a_plan_is_told_which_have_one():
    with pytest.raises(ValueError, match=r"compress\.variants has no 'sr_250'\. It has squeezenet, alexnet"):
        Steps(
            "sr_250",
            {},
            keras.Sequential([keras.layers.Dense(1)]),
            read("compress", Compress),
            None,
            [None] * 3,
            0,
            None,
        )


def test_shared_gradient_is_the_sum_over_the_members():
    kernel = keras.Variable(np.array([[0, 1, 2], [1, 2, 0]], "float32"), name="kernel")
    bias = keras.Variable(np.zeros(3, "float32"), name="bias")
    optimizer = SharedSGD(0.1)
    optimizer.groups = {kernel.path: (np.array([0, 1, 2, 1, 2, 0], np.int32), np.array([1, 2]))}
    gradient = np.array([[9, 1, 3], [2, 4, 9]], "float32")
    optimizer.apply([keras.ops.convert_to_tensor(gradient), keras.ops.ones(3)], [kernel, bias])
    np.testing.assert_allclose(np.asarray(kernel), [[0, 1 - 0.3, 2 - 0.7], [1 - 0.3, 2 - 0.7, 0]], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(bias), -0.1)


@pytest.mark.parametrize("shared", [False, True])
def test_retraining_stays_within_zeros_and_shared_values(shared):
    recipe = read("train", Train).model_copy(update={"batch_size": 20, "centralise": True, "weight_decay": 0.0})
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (60, 32, 32, 3), np.uint8), rng.integers(0, 10, 60))
    statistics = {
        "kind": "cifar10",
        "image_shape": [32, 32, 3],
        "classes": CLASSES,
        "mean": [127.0] * 3,
        "std": [74.0] * 3,
    }
    model = build("small", {"model": "squeezenet", "compression": 0.25}, recipe, statistics, seed=0)
    network = model.layers[-1]
    before = deep_compression.share_network(deep_compression.prune_network(weights.tensors(network), quality=0.8), 3)
    weights.set_tensors(network, before)
    retrain(model, split, split, recipe, 0.05, images=40, seed=0, shared=shared)
    assert int(model.optimizer.iterations) == 2
    for name, after in weights.tensors(network).items():
        if after.ndim > 1:
            np.testing.assert_array_equal(after == 0, before[name] == 0, err_msg=name)
            groups = [len(np.unique(after[before[name] == value])) for value in np.unique(before[name])]
            assert (max(groups) == 1) == shared, name
            if not shared:  # centralised: the filters keep their sums
                sums = (values.sum(tuple(range(values.ndim - 1))) for values in (after, before[name]))
                np.testing.assert_allclose(*sums, atol=1e-4, err_msg=name)
    assert any(not np.array_equal(after, before[name]) for name, after in weights.tensors(network).items())

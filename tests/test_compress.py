"""Retraining within a compressed network: zeros stay zero, shared values stay shared."""

import keras
import numpy as np
import pytest

from replication.compress.retraining import SharedSGD, retrain
from replication.compress.steps import Compress, Compression
from replication.dataset.cifar10 import CLASSES
from replication.dataset.splits import Split
from replication.params import read
from replication.train.recipe import Train, build
from squeezenet import deep_compression, weights


def test_a_variant_without_a_plan_is_told_which_have_one():
    with pytest.raises(ValueError, match=r"compress\.variants has no 'sr_250'\. It has squeezenet, alexnet"):
        read("compress", Compress).plan("sr_250")


def test_shared_gradient_is_the_sum_over_the_members():
    kernel = keras.Variable(np.array([[0, 1, 2], [1, 2, 0]], "float32"), name="kernel")
    bias = keras.Variable(np.zeros(3, "float32"), name="bias")
    optimizer = SharedSGD(0.1)
    optimizer.groups = {kernel.path: (np.array([0, 1, 2, 1, 2, 0], np.int32), np.array([1, 2]))}
    gradient = np.array([[9, 1, 3], [2, 4, 9]], "float32")
    optimizer.apply([keras.ops.convert_to_tensor(gradient), keras.ops.ones(3)], [kernel, bias])
    np.testing.assert_allclose(np.asarray(kernel), [[0, 1 - 0.3, 2 - 0.7], [1 - 0.3, 2 - 0.7, 0]], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(bias), -0.1)


def small(**changes):
    """A small network for CIFAR-10, its recipe, and 60 images of noise."""
    recipe = read("train", Train).model_copy(update={"batch_size": 20, "centralise": True, "seed": 0, **changes})
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (60, 32, 32, 3), np.uint8), rng.integers(0, 10, 60))
    about = {"kind": "cifar10", "image_shape": [32, 32, 3], "classes": CLASSES, "mean": [127.0] * 3, "std": [74.0] * 3}
    return build({"model": "squeezenet", "compression": 0.25}, recipe, about), recipe, split


@pytest.mark.parametrize("shared", [False, True])
def test_retraining_stays_within_zeros_and_shared_values(eager, shared):
    model, recipe, split = small(weight_decay=0.0)
    network = model.layers[-1]
    before = deep_compression.share_network(deep_compression.prune_network(weights.tensors(network), quality=0.8), 3)
    weights.set_tensors(network, before)
    retrain(model, split, recipe, 0.05, images=40, shared=shared, epochs=2)
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert (int(model.optimizer.iterations), schedule["peak"], schedule["total"]) == (4, 0.05, 4)
    for name, after in weights.tensors(network).items():
        if after.ndim > 1:
            np.testing.assert_array_equal(after == 0, before[name] == 0, err_msg=name)
            groups = [len(np.unique(after[before[name] == value])) for value in np.unique(before[name])]
            assert (max(groups) == 1) == shared, name
            if not shared:  # centralised: the filters keep their sums
                sums = (values.sum(tuple(range(values.ndim - 1))) for values in (after, before[name]))
                np.testing.assert_allclose(*sums, atol=1e-4, err_msg=name)
    assert any(not np.array_equal(after, before[name]) for name, after in weights.tensors(network).items())


def test_a_step_that_is_repeated_leaves_the_same(eager, tmp_path):
    """As when a cell of the notebook is run twice."""
    (model, recipe, split), settings = small(), read("compress", Compress)
    parts = [split, split, Split(split.images[:40], split.labels[:40])]
    compression = Compression("squeezenet", {"model": "squeezenet"}, model, settings, recipe, parts, tmp_path, 2)

    def step():
        pruned = deep_compression.prune_network(compression.trained, quality=0.8)
        compression.measure("pruned", compression.retrain("pruned", pruned), "Network Pruning")
        return dict(compression.steps), dict(compression.rows), (tmp_path / "pruned.sqnt").read_bytes()

    first = step()
    assert step() == first and list(first[1]) == ["pruned"] and first[1]["pruned"]["n"] == 40
    for kind, updates in {"pruned": 6, "shared": 3}.items():  # two epochs, and one
        compression.retrain(kind, compression.trained)
        told = model.optimizer.get_config()["learning_rate"]["config"]
        assert (told["peak"], told["total"]) == (settings.learning_rate[kind], updates)
    with pytest.raises(ValueError, match="an integer of at least 1"):
        Compression("squeezenet", {}, model, settings, recipe, parts, tmp_path, 2.0)

"""Pruning, sharing and retraining against their definitions; k-means against scikit-learn and the optimum."""

import time

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from squeezenet import SqueezeNet, compression, config, datasets, training

ARCHITECTURE = {"model": "squeezenet", "input_shape": [32, 32, 3], "nb_classes": 10, "compression": 0.25}


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return SqueezeNet((32, 32, 3), 10, compression=0.25, dropout_rate=None)


def test_pruning_keeps_the_largest():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 8, 20)).astype(np.float32)
    pruned = compression.prune(kernel, 0.33)
    assert np.count_nonzero(pruned) == round(0.33 * kernel.size)
    assert np.abs(kernel[pruned == 0]).max() <= np.abs(pruned[pruned != 0]).min()
    np.testing.assert_array_equal(pruned[pruned != 0], kernel[pruned != 0])
    np.testing.assert_array_equal(compression.prune(kernel, 1), kernel)


def test_pruning_by_quality_is_a_multiple_of_the_standard_deviation():
    kernel = np.random.default_rng(0).normal(0, 3, 10_000).astype(np.float32)
    pruned = compression.prune_below(kernel, 1.0)
    assert np.abs(pruned[pruned != 0]).min() > kernel.std() > np.abs(kernel[pruned == 0]).max() - 1e-6
    assert np.count_nonzero(pruned) / kernel.size == pytest.approx(0.317, abs=0.02)  # beyond one sigma


def test_a_layer_that_is_not_there_cannot_be_pruned(network):
    with pytest.raises(ValueError, match="no such layers to prune: fc6"):
        compression.prune_network(compression.tensors(network), kept={"fc6": 0.5})


def test_bits_by_prefix(network):
    values = compression.tensors(network)
    shared = compression.share_network(values, {"fire": 2, "conv": 3})
    assert len(np.unique(shared["fire2_expand3x3/kernel"])) == 3 and len(np.unique(shared["conv1/kernel"])) == 7
    np.testing.assert_array_equal(shared["conv1/bias"], values["conv1/bias"])
    with pytest.raises(ValueError, match="0 numbers of bits for conv1/kernel"):
        compression.share_network(values, {"fire": 2})


def squared_error(values, centroids):
    return np.square(values[:, None] - np.asarray(centroids, float)).min(1).sum()


def optimum(values, clusters):
    """The least squared error, by dynamic programming over the sorted values."""
    values = np.sort(values)
    n = len(values)
    sums, squares = np.append(0, np.cumsum(values)), np.append(0, np.cumsum(values**2))
    start, stop = np.mgrid[: n + 1, : n + 1]
    count = np.maximum(stop - start, 1)
    cost = np.where(stop > start, squares[stop] - squares[start] - (sums[stop] - sums[start]) ** 2 / count, np.inf)
    best = cost[0]
    for _ in range(clusters - 1):
        best = (best[:, None] + cost).min(0)
    return best[n]


@pytest.mark.parametrize(("clusters", "above"), [(3, 1.01), (8, 1.05), (15, 1.08)])
def test_refined_kmeans_is_near_the_optimum(clusters, above):
    samples = [np.random.default_rng(seed).normal(size=300) for seed in range(7)]
    errors = [squared_error(v, compression.kmeans(v, clusters, refine=True)) / optimum(v, clusters) for v in samples]
    assert min(errors) >= 1 - 1e-6 and np.median(errors) <= above


def test_kmeans_is_no_worse_than_scikit_learns_and_sooner():
    values = np.random.default_rng(0).normal(size=20_000)
    start = np.linspace(values.min(), values.max(), 63)
    began = time.perf_counter()
    centroids = compression.kmeans(values, 63, refine=True)
    ours = time.perf_counter() - began
    theirs = KMeans(63, init=start[:, None], n_init=1, max_iter=10_000, tol=0).fit(values[:, None])
    assert squared_error(values, centroids) <= 1.01 * theirs.inertia_
    assert ours < time.perf_counter() - began - ours


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.integers(1, 20), st.booleans())
def test_kmeans_of_anything(values, clusters, refine):
    centroids = compression.kmeans(values, clusters, refine)
    assert 1 <= len(centroids) <= clusters and (np.diff(centroids) > 0).all()
    slack = 1e-6 * max(map(abs, values))
    assert min(values) - slack <= centroids[0] and centroids[-1] <= max(values) + slack
    lloyd = compression.kmeans(values, clusters)
    assert squared_error(np.array(values), centroids) <= squared_error(np.array(values), lloyd) * 1.0001 + slack


def test_sharing_keeps_zeros_and_few_values():
    kernel = compression.prune(np.random.default_rng(0).normal(size=(3, 3, 8, 20)).astype(np.float32), 0.5)
    shared = compression.share(kernel, 4)
    np.testing.assert_array_equal(shared == 0, kernel == 0)
    centroids = compression.kmeans(kernel[kernel != 0], 15)
    np.testing.assert_array_equal(np.unique(shared), np.sort(np.append(centroids, 0)))
    assert np.abs(shared - kernel).max() < np.ptp(kernel) / 15
    np.testing.assert_array_equal(compression.share(np.zeros((2, 2)), 4), 0)


def test_svd_is_the_best_of_its_rank_and_as_small_as_asked():
    rng = np.random.default_rng(0)
    kernel = (rng.normal(size=(120, 7)) @ rng.normal(size=(7, 80))).astype(np.float32)
    left, right = compression.factorise(kernel, ratio=6)
    assert left.shape == (120, 8) and right.shape == (8, 80)
    np.testing.assert_allclose(left @ right, kernel, atol=1e-3)


@pytest.mark.parametrize("coder", ["range", "huffman"])
def test_a_network_comes_back_from_its_file(network, tmp_path, coder):
    path = tmp_path / "network.sqnt"
    values = compression.share_network(compression.prune_network(compression.tensors(network), quality=0.7), 5)
    table = compression.save(path, values, ARCHITECTURE, coder)
    assert table.sum() == path.stat().st_size < 4 * network.count_params() / 5
    restored = compression.load(path)
    for name, tensor in compression.tensors(restored).items():
        np.testing.assert_array_equal(tensor, values[name])


def test_factors_come_back_multiplied(tmp_path):
    network = keras.Sequential([keras.Input((30,)), keras.layers.Dense(20, name="fc")])
    left, right = compression.factorise(np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32), 2)
    factors = {"fc/kernel/left": left, "fc/kernel/right": right, "fc/bias": np.zeros(20, np.float32)}
    compression.set_tensors(network, factors)
    np.testing.assert_allclose(compression.tensors(network)["fc/kernel"], left @ right, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet"}, "not an architecture"),
        ({"compression": 0.5}, "are not those of"),
        ({"input_shape": [10**9, 10**9, 3]}, "not an architecture"),
        ({"input_shape": 5}, "not an architecture"),
        ({"input_shape": []}, "not an architecture"),
        ({"surprise": 1}, "not an architecture"),
        ({"weights": "imagenet"}, "not an architecture"),
    ],
)
def test_a_file_with_a_false_architecture_is_refused(network, tmp_path, change, message):
    path = tmp_path / "network.sqnt"
    compression.save(path, compression.tensors(network), ARCHITECTURE | change)
    with pytest.raises(ValueError, match=message):
        compression.load(path)


def test_shared_gradient_is_the_sum_over_the_members():
    kernel = keras.Variable(np.array([[0, 1, 2], [1, 2, 0]], "float32"), name="kernel")
    bias = keras.Variable(np.zeros(3, "float32"), name="bias")
    optimizer = compression.SharedSGD(0.1)
    optimizer.groups = {kernel.path: (np.array([0, 1, 2, 1, 2, 0], np.int32), np.array([1, 2]))}
    gradient = np.array([[9, 1, 3], [2, 4, 9]], "float32")
    optimizer.apply([keras.ops.convert_to_tensor(gradient), keras.ops.ones(3)], [kernel, bias])
    np.testing.assert_allclose(np.asarray(kernel), [[0, 1 - 0.3, 2 - 0.7], [1 - 0.3, 2 - 0.7, 0]], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(bias), -0.1)


@pytest.mark.parametrize("shared", [False, True])
def test_retraining_stays_within_zeros_and_shared_values(shared):
    params = config.load_params()
    recipe = params.train.model_copy(update={"batch_size": 20, "centralise": True, "weight_decay": 0.0})
    rng = np.random.default_rng(0)
    split = datasets.Split(rng.integers(0, 256, (60, 32, 32, 3), np.uint8), rng.integers(0, 10, 60))
    statistics = {"image_shape": [32, 32, 3], "classes": datasets.CLASSES, "mean": [127.0] * 3, "std": [74.0] * 3}
    variants = params.model_copy(update={"variants": {"small": {"model": "squeezenet", "compression": 0.25}}})
    model = training.build("small", variants, statistics, seed=0)
    network = model.layers[-1]
    before = compression.share_network(compression.prune_network(compression.tensors(network), quality=0.8), 3)
    compression.set_tensors(network, before)
    compression.retrain(model, split, split, recipe, 0.05, images=40, seed=0, shared=shared)
    assert int(model.optimizer.iterations) == 2
    for name, after in compression.tensors(network).items():
        if after.ndim > 1:
            np.testing.assert_array_equal(after == 0, before[name] == 0, err_msg=name)
            groups = [len(np.unique(after[before[name] == value])) for value in np.unique(before[name])]
            assert (max(groups) == 1) == shared, name
            if not shared:  # centralised: the filters keep their sums
                sums = (values.sum(tuple(range(values.ndim - 1))) for values in (after, before[name]))
                np.testing.assert_allclose(*sums, atol=1e-4, err_msg=name)
    assert any(not np.array_equal(after, before[name]) for name, after in compression.tensors(network).items())

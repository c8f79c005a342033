"""Speed of the file format and of k-means: `pytest --benchmark-enable tests/test_deep_compression_speed.py`."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from squeezenet import SqueezeNet, deep_compression, weights
from squeezenet.weights import sqnt

ARCHITECTURE = {"model": "squeezenet", "input_shape": [224, 224, 3], "nb_classes": 1000}


@pytest.fixture(scope="module")
def tensors():
    """SqueezeNet 1.0 with as many weights kept, and as many values shared, as in the authors' file."""
    pruned = deep_compression.prune_network(weights.tensors(SqueezeNet()), quality=1.0)
    return deep_compression.share_network(pruned, 8)


@pytest.mark.parametrize("coder", sqnt.CODERS)
def test_encode(benchmark, tensors, coder):
    assert len(benchmark(sqnt.encode, tensors, ARCHITECTURE, coder)) < 700_000


@pytest.mark.parametrize("coder", sqnt.CODERS)
def test_decode(benchmark, tensors, coder):
    _, decoded = benchmark(sqnt.decode, sqnt.encode(tensors, ARCHITECTURE, coder))
    assert all(np.array_equal(decoded[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("method", ["ours", "scikit-learn"])
def test_kmeans(benchmark, method):
    """The weights of one large layer, 63 clusters, from the same start."""
    weights = np.random.default_rng(0).laplace(size=44_000)
    start = np.linspace(weights.min(), weights.max(), 63)[:, None]
    if method == "scikit-learn":
        run = KMeans(63, init=start, n_init=1, max_iter=10_000, tol=0).fit
        benchmark.pedantic(run, args=(weights[:, None],), rounds=1)
    else:
        benchmark(deep_compression.kmeans, weights, 63)

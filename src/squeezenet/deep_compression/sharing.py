"""Weight sharing: a few values for all weights of a layer, found by k-means (Han et al. 2015a)."""

import numbers

import numpy as np
from tqdm import tqdm

from squeezenet.deep_compression.pruning import is_kernel
from squeezenet.weights import check_finite, sqnt

MOST_BITS = (sqnt.MOST_ENTRIES - 1).bit_length()  # of a code in a file
MOST_STEPS = 10_000  # of k-means, which stops at its fixed point


def kmeans(values, clusters):
    """k-means in one dimension, from centroids evenly spaced between the extremes (Han et al. 2015a, Section 3.2).

    Clusters of sorted values are intervals, so a step of Lloyd's algorithm is a binary search for their
    ends and a difference of prefix sums: its time hardly depends on how many values there are.

    Args:
        values: one-dimensional array.
        clusters: most centroids to return: clusters that end up empty disappear.

    Returns:
        The centroids, float32, sorted.
    """
    if np.ndim(values) != 1 or not len(values) or not np.isfinite(values).all() or clusters < 1:
        got = f"shape {np.shape(values)}, {clusters} clusters"
        raise ValueError(f"values must be finite, one-dimensional and not empty, clusters at least 1. Received: {got}")
    values = np.sort(np.asarray(values, np.float64))
    sums = np.concatenate([[0], np.cumsum(values)])
    before, centroids = None, np.linspace(values[0], values[-1], clusters)
    for _ in range(MOST_STEPS):
        ends = np.searchsorted(values, (centroids[1:] + centroids[:-1]) / 2)
        ends = np.unique(np.concatenate([[0], ends, [len(values)]]))
        centroids = np.diff(sums[ends]) / np.diff(ends)
        if np.array_equal(before, ends):
            break
        before = ends
    return np.unique(centroids.astype(np.float32))


def share(kernel, bits):
    """Weight sharing: every weight that is not zero becomes one of at most 2^bits - 1 centroids; 0 is the other code.

    Raises:
        ValueError: bits is not from 1 to `MOST_BITS`.
    """
    if not isinstance(bits, numbers.Integral) or not 1 <= bits <= MOST_BITS:
        raise ValueError(f"bits must be an integer from 1 to {MOST_BITS}. Received: {bits!r}")
    check_finite({"kernel": kernel})
    weights = kernel[kernel != 0]
    if len(np.unique(weights)) < 2**bits:  # k-means might merge some
        return kernel
    centroids = kmeans(weights, 2**bits - 1)
    shared = np.zeros_like(kernel)
    shared[kernel != 0] = centroids[np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights)]
    return shared


def share_network(values, bits):
    """Share the weights of the kernels in `values`; `bits` may be a dict by name prefix: the longest counts.

    Raises:
        ValueError: `bits` names no layer, omits one, or is not from 1 to `MOST_BITS`.
    """
    check_finite(values)
    kernels = {name: tensor for name, tensor in values.items() if is_kernel(tensor)}
    shared, by_name = dict(values), bits if isinstance(bits, dict) else {"": bits}
    if unknown := [each for each in by_name if each and not any(name.startswith(each) for name in kernels)]:
        raise ValueError(f"no such layers to share: {', '.join(unknown)}")
    for name, kernel in tqdm(kernels.items(), "Sharing", disable=None, leave=False):
        if not (beginnings := [each for each in by_name if name.startswith(each)]):
            raise ValueError(f"bits omits {name}. Received: {bits}")
        shared[name] = share(kernel, by_name[max(beginnings, key=len)])
    return shared

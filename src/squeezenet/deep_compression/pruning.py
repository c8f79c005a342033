"""Pruning: small weights become zero (Han et al. 2015b)."""

import numpy as np

from squeezenet.weights import check_finite


def prune(kernel, kept):
    """Keep a fraction of the weights, those of the largest magnitude (Han et al. 2015b).

    Raises:
        ValueError: the fraction is not from 0 to 1, or a weight is not finite.
    """
    if not 0 <= kept <= 1:
        raise ValueError(f"kept must be a fraction from 0 to 1. Received: {kept}")
    check_finite({"kernel": kernel})
    pruned = kernel.flatten()
    drop = kernel.size - round(kept * kernel.size)
    pruned[np.argsort(np.abs(pruned), kind="stable")[:drop]] = 0
    return pruned.reshape(kernel.shape)


def prune_below(kernel, quality):
    """Keep the weights of magnitude above `quality` x the standard deviation of the layer (Han et al. 2015b).

    Raises:
        ValueError: quality is negative or not finite, or a weight is not finite.
    """
    if not 0 <= quality < np.inf:
        raise ValueError(f"quality must be at least 0 and finite. Received: {quality}")
    check_finite({"kernel": kernel})
    return np.where(np.abs(kernel) > quality * np.std(precise(kernel)), kernel, kernel.dtype.type(0))


def is_kernel(tensor):
    """Whether a tensor is pruned and shared: integers and what has one dimension, as most biases, are not."""
    return tensor.ndim > 1 and tensor.dtype.kind not in "iub"


def precise(kernel):
    """A kernel in a type that can hold the squares of its weights and their sum."""
    largest = np.abs(kernel).max(initial=0)
    return kernel if kernel.dtype == np.float32 and 1e-12 < largest < 1e12 else kernel.astype(np.float64)


def prune_network(values, kept=None, quality=None):
    """Prune the kernels among `values`: by `kept`, layer -> fraction, or all of them by `quality`.

    Raises:
        ValueError: `kept` names a layer without kernels, not one of `kept` and `quality` is given, or a value is out
            of range, or a weight is not finite.
    """
    if (kept is None) == (quality is None):
        raise ValueError(f"give either kept or quality. Received: {kept} and {quality}")
    if kept is not None and not isinstance(kept, dict):
        raise ValueError(f"kept must be a dict, layer -> fraction. Received: {kept!r}")
    check_finite(values)
    kernels = {name: tensor for name, tensor in values.items() if is_kernel(tensor)}
    if unknown := set(kept or {}) - {name.rpartition("/")[0] for name in kernels}:
        raise ValueError(f"no such layers with kernels to prune: {', '.join(sorted(unknown))}")
    if kept is None:
        return values | {name: prune_below(kernel, quality) for name, kernel in kernels.items()}
    return values | {name: prune(kernel, kept.get(name.rpartition("/")[0], 1)) for name, kernel in kernels.items()}

"""Pruning: small weights become zero (Han et al. 2015b)."""

import numpy as np


def prune(kernel, kept):
    """Keep a fraction of the weights, those of the largest magnitude (Han et al. 2015b).

    Raises:
        ValueError: the fraction is not from 0 to 1.
    """
    if not 0 <= kept <= 1:
        raise ValueError(f"kept must be a fraction from 0 to 1. Received: {kept}")
    pruned = kernel.flatten()
    drop = kernel.size - round(kept * kernel.size)
    pruned[np.argsort(np.abs(pruned), kind="stable")[:drop]] = 0
    return pruned.reshape(kernel.shape)


def prune_below(kernel, quality):
    """Keep the weights of magnitude above `quality` x the standard deviation of the layer (Han et al. 2015b).

    Raises:
        ValueError: quality is negative or not finite.
    """
    if not 0 <= quality < np.inf:
        raise ValueError(f"quality must be at least 0 and finite. Received: {quality}")
    return np.where(np.abs(kernel) > quality * kernel.std(), kernel, np.float32(0))


def prune_network(values, kept=None, quality=None):
    """Prune the kernels among `tensors`: by `kept`, layer -> fraction, or all of them by `quality`.

    Raises:
        ValueError: `kept` names a layer that is not there, not one of `kept` and `quality` is given, or a value is out
            of range.
    """
    if (kept is None) == (quality is None):
        raise ValueError(f"give either kept or quality. Received: {kept} and {quality}")
    unknown = set(kept or {}) - {name.rpartition("/")[0] for name in values}
    if unknown:
        raise ValueError(f"no such layers to prune: {', '.join(sorted(unknown))}")
    return {
        name: tensor
        if tensor.ndim == 1
        else prune_below(tensor, quality)
        if kept is None
        else prune(tensor, kept.get(name.rpartition("/")[0], 1))
        for name, tensor in values.items()
    }

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
    return np.where(np.abs(kernel) > quality * precise(np.std, kernel), kernel, kernel.dtype.type(0))


def is_kernel(tensor):
    """Whether a tensor is pruned and shared: biases, statistics and counters are not."""
    return tensor.ndim > 1 and tensor.dtype.kind not in "iub"


def precise(measure, kernel):
    """A norm or a deviation, in double precision where squares would leave the range of the kernel's own."""
    with np.errstate(over="ignore"):
        value = measure(kernel)
    return value if kernel.dtype == np.float32 and 1e-15 < value < 1e15 else measure(kernel.astype(np.float64))


def prune_network(values, kept=None, quality=None):
    """Prune the kernels among `tensors`: by `kept`, layer -> fraction, or all of them by `quality`.

    Raises:
        ValueError: `kept` names a layer that is not there, not one of `kept` and `quality` is given, or a value is out
            of range, or a weight is not finite.
    """
    if (kept is None) == (quality is None):
        raise ValueError(f"give either kept or quality. Received: {kept} and {quality}")
    check_finite(values)
    unknown = set(kept or {}) - {name.rpartition("/")[0] for name in values}
    if unknown:
        raise ValueError(f"no such layers to prune: {', '.join(sorted(unknown))}")
    return {
        name: tensor
        if not is_kernel(tensor)
        else prune_below(tensor, quality)
        if kept is None
        else prune(tensor, kept.get(name.rpartition("/")[0], 1))
        for name, tensor in values.items()
    }

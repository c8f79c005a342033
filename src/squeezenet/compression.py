"""Deep Compression (Han et al. 2015a, 2015b) of Keras models: prune, share weights, retrain within both; SVD."""

from typing import ClassVar

import keras
import numpy as np
from keras import layers, ops
from sklearn.utils.extmath import randomized_svd

from squeezenet import codec, models, training

LARGEST_SIDE = 512  # of the images of a network that `load` builds
MOST_STEPS = 10_000  # of k-means, which stops at its fixed point
MOST_MOVES = 10  # of centroids in k-means, for each of them
NOTHING = 1e-9  # of the squared error: a gain not worth a move


def tensors(network):
    """Kernels and biases of every weighted layer, as `codec.encode` takes them: "conv1/kernel", "conv1/bias", ..."""
    return {
        f"{layer.name}/{kind}": ops.convert_to_numpy(getattr(layer, kind))
        for layer in network.layers
        if isinstance(layer, layers.Conv2D | layers.Dense)
        for kind in ("kernel", "bias")
    }


def set_tensors(network, values):
    """Give a network the tensors of a file; factors of `factorise` are multiplied.

    Raises:
        ValueError: the tensors are not those of the network.
    """
    values = dict(values)
    for name in [name for name in values if name.endswith("/left")]:
        kernel = name.removesuffix("/left")
        values[kernel] = values.pop(name) @ values.pop(f"{kernel}/right")
    expected = {name: tensor.shape for name, tensor in tensors(network).items()}
    received = {name: tensor.shape for name, tensor in values.items()}
    wrong = [name for name in expected | received if expected.get(name) != received.get(name)]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of these tensors are not those of {network.name}: {wrong[0]} has the shape "
            f"{received.get(wrong[0])} in place of {expected.get(wrong[0])}"
        )
    for name, tensor in values.items():
        layer, kind = name.split("/")
        getattr(network.get_layer(layer), kind).assign(tensor)


def save(path, values, architecture, coder="range"):
    """Encode tensors into a file (see `codec`) and return its bytes by section."""
    data = codec.encode(values, architecture, coder)
    path.write_bytes(data)
    return codec.byte_table(data)


def load(path):
    """The Keras model in a file that `save` wrote.

    Raises:
        ValueError: the file is damaged, or its weights do not fit its architecture.
    """
    architecture, values = codec.decode(path.read_bytes())
    try:
        if max(architecture["input_shape"]) > LARGEST_SIDE:
            raise ValueError(f"images of {architecture['input_shape']}")
        if "weights" in architecture:  # it would read another file
            raise ValueError("weights from elsewhere")
        network = models.create(**architecture)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not an architecture that `models.create` builds: {error}") from None
    set_tensors(network, values)
    return network


def prune(kernel, kept):
    """Keep a fraction of the weights, those of the largest magnitude (Han et al. 2015b)."""
    pruned = kernel.flatten()
    drop = kernel.size - round(kept * kernel.size)
    pruned[np.argsort(np.abs(pruned), kind="stable")[:drop]] = 0
    return pruned.reshape(kernel.shape)


def prune_below(kernel, quality):
    """Keep the weights of magnitude above `quality` x the standard deviation of the layer (Han et al. 2015b)."""
    return np.where(np.abs(kernel) > quality * kernel.std(), kernel, np.float32(0))


def prune_network(values, kept=None, quality=None):
    """Prune the kernels among `tensors`: by `kept`, layer -> fraction, or all of them by `quality`.

    Raises:
        ValueError: `kept` names a layer that is not there.
    """
    unknown = set(kept or {}) - {name.split("/")[0] for name in values}
    if unknown:
        raise ValueError(f"no such layers to prune: {', '.join(sorted(unknown))}")
    return {
        name: tensor
        if tensor.ndim == 1
        else prune_below(tensor, quality)
        if quality
        else prune(tensor, kept.get(name.split("/")[0], 1))
        for name, tensor in values.items()
    }


def kmeans(values, clusters, refine=False):
    """k-means in one dimension, from centroids evenly spaced between the extremes (Han et al. 2015a, Section 3.1).

    Clusters of sorted values are intervals, so that a step of Lloyd's algorithm is a binary search for their
    ends and a difference of prefix sums: its time hardly depends on how many values there are.

    Args:
        values: one-dimensional array.
        clusters: number of centroids. Lloyd's algorithm leaves fewer: clusters that end up empty disappear.
        refine: go on to a nearly least squared error, by moving centroids from where two may merge to where one
            should split. Without it more centroids stay with the rare large weights, and codes cost fewer bits.

    Returns:
        The centroids, float32, sorted.
    """
    values = np.sort(np.asarray(values, np.float64))
    sums, squares = (np.concatenate([[0], np.cumsum(v)]) for v in (values, values**2))
    ends = _lloyd(values, sums, np.linspace(values[0], values[-1], clusters))
    for _ in range(MOST_MOVES * clusters if refine else 0):
        moved = _move(sums, squares, ends, clusters)
        if moved is None:
            break
        ends = _lloyd(values, sums, _means(sums, moved))
    return np.unique(_means(sums, ends).astype(np.float32))


def _means(sums, ends):
    return np.diff(sums[ends]) / np.diff(ends)


def _lloyd(values, sums, centroids):
    """Ends of the clusters at the fixed point."""
    before = None
    for _ in range(MOST_STEPS):
        ends = np.searchsorted(values, (centroids[1:] + centroids[:-1]) / 2)
        ends = np.unique(np.concatenate([[0], ends, [len(values)]]))
        if np.array_equal(before, ends):
            break
        before, centroids = ends, _means(sums, ends)
    return ends


def _move(sums, squares, ends, clusters):
    """Ends after the best split of a cluster and, if there are enough, the best merger of two others; or None."""

    def error(start, stop):
        return squares[stop] - squares[start] - (sums[stop] - sums[start]) ** 2 / np.maximum(stop - start, 1)

    within = error(ends[:-1], ends[1:])
    cluster = np.repeat(np.arange(len(within)), np.diff(ends))
    position = np.arange(len(cluster))
    gains = within[cluster] - error(ends[cluster], position) - error(position, ends[cluster + 1])
    best = gains.argmax()
    if len(within) < clusters:
        return np.unique(np.append(ends, best)) if gains[best] > NOTHING * within.sum() else None
    losses = error(ends[:-2], ends[2:]) - within[:-1] - within[1:]
    losses[[i for i in (cluster[best] - 1, cluster[best]) if 0 <= i < len(losses)]] = np.inf
    least = losses.argmin() if len(losses) else 0
    if not len(losses) or gains[best] - losses[least] <= NOTHING * within.sum():
        return None
    return np.unique(np.append(np.delete(ends, least + 1), best))


def share(kernel, bits):
    """Weight sharing: every weight that is not zero becomes one of 2^bits - 1 centroids; 0 is the other code."""
    weights = kernel[kernel != 0]
    if not weights.size:
        return kernel
    centroids = kmeans(weights, 2**bits - 1)
    shared = np.zeros_like(kernel)
    shared[kernel != 0] = centroids[np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights)]
    return shared


def share_network(values, bits):
    """Share the weights of the kernels among `tensors`; bits, or bits by what a layer's name begins with.

    Raises:
        ValueError: `bits` does not say how many a layer gets.
    """
    shared = {}
    for name, tensor in values.items():
        each = [bits] if isinstance(bits, int) else [b for prefix, b in bits.items() if name.startswith(prefix)]
        if len(each) != 1:
            raise ValueError(f"{len(each)} numbers of bits for {name}. Received: {bits}")
        shared[name] = share(tensor, each[0]) if tensor.ndim > 1 else tensor
    return shared


def factorise(kernel, ratio, seed=0):
    """Truncated SVD of a dense kernel: two factors with `ratio` times fewer weights (Denton et al. 2014)."""
    rank = max(1, int(kernel.size / (ratio * sum(kernel.shape))))
    left, scale, right = randomized_svd(kernel, rank, random_state=seed)
    root = np.sqrt(scale)
    return (left * root).astype(np.float32), (root[:, None] * right).astype(np.float32)


class SharedSGD(training.CaffeSGD):
    """SGD within a compressed network: zeros stay zero, and weights that share a value keep sharing it.

    Attributes:
        groups: path of a kernel -> the code of each weight, 0 for zero, and the values; or a mask and None.
    """

    groups: ClassVar = {}

    def prepare(self, gradient, variable):
        if variable.path not in self.groups:
            return gradient
        codes, levels = self.groups[variable.path]
        if levels is None:
            kept = ops.cast(codes, gradient.dtype)
            gradient = gradient * kept
            if self.centralise:  # over the weights that are left, so that zeros stay zero
                inputs = tuple(range(len(variable.shape) - 1))
                total, number = (ops.sum(values, inputs, keepdims=True) for values in (gradient, kept))
                gradient = gradient - kept * total / ops.maximum(number, 1)
            return gradient
        # The gradient of a centroid is the sum over its members (Han et al. 2015a, Section 3.2).
        sums = ops.segment_sum(ops.reshape(gradient, [-1]), codes, len(levels) + 1)
        return ops.reshape(ops.take(sums * np.append(0, np.ones(len(levels))), codes), gradient.shape)


def retrain(model, split, validation, recipe, learning_rate, images, seed, shared=False):
    """Train a compressed model on, within its zeros and, if `shared`, within its shared values.

    Args:
        model: as stage `train` leaves it, with the network as its last layer.
        recipe: `Params.train`; its schedule is run once over the updates, up to `learning_rate`.
        images: how many of the training images to draw.

    Returns:
        What `training.run_epoch` returns: loss and accuracy in training and validation.
    """
    network, groups = model.layers[-1], {}
    for name, kernel in tensors(network).items():
        if kernel.ndim > 1:
            codes, levels = kernel != 0, None
            if shared:
                levels = np.unique(kernel[codes])
                codes = np.where(codes, np.searchsorted(levels, kernel) + 1, 0).ravel()
            # A variable, as each use of an array would copy it into the graph: gigabytes for AlexNet.
            codes = keras.Variable(codes, dtype="int32" if shared else "bool", trainable=False)
            groups[network.get_layer(name.split("/")[0]).kernel.path] = codes, levels
    drawn = np.random.default_rng(seed).permutation(len(split.labels))[:images]
    split = type(split)(split.images[drawn], split.labels[drawn])
    recipe = recipe.model_copy(update={"learning_rate": learning_rate})
    training.compile_for(model, recipe, training.updates_of(split, recipe))
    optimizer = SharedSGD.from_config(model.optimizer.get_config())
    optimizer.groups = groups
    model.optimizer = optimizer
    return training.run_epoch(model, split, validation, recipe, seed, 0)

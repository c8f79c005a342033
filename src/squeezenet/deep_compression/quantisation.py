"""A trained network in a file of a given size: quantisation without training.

* Entropy-constrained: where codes are entropy-coded, a uniform grid loses less at the same number of bits than
  the centroids of k-means (Gish and Pierce 1968).
* Error feedback: what rounding a weight does to a filter's output is made up for by the filter's weights that
  are yet to be rounded, and by its bias (GPTQ, Frantar et al. 2022). Zeros stay zero.
* Bits by sensitivity: the steps of the layers are such that the last byte buys the same error of the logits in
  every layer.
"""

import functools
from typing import NamedTuple

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import optimize
from tqdm import tqdm

from squeezenet.weights import sqnt, tensors

BATCH = 8
DAMPING = 0.01  # of the mean second moment: how far to trust the inputs seen
PROBE = 1 / 14  # of a layer's standard deviation: the step at which its sensitivity is measured
PROBED = 16  # images, drawn evenly
TOLERANCE = 0.002  # of the size of a file
FINEST, HALVINGS = 2.0**-30, 16  # step of a kernel by its norm; searches between it and 1


class Error(NamedTuple):
    layer: str
    weights: float
    output: float


class Quantiser:
    """Quantises the kernels of a network whose weighted layers are convolutions of one group.

    Args:
        network: functional Keras model.
        output: name of the layer whose output is to change least, the logits.
        images: as the network takes them, photographs like those it is for.
        seed: of the drawn positions.
    """

    def __init__(self, network, output, images, seed=0):
        self.tensors = tensors(network)
        self.layers = [name.removesuffix("/kernel") for name in self.tensors if name.endswith("/kernel")]
        self.moments = second_moments(network, self.layers, images, seed=seed)
        self.feedback = {name: _feedback(matrix) for name, matrix in self.moments.items()}
        self.bytes = {name: len(sqnt.encode({name: self.tensors[f"{name}/kernel"]}, {})) for name in self.layers}
        self.sensitivity = self._sensitivities(network, output, images)

    def encode(self, budget, architecture):
        """The largest file of at most `budget` bytes that a search finds; it ends within `TOLERANCE` of the budget.

        Raises:
            ValueError: the network fits into the budget without loss, or cannot be made so small.
        """
        kernels = [self.tensors[f"{name}/kernel"] for name in self.layers]
        ratios = np.sqrt(np.divide([np.count_nonzero(kernel) for kernel in kernels], list(self.sensitivity.values())))
        files = []

        @functools.cache
        def excess(scale, feedback):
            steps = np.exp(scale) * ratios
            with np.errstate(over="ignore"):
                stored = np.float16(steps)
            if not stored.all() or np.isinf(stored).any():
                raise ValueError(f"no steps make a file of {budget:,} bytes")
            data = sqnt.encode(self._quantise(dict(zip(self.layers, steps, strict=True)), feedback), architecture)
            if feedback and len(data) <= budget:
                files.append(data)
            over = len(data) / budget - (1 - TOLERANCE / 2)
            return over if abs(over) > TOLERANCE / 2 else 0

        scale = np.log(PROBE * np.median([kernel.std() for kernel in kernels] / ratios))
        for feedback, reach in ((False, 0.5), (True, 0.05)):  # rounding alone finds the scale nearly, and fast
            low, high = scale - reach, scale + reach
            while excess(low, feedback) < 0:
                low -= reach
            while excess(high, feedback) > 0:
                high += reach
            scale = optimize.brentq(excess, low, high, args=(feedback,), xtol=TOLERANCE)
        return max(files, key=len)

    def errors(self, tensors):
        """Relative error of each layer's weights, and of its output for the inputs seen: a list of `Error`."""
        rows = []
        for name in self.layers:
            before, after = (
                np.vstack([t[f"{name}/kernel"].reshape(-1, len(t[f"{name}/bias"])), t[f"{name}/bias"]]).astype(float)
                for t in (self.tensors, tensors)
            )
            change, moments = after - before, self.moments[name]
            output = np.vdot(change, moments @ change) / np.vdot(before, moments @ before)
            rows.append(Error(name, np.linalg.norm(change[:-1]) / np.linalg.norm(before[:-1]), np.sqrt(output)))
        return rows

    def _quantise(self, steps, feedback):
        """The tensors in these steps; a layer for which that would take more bytes than its own values keeps them."""
        quantised = {}
        for name in self.layers:
            kernel, bias = self._quantise_layer(name, steps[name], feedback)
            if len(sqnt.encode({name: kernel}, {})) >= self.bytes[name]:
                kernel, bias = self.tensors[f"{name}/kernel"], self.tensors[f"{name}/bias"]
            quantised |= {f"{name}/kernel": kernel, f"{name}/bias": bias.astype(np.float16).astype(np.float32)}
        return quantised

    def _quantise_layer(self, name, step, feedback=True):
        kernel, bias = self.tensors[f"{name}/kernel"], self.tensors[f"{name}/bias"]
        step = np.float32(np.float16(step))  # so short that its multiples are exact
        if not feedback:
            return step * np.rint(kernel / step), bias
        rounded, bias = quantise(kernel.reshape(-1, kernel.shape[-1]), bias, *self.feedback[name], step)
        return rounded.reshape(kernel.shape), bias

    def _sensitivities(self, network, output, images):
        """Mean squared error of the output for each layer quantised alone, by the square of its step."""
        model = keras.Model(network.input, network.get_layer(output).output)
        images = images[:: -(-len(images) // PROBED)]
        expected = model.predict(images, batch_size=BATCH, verbose=0)
        sensitivity = {}
        for name in self.layers:
            kernel = self.tensors[f"{name}/kernel"]
            step = PROBE * kernel[kernel != 0].std()
            layer = network.get_layer(name)
            original = layer.get_weights()
            layer.set_weights(self._quantise_layer(name, step))
            error = model.predict(images, batch_size=BATCH, verbose=0) - expected
            layer.set_weights(original)
            sensitivity[name] = float(np.square(error).mean() / step**2)
        return sensitivity


def fit(values, budget, architecture, coder="range"):
    """A file of at most `budget` bytes, of kernels rounded to multiples of steps as fine as fit. It needs no images.

    A step is in proportion to the norm of its kernel, so that the last byte buys the same relative error of every
    kernel. A network whose inputs are known loses less by `Quantiser`.

    Args:
        values: tensors by name, of any network. Zeros stay zero, tensors of one dimension stay as they are.

    Raises:
        ValueError: steps that fit leave nothing of a kernel.
    """
    norms = {name: np.linalg.norm(tensor) for name, tensor in values.items() if tensor.ndim > 1 and tensor.any()}
    low, high, best, lost = np.log2(FINEST), 0.0, None, ["any kernel"]
    for _ in tqdm(range(HALVINGS), "Rounding", disable=None, leave=False):
        middle = (low + high) / 2
        rounded = dict(values)
        for name, norm in norms.items():
            mantissa, exponent = np.frexp(2**middle * norm)
            step = np.float32(np.ldexp(np.rint(2048 * mantissa) / 2048, exponent))  # so short that multiples are exact
            rounded[name] = step * np.rint(values[name] / step)
        data = sqnt.encode(rounded, architecture, coder)
        if len(data) > budget:
            low = middle
        else:
            high, best, lost = middle, data, [name for name in norms if not rounded[name].any()]
    if lost:
        raise ValueError(f"no file of {budget:,} bytes: rounding to so few would leave nothing of {lost[0]}")
    return best


def second_moments(network, layers, images, positions=200, seed=0):
    """Mean of x x^T over the inputs x of each convolution's filters, with a last 1 for the bias.

    Args:
        layers: names of convolutions, "valid" or of stride 1.
        positions: drawn from each image.

    Returns:
        layer -> matrix of side height x width x in + 1.
    """
    rng = np.random.default_rng(seed)
    convolutions = [network.get_layer(name) for name in layers]
    inputs = keras.Model(network.input, [layer.input for layer in convolutions])
    moments = dict.fromkeys(layers, 0)
    for start in range(0, len(images), BATCH):
        activations = keras.tree.flatten(inputs.predict_on_batch(images[start : start + BATCH]))
        for layer, x in zip(convolutions, activations, strict=True):
            (height, width), (down, right) = layer.kernel_size, layer.strides
            if layer.padding == "same":
                x = np.pad(x, ((0, 0), (height // 2,) * 2, (width // 2,) * 2, (0, 0)))
            patches = sliding_window_view(x, (height, width), (1, 2))[:, ::down, ::right]
            drawn = rng.integers(0, patches.shape[:3], (positions * len(x), 3)).T
            rows = patches[tuple(drawn)].transpose(0, 2, 3, 1).reshape(positions * len(x), -1)
            rows = np.pad(rows, ((0, 0), (0, 1)), constant_values=1)
            moments[layer.name] = moments[layer.name] + rows.T @ rows / (positions * len(images))
    return moments


def quantise(matrix, bias, order, factor, step, block=64):
    """Round the weights of each column of a matrix (inputs, filters) to multiples of a step, with error feedback.

    Args:
        order, factor: of `_feedback`.

    Returns:
        The rounded matrix, and the biases that make up for what is left.
    """
    rest = np.vstack([matrix[order], bias]).astype(np.float32)
    stored = rest[:-1] != 0
    rounded = np.zeros(stored.shape, np.float32)
    for start in range(0, len(order), block):
        stop = min(start + block, len(order))
        errors = np.zeros((stop - start, rest.shape[1]), np.float32)
        for i in range(start, stop):
            rounded[i] = np.where(stored[i], step * np.rint(rest[i] / step), 0)
            errors[i - start] = (rest[i] - rounded[i]) / factor[i, i]
            rest[i + 1 : stop] -= np.outer(factor[i, i + 1 : stop], errors[i - start])
        rest[stop:] -= factor[start:stop, stop:].T @ errors
    matrix = np.empty_like(rounded)
    matrix[order] = rounded
    return matrix, rest[-1]


def _feedback(moments):
    """The order to round inputs in, strongest first, and the upper Cholesky factor of the inverse moments."""
    order = np.argsort(-np.diag(moments)[:-1], kind="stable")
    damped = moments.astype(np.float64)
    damped[np.diag_indices(len(order))] += DAMPING * np.diag(damped)[:-1].mean()
    every = np.append(order, len(order))
    return order, np.linalg.cholesky(np.linalg.inv(damped[np.ix_(every, every)])).T.astype(np.float32)

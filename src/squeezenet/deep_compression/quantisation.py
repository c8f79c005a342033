"""A trained network in a file of a given size: quantisation without training.

* Entropy-constrained: where codes are entropy-coded, a uniform grid loses less at the same number of bits than
  the centroids of k-means (Gish and Pierce 1968).
* Error feedback: a filter's weights that are yet to be rounded, and its bias, make up for the rounding error of
  its output (GPTQ, Frantar et al. 2022). Zeros stay zero, so only the inputs of the other weights count; outputs
  that the ReLU cuts off hardly count.
* Bits by sensitivity: the last byte lowers the logits' error alike in every layer.
"""

import functools

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import optimize
from tqdm import tqdm

from squeezenet.deep_compression.pruning import is_kernel, precise
from squeezenet.weights import check_finite, sqnt, tensors

BATCH = 8
DAMPING = 0.0001  # of the mean second moment: how far to trust the inputs seen
CUT_OFF = 0.1  # weight of outputs that a ReLU makes zero
PROBE = 1 / 3  # of a layer's standard deviation: the step at which its sensitivity is measured
POSITIONS = 200  # of each image, drawn
PROBED = 16  # evenly spaced images
MOST_FACTORS = 2**25  # entries in a layer; a layer with more has one factor for all of its filters
TOLERANCE = 0.002  # of the size of a file
FINEST, HALVINGS = 2.0**-30, 16  # least step / norm of a kernel; bisections up to 1


class Quantiser:
    """Quantises a network whose weighted layers are undilated convolutions of one group; biases become float16.

    Args:
        network: functional Keras model; its convolutions have biases, and where they have strides, no padding.
        output: name of the layer whose output is to change least, the logits.
        images: (n, height, width, channels) as the network takes them, photographs like those it is for.
    """

    def __init__(self, network, output, images):
        self.tensors = tensors(network)
        check_finite(self.tensors)
        kernels = {name: kernel for name, kernel in self.tensors.items() if name.endswith("/kernel")}
        self.layers = [name.removesuffix("/kernel") for name, kernel in kernels.items() if len(np.unique(kernel)) > 2]
        self.feedback = {}
        for name, drawn in drawn_inputs(network, self.layers, images).items():
            inputs = drawn.astype(np.float64)  # by sums in float32 the file depends on the kernels of the BLAS library
            relu = network.get_layer(name).activation is keras.activations.relu
            self.feedback[name] = _feedback(inputs, *_layer(self.tensors, name), CUT_OFF if relu else 1)
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
            if steps.min() < 2.0**-24 or steps.max() > 65504:  # beyond float16
                raise ValueError(f"budget is too small or too large: {budget:,} bytes")
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

    def _quantise(self, steps, feedback):
        """The tensors in these steps; a layer for which that would take more bytes than its own values keeps them."""
        quantised = dict(self.tensors)
        for name in self.layers:
            kernel, bias = self._quantise_layer(name, steps[name], feedback)
            if len(sqnt.encode({name: kernel}, {})) >= self.bytes[name]:
                kernel, bias = self.tensors[f"{name}/kernel"], self.tensors[f"{name}/bias"]
            stored = bias if np.abs(bias).max() > sqnt.HALF[1] else bias.astype(np.float16).astype(np.float32)
            quantised |= {f"{name}/kernel": kernel, f"{name}/bias": stored}
        return quantised

    def _quantise_layer(self, name, step, feedback=True):
        matrix, bias = _layer(self.tensors, name)
        step = np.float32(np.float16(step))  # so short that its multiples are exact
        if feedback:
            matrix, bias = quantise(matrix, bias, *self.feedback[name], step)
        else:
            matrix = step * np.rint(matrix / step)
        return matrix.reshape(self.tensors[f"{name}/kernel"].shape), bias

    def _sensitivities(self, network, output, images):
        """Mean squared error of the output with each layer quantised alone, divided by its squared step."""
        model = keras.Model(network.input, network.get_layer(output).output)
        images = images[:: -(-len(images) // PROBED)]
        expected, sensitivity = model.predict_on_batch(images), {}
        for name in self.layers:
            layer, kernel = network.get_layer(name), self.tensors[f"{name}/kernel"]
            step = PROBE * kernel[kernel != 0].std()
            try:
                layer.set_weights(self._quantise_layer(name, step))
                error = model.predict_on_batch(images) - expected
                if not error.any():
                    raise ValueError(f"{name} does not change {output} on these images: give others, or the logits")
            finally:
                layer.set_weights([kernel, self.tensors[f"{name}/bias"]])
            sensitivity[name] = float(np.square(error).mean() / step**2)
        return sensitivity


def fit(values, budget, architecture, coder="range"):
    """A file of at most `budget` bytes, of kernels rounded to multiples of steps as fine as fit. It needs no images.

    A step is in proportion to its kernel's norm. Where a layer's inputs are known, `Quantiser` uses them.

    Args:
        values: tensors by name, of any network. Zeros stay zero, tensors of one dimension stay as they are.

    Raises:
        ValueError: steps that fit leave nothing of a kernel.
    """
    kernels = {name: tensor for name, tensor in values.items() if is_kernel(tensor) and tensor.any()}
    norms = {name: np.linalg.norm(precise(kernel)) for name, kernel in kernels.items()}
    low, high, best, lost = np.log2(FINEST), 0.0, None, ["any kernel"]
    for _ in tqdm(range(HALVINGS), "Rounding", disable=None, leave=False):
        middle = (low + high) / 2
        rounded = values | {name: _round(kernels[name], 2**middle * norm) for name, norm in norms.items()}
        data = sqnt.encode(rounded, architecture, coder)
        if len(data) > budget:
            low = middle
        else:
            high, best, lost = middle, data, [name for name in norms if not rounded[name].any()]
    if lost:
        raise ValueError(f"no file of {budget:,} bytes: rounding to so few would leave nothing of {lost[0]}")
    return best


def _round(kernel, step):
    """A kernel in multiples of a step so short that they are exact in float32."""
    mantissa, exponent = np.frexp(step)
    step = np.float32(np.ldexp(np.rint(2048 * mantissa) / 2048, exponent))
    return (step * np.rint(kernel / step)).astype(np.float32) if step else kernel


def drawn_inputs(network, layers, images):
    """What a convolution's filters see at random positions, with a last 1 for the bias.

    Args:
        layers: names of convolutions, "valid" or of stride 1.

    Returns:
        layer -> matrix (images x `POSITIONS`, height x width x in + 1).
    """
    rng = np.random.default_rng(0)
    convolutions = [network.get_layer(name) for name in layers]
    for each in convolutions:
        plain = isinstance(each, keras.layers.Conv2D) and each.use_bias and each.groups == max(each.dilation_rate) == 1
        if not plain or (each.padding == "same" and max(each.strides) > 1):
            raise ValueError(f'{each.name} must be a Conv2D with a bias, undilated, ungrouped, "valid" or of stride 1')
    network = keras.Model(network.input, [layer.input for layer in convolutions])
    inputs = {name: [] for name in layers}
    for start in range(0, len(images), BATCH):
        activations = keras.tree.flatten(network.predict_on_batch(images[start : start + BATCH]))
        for layer, x in zip(convolutions, activations, strict=True):
            (height, width), (down, right) = layer.kernel_size, layer.strides
            if layer.padding == "same":
                x = np.pad(x, ((0, 0), (height // 2,) * 2, (width // 2,) * 2, (0, 0)))
            patches = sliding_window_view(x, (height, width), (1, 2))[:, ::down, ::right]
            drawn = rng.integers(0, patches.shape[:3], (POSITIONS * len(x), 3)).T
            rows = patches[tuple(drawn)].transpose(0, 2, 3, 1).reshape(POSITIONS * len(x), -1)
            inputs[layer.name].append(np.pad(rows, ((0, 0), (0, 1)), constant_values=1))
    return {name: np.concatenate(rows) for name, rows in inputs.items()}


def quantise(matrix, bias, order, factors, step):
    """Round the weights of each column of a matrix (inputs, filters) to multiples of a step, with error feedback.

    Args:
        order, factors: of `_feedback`.

    Returns:
        The rounded matrix, and the biases that make up for what is left.
    """
    rounded = np.vstack([matrix, bias]).astype(np.float32)
    order = np.broadcast_to(order, (len(order), len(bias)))
    rest = np.take_along_axis(rounded, order, axis=0).T
    stored = rest != 0
    for i in range(len(order) - 1):
        level = np.where(stored[:, i], step * np.rint(rest[:, i] / step), 0)
        errors = (rest[:, i] - level) / factors[:, i, i]
        rest[:, i] = level
        rest[:, i + 1 :] -= errors[:, np.newaxis] * factors[:, i, i + 1 :]
    np.put_along_axis(rounded, order, rest.T, axis=0)
    return rounded[:-1], rounded[-1]


def _feedback(inputs, matrix, bias, cut_off):
    """The order in which each filter's weights are rounded, and the factors that pass their errors on.

    Args:
        inputs: of `drawn_inputs`.
        cut_off: weight of outputs that are not positive.

    Returns:
        For each filter a column of rows of the matrix: the strongest input first and the bias last; where the filter
        has fewer weights than another, zeros come before them. And for each filter the upper Cholesky factor of the
        inverse moments of these inputs.
    """
    if matrix.shape[1] * np.count_nonzero(matrix, axis=0).max() ** 2 > MOST_FACTORS:
        matrix, bias, cut_off = np.ones_like(matrix[:, :1]), bias[:1], 1
    stored, positive = matrix != 0, inputs[:, :-1] @ matrix + bias > 0
    moments = inputs.T @ inputs
    damping = DAMPING * np.diag(moments)[:-1].mean()
    strength = np.where(stored, np.diag(moments)[:-1, np.newaxis], np.inf)
    most = stored.sum(axis=0).max()
    order = np.argsort(-strength, axis=0, kind="stable")[len(matrix) - most :]
    order = np.pad(order, ((0, 1), (0, 0)), constant_values=len(matrix))
    factors = np.tile(np.eye(most + 1, dtype=np.float32), (matrix.shape[1], 1, 1))
    for k, weights in enumerate(stored.sum(axis=0)):
        used = order[most - weights :, k]
        seen = inputs[np.ix_(positive[:, k], used)]
        damped = cut_off * moments[np.ix_(used, used)] + (1 - cut_off) * seen.T @ seen
        damped = damped.astype(np.float64) + damping * np.diag([1] * weights + [0])
        factors[k, most - weights :, most - weights :] = np.linalg.cholesky(np.linalg.inv(damped)).T
    return order, factors


def _layer(tensors, name):
    """A layer's kernel as a matrix (inputs, filters), and its bias."""
    bias = tensors[f"{name}/bias"]
    return tensors[f"{name}/kernel"].reshape(-1, len(bias)), bias

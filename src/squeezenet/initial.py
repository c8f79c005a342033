"""What training from random weights needs: initial weights, and images of their scale.

network = squeezenet.initialise(SqueezeNet(input_shape=(64, 64, 3), nb_classes=10))
network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
network.fit(squeezenet.standardise(images), labels, epochs=20)
"""

import numpy as np
from keras import Model, layers

from squeezenet.preprocessing import preprocess_input

DEVIATION = 64  # of a photograph's pixels, about


def standardise(images):
    """`preprocess_input` divided by 64, so that pixels are of about unit variance, as training likes them."""
    return preprocess_input(images) / DEVIATION


def initialise(network, rule="he_centred", seed=0):
    """Draw every kernel of a network anew, that of its top from N(0, 0.01); biases stay as they are.

    "xavier" is Caffe's, U(+-sqrt(3 / fan_in)). "he_centred" is He's normal, with a fan-in that leaves out padding
    and each filter's mean subtracted: behind a ReLU no input is negative, so that a filter's mean shifts its output
    alike for all images, which holds the loss at ln(classes) for epochs under "xavier".

    Args:
        network: as `SqueezeNet` and the other functions build it, with images of a fixed size.
        rule: "he_centred" or "xavier".
        seed: of NumPy's generator, so that every backend starts alike.

    Returns:
        The network.

    Raises:
        ValueError: there is no such rule, or the network takes images of any size, or is none of this package.
    """
    if rule not in ("he_centred", "xavier"):
        raise ValueError(f'rule must be "he_centred" or "xavier". Received: {rule!r}')
    names = {layer.name for layer in network.layers}
    if names.isdisjoint(("fire9", "norm2")) or any(isinstance(layer, Model) for layer in network.layers):
        raise ValueError(f"network must be one of this package, not a model around it. Received: {network.name}")
    if None in network.input_shape[1:]:
        raise ValueError(f"network must take images of a fixed size. Received: {network.input_shape[1:]}")
    rng = np.random.default_rng(seed)
    for layer in filter(lambda layer: isinstance(layer, layers.Conv2D | layers.Dense), network.layers):
        shape = layer.kernel.shape
        fan_in = np.prod(shape[:-1])
        if layer.name in ("conv10", "fc8"):
            kernel = rng.normal(0, 0.01, shape)
        elif rule == "xavier":
            kernel = rng.uniform(-np.sqrt(3 / fan_in), np.sqrt(3 / fan_in), shape)
        else:
            seen = np.prod([within.mean() for within in taps(layer)])
            kernel = rng.normal(0, np.sqrt(2 / (fan_in * seen)), shape)
            if fan_in > 1:  # a single weight would be zero
                kernel = kernel - kernel.mean(axis=tuple(range(len(shape) - 1)), keepdims=True)
        layer.kernel.assign(kernel)
    return network


def taps(layer):
    """Whether the taps of a layer's filters see its input, and not padding.

    Returns:
        For height and width a bool array (positions of the output, taps); nothing for a dense layer.
    """
    if not isinstance(layer, layers.Conv2D):
        return []
    found = []
    for axis, (kernel, stride) in enumerate(zip(layer.kernel_size, layer.strides, strict=True), start=1):
        size, positions = layer.input.shape[axis], layer.output.shape[axis]
        padding = max((positions - 1) * stride + kernel - size, 0) if layer.padding == "same" else 0
        seen = np.arange(positions)[:, None] * stride + np.arange(kernel) - padding // 2
        found.append((seen >= 0) & (seen < size))
    return found

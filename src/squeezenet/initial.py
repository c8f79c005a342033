"""What training from random weights needs: initial weights, and images of their scale."""

import numpy as np
from keras import Model, layers, saving

from squeezenet.preprocessing import preprocess_input


@saving.register_keras_serializable("squeezenet")
def standardise(images):
    """`preprocess_input` divided by 64, so pixels have about unit variance, which suits training."""
    return preprocess_input(images) / 64


def initialise(network, rule="he_centred", seed=0):
    """Reinitialise every kernel of a network, its top's with a standard deviation of 0.01; biases are unchanged.

    "xavier" is Caffe's, U(+-sqrt(3 / fan_in)). "he_centred" is He's normal, with a fan-in that leaves out padding
    and each filter's mean subtracted: after a ReLU no input is negative, so a filter's mean shifts its output
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
    if names.isdisjoint(("fire9", "norm2")) or any(isinstance(each, Model) and each.weights for each in network.layers):
        raise ValueError(f"network must be one of this package, not a model around it. Received: {network.name}")
    if None in (shape := network.get_layer("conv1").input.shape[1:]):
        raise ValueError(f"network must take images of a fixed size. Received: {shape}")
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

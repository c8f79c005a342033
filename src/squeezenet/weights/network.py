"""The weights of a Keras model by layer name, and what two models must share to take the same weights."""

import contextlib
import math
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

MEAN = (104, 117, 123)  # Caffe's mean colour, BGR


class Weights(NamedTuple):
    """What a file holds.

    Attributes:
        tensors: "conv1/kernel" -> float32 array.
        built: how the network that they are of is built: the model itself, or keywords.
    """

    tensors: dict
    built: keras.Model | dict


def variables(network):
    """Weights by layer and kind: "conv1/kernel", "conv1/bias"; of a model in the model "encoder/conv1/kernel".

    Raises:
        ValueError: two weights have one name, as in a layer made of layers.
    """
    found = {}
    for layer in network.layers:
        inner = isinstance(layer, keras.Model)
        for name, variable in variables(layer).items() if inner else ((w.name, w) for w in layer.weights):
            if f"{layer.name}/{name}" in found:
                raise ValueError(f"{network.name} has two weights of the name {layer.name}/{name}")
            found[f"{layer.name}/{name}"] = variable
    return found


def tensors(network):
    """The weights of a Keras model as arrays: "conv1/kernel", "conv1/bias", ..."""
    return {name: ops.convert_to_numpy(variable) for name, variable in variables(network).items()}


def set_tensors(network, values):
    """Give a network the tensors of a file; factors of `deep_compression.factorise` are multiplied.

    Raises:
        ValueError: the tensors are not those of the network.
    """
    values = dict(values)
    for kernel in [name.removesuffix("/left") for name in values if name.endswith("/left")]:
        if f"{kernel}/right" in values:
            values[kernel] = values.pop(f"{kernel}/left") @ values.pop(f"{kernel}/right")
    ours = variables(network)
    expected = {name: tuple(variable.shape) for name, variable in ours.items()}
    received = {name: tensor.shape for name, tensor in values.items()}
    wrong = [name for name in expected | received if expected.get(name) != received.get(name)]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of these tensors are not those of {network.name}: {wrong[0]} has the shape "
            f"{received.get(wrong[0])} in place of {expected.get(wrong[0])}"
        )
    for name, tensor in values.items():
        ours[name].assign(tensor)


def kernel_shapes(network):
    """Layer -> shape of its kernel: (height, width, in, out) or (in, out)."""
    found = variables(network).items()
    return {name.removesuffix("/kernel"): tuple(v.shape) for name, v in found if name.endswith("/kernel")}


def blueprint(network):
    """By layer, what two networks must have in common for the same weights to do the same in both."""
    return {
        layer.name: f"Conv2D{tuple(layer.kernel.shape)} {layer.padding} {getattr(layer.activation, '__name__', '')}"
        if isinstance(layer, layers.Conv2D)
        else type(layer).__name__
        for layer in network.layers
        if isinstance(layer, layers.Conv2D | layers.Dense | layers.Add | layers.MaxPooling2D)
    }


def named(pairs):
    """Tensors from kernel and bias by Caffe's layer names."""
    return {
        f"{name.replace('/', '_')}/{kind}": np.asarray(tensor)
        for name, pair in pairs.items()
        for kind, tensor in zip(("kernel", "bias"), pair, strict=True)
    }


def fold(values, mean, std):
    """Tensors for pixels of `models.preprocess_input`, of those for RGB pixels minus `mean` by `std`.

    conv1 takes the difference up. It is exact but at an edge that conv1 pads: there the mean colour was another.

    Args:
        values: tensors of a network that begins with conv1.
        mean, std: of red, green and blue, for pixels of 0 to 255.

    Raises:
        ValueError: conv1 does not take three colours.
    """
    if values["conv1/kernel"].shape[2] != 3:
        raise ValueError(f"conv1 must take three colours, its kernel is {values['conv1/kernel'].shape}")
    kernel = values["conv1/kernel"] / np.asarray(std, np.float64)[:, None]
    bias = values["conv1/bias"] + np.tensordot(np.subtract(MEAN[::-1], mean), kernel.sum((0, 1)), 1)
    folded = {"conv1/kernel": kernel[:, :, ::-1], "conv1/bias": bias}
    return values | {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in folded.items()}


@contextlib.contextmanager
def at_most(count):
    """Within it, layers may allocate so many weights in all: what a file describes is no larger than the file.

    Layers that other threads build meanwhile count as well.
    """
    add_weight, left = layers.Layer.add_weight, count

    def bounded(layer, shape=None, *arguments, **options):
        nonlocal left
        left -= math.prod(shape or ())
        if left < 0:
            raise ValueError(f"{layer.name} would need more weights than the file holds")
        return add_weight(layer, shape, *arguments, **options)

    layers.Layer.add_weight = bounded
    try:
        yield
    finally:
        layers.Layer.add_weight = add_weight

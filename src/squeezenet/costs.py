"""What a network costs: parameters, multiply-accumulates (MACs), bytes; per layer and per module."""

import math
from typing import NamedTuple

from keras import layers

MIB = 2**20


class Layer(NamedTuple):
    layer: str
    module: str  # fire2 for fire2_squeeze1x1
    weights: int
    biases: int
    parameters: int
    macs: int  # for one image


def per_layer(model):
    """A `Layer` for each convolution and dense layer of a model, whose input has a fixed size."""
    rows = []
    for layer in model.layers:
        if not isinstance(layer, layers.Conv2D | layers.Dense):
            continue
        positions = layer.output.shape[1:-1]
        if None in positions:
            raise ValueError(f"MACs need images of a fixed size: build the model with an input_shape. {layer.name}")
        kernel = math.prod(layer.kernel.shape)
        bias = layer.bias.shape[0] if layer.use_bias else 0
        module = layer.name.split("_")[0]
        rows.append(Layer(layer.name, module, kernel, bias, kernel + bias, kernel * math.prod(positions)))
    return rows


def macs(model):
    """MACs of one image through every convolution and dense layer."""
    return sum(layer.macs for layer in per_layer(model))


def mebibytes(parameters):
    """Size of 32-bit parameters in MiB, the unit that the paper prints as MB."""
    return parameters * 4 / MIB

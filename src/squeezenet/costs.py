"""What a network costs: parameters, multiply-accumulates (MACs), bytes; per layer and per module."""

import math
from typing import NamedTuple

import keras
from keras import layers

MIB = 2**20  # bytes, the unit that the paper prints as MB


class Layer(NamedTuple):
    layer: str
    module: str  # fire2 for fire2_squeeze1x1
    weights: int
    biases: int
    parameters: int
    macs: int  # for one image


def per_layer(model):
    """A `Layer` for each `Conv2D` and `Dense` of a model and of models within it, but not within wrappers.

    A layer that is called more than once is counted once.

    Raises:
        ValueError: the input has no fixed size.
    """
    rows = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            rows += per_layer(layer)
        if not isinstance(layer, layers.Conv2D | layers.Dense):
            continue
        shape = layer.output.shape[1:] if hasattr(layer, "output") else (None,)
        if None in shape:
            raise ValueError(f"MACs need images of a fixed size: build {model.name} with an input_shape ({layer.name})")
        kernel = math.prod(layer.kernel.shape)
        bias = layer.bias.shape[0] if layer.use_bias else 0
        module = layer.name.split("_")[0]
        multiplications = kernel * math.prod(shape) // layer.kernel.shape[-1]
        rows.append(Layer(layer.name, module, kernel, bias, kernel + bias, multiplications))
    return rows


def macs(model):
    """MACs of one image through every `Conv2D` and `Dense`; a ValueError as of `per_layer`."""
    return sum(layer.macs for layer in per_layer(model))


class Live(NamedTuple):
    layer: str
    activations: int  # values of one image that memory has to hold while this layer computes


VIEWS = (layers.Dropout, layers.Flatten, layers.Reshape)  # at inference their output is their input


def live_activations(model, keep_input=False):
    """A `Live` for each layer that computes, in the model's order: its inputs, its output, and what later layers need.

    An activation lives from the layer that makes it to the last one that reads it: a bypass keeps it alive. Sums and
    concatenations are written beside their inputs, not over them.

    Args:
        model: functional, of layers (no model) with one output each, and an input of a fixed size.
        keep_input: whether the image stays to the end, as in LiteRT.

    Raises:
        ValueError: the input has no fixed size, or a model is among the layers.
    """
    if inner := [layer.name for layer in model.layers if isinstance(layer, keras.Model) and layer.weights]:
        raise ValueError(f"model must be of layers alone: give {inner[0]} itself")
    memory, steps, last = {}, [], {}  # memory: a tensor -> the one in whose place it stands
    for layer in model.operations:
        inputs, output = [memory.get(id(x), id(x)) for x in keras.tree.flatten(layer.input)], layer.output
        if None in output.shape[1:]:
            raise ValueError(f"memory needs images of a fixed size: build the model with an input_shape ({layer.name})")
        if isinstance(layer, VIEWS):
            memory[id(output)] = inputs[0]
        else:
            last |= dict.fromkeys(inputs, len(steps))
            steps.append((layer.name, id(output), math.prod(output.shape[1:])))
    last |= {memory.get(id(x), id(x)): len(steps) for x in model.outputs + (model.inputs if keep_input else [])}
    rows, live = [], {}
    for i, (name, output, size) in enumerate(steps):
        live[output] = size
        rows.append(Live(name, sum(live.values())))
        live = {tensor: size for tensor, size in live.items() if last.get(tensor, len(steps)) > i}
    return rows

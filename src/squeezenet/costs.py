"""What a network costs: parameters, multiply-accumulates (MACs), bytes; per layer and per module."""

import math

import pandas as pd
from keras import layers

MIB = 2**20


def per_layer(model):
    """One row for each weighted layer of a model.

    Returns:
        A frame with layer, module (fire2 for fire2_squeeze1x1), kernel, weights, biases, parameters
        and MACs for one image.
    """
    rows = []
    for layer in model.layers:
        if not isinstance(layer, layers.Conv2D | layers.Dense):
            continue
        kernel, bias = (math.prod(weight.shape) for weight in (layer.kernel, layer.bias))
        positions = math.prod(layer.output.shape[1:-1])
        rows.append((layer.name, layer.name.split("_")[0], kernel, bias, kernel + bias, kernel * positions))
    return pd.DataFrame(rows, columns=["layer", "module", "weights", "biases", "parameters", "macs"])


def macs(model):
    """MACs of one image through every convolution and dense layer."""
    return int(per_layer(model).macs.sum())


def mebibytes(parameters):
    """Size of 32-bit parameters in MiB, the unit that the paper prints as MB."""
    return parameters * 4 / MIB


if __name__ == "__main__":  # the variants of params.yaml, the costliest first: the order to train them in
    from squeezenet import config, models

    variants = config.load_params().variants
    cost = {name: macs(models.create(input_shape=(32, 32, 3), nb_classes=10, **v)) for name, v in variants.items()}
    print(*sorted(cost, key=cost.get, reverse=True), sep="\n")

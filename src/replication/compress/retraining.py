"""Training within a compressed network (Han et al. 2015a, 2015b): zeros stay zero, shared weights stay shared."""

from typing import ClassVar

import keras
import numpy as np
from keras import ops

from replication.train.loop import run_epoch
from replication.train.recipe import CaffeSGD, compile_for, updates_of
from squeezenet import weights


class SharedSGD(CaffeSGD):
    """SGD within a compressed network: zeros stay zero, and weights that share a value keep sharing it."""

    groups: ClassVar = {}  # path of a kernel -> the code of each weight, 0 for zero, and the values; or a mask and None

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
        # The gradient of a centroid is the sum over its members (Han et al. 2015a, Section 3.3).
        sums = ops.segment_sum(ops.reshape(gradient, [-1]), codes, len(levels) + 1)
        return ops.reshape(ops.take(sums * np.append(0, np.ones(len(levels))), codes), gradient.shape)


def retrain(model, split, recipe, learning_rate, images, shared=False, epochs=1):
    """Continue training a compressed model within its zeros and, if `shared`, within its shared values.

    Args:
        model: as stage `train` leaves it, with the network as its last layer.
        recipe: `recipe.Train`; its schedule is run once over all updates, up to `learning_rate`.
        images: how many of the training images to draw.
        epochs: passes over these images.
    """
    network, groups = model.layers[-1], {}
    for name, kernel in weights.tensors(network).items():
        if kernel.ndim > 1:
            codes, levels = kernel != 0, None
            if shared:
                levels = np.unique(kernel[codes])
                codes = np.where(codes, np.searchsorted(levels, kernel) + 1, 0).ravel()
            # A variable, as each use of an array would copy it into the graph: gigabytes for AlexNet.
            codes = keras.Variable(codes, dtype="int32" if shared else "bool", trainable=False)
            groups[network.get_layer(name.split("/")[0]).kernel.path] = codes, levels
    drawn = np.random.default_rng(recipe.seed).permutation(len(split.labels))[:images]
    split = type(split)(split.images[drawn], split.labels[drawn])
    recipe = recipe.model_copy(update={"learning_rate": learning_rate})
    compile_for(model, recipe, epochs * updates_of(split, recipe), SharedSGD)
    model.optimizer.groups = groups
    for epoch in range(epochs):
        run_epoch(model, split, None, recipe, epoch)

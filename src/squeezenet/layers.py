"""The layers that the networks are made of: Caffe's initial weights, grouped convolutions and pools."""

import keras
import numpy as np
from keras import layers, ops

POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}  # of features


def xavier():
    """Caffe's U(+-sqrt(3 / fan_in)); a new one for each layer, as an instance gives equal shapes equal weights."""
    return keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")


def gaussian():
    """The initial weights of a last layer: normal, with a standard deviation of 0.01."""
    return keras.initializers.RandomNormal(stddev=0.01)


def conv(filters, kernel_size, name, groups=1, **options):
    """A convolution with bias and ReLU."""
    options |= {"activation": "relu", "kernel_initializer": xavier()}
    layer = layers.Conv2D if groups == 1 else GroupedConv2D
    return layer(filters, kernel_size, groups=groups, name=name, **options)


@keras.saving.register_keras_serializable("squeezenet")
class GroupedConv2D(layers.Conv2D):
    """Group by group, which TensorFlow trains ten times faster on a CPU than its own grouped convolution."""

    __module__ = "squeezenet.models"  # where saved files look for it

    def convolution_op(self, inputs, kernel):
        groups = zip(ops.split(inputs, self.groups, -1), ops.split(kernel, self.groups, -1), strict=True)
        return ops.concatenate([super(GroupedConv2D, self).convolution_op(x, k) for x, k in groups], -1)


@keras.saving.register_keras_serializable("squeezenet")
class LocalResponseNormalization(layers.Layer):
    """Across five channels (Krizhevsky et al. 2012, Section 3.3), with the values of bvlc_alexnet."""

    __module__ = "squeezenet.models"

    def __init__(self, **options):
        super().__init__(**options | {"dtype": "float32"})  # in bfloat16 the scale would round to 1

    def call(self, x):
        channels = np.arange(x.shape[-1])
        window = abs(channels - channels[:, None]) <= 2
        scale = 1 + 1e-4 / 5 * ops.tensordot(ops.square(x), ops.cast(window, x.dtype), 1)
        return x * ops.rsqrt(scale * ops.sqrt(scale))  # scale ** -0.75, in a third of a power's time


def max_pool(x, name):
    """3x3/2 max pooling that rounds up as Caffe's does; after a ReLU, padding with zeros changes no maximum.

    An odd side needs no padding. Where it is unknown it is padded all the same: no window reaches that pixel.
    """
    if any(size is not None and size < 2 for size in x.shape[1:3]):
        raise ValueError(f"images are too small for {name}: give larger ones, or fewer pools")
    missing = [1 if size is None else (size - 3) % 2 for size in x.shape[1:3]]
    if any(missing):
        x = layers.ZeroPadding2D([(0, pad) for pad in missing], name=f"{name}_ceil")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def classifier(x, activation):
    """Scores as probabilities, in float32 whatever the network computes in."""
    name = "softmax" if activation == "softmax" else "predictions"
    return layers.Activation(activation, dtype="float32", name=name)(x)

"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360) and the AlexNet it is compared with, as Keras models.

Layers carry the paper's names: conv1, maxpool1, fire2_squeeze1x1, fire2_expand1x1,
fire2_expand3x3, fire2 (their concatenation), ..., drop9, conv10, avgpool10. The sum around a fire
module is fire3_bypass, a complex bypass' convolution fire2_bypass1x1. Geometry is Caffe's, where
the networks come from: conv1 is not padded and pools round up.
"""

import keras
import numpy as np
from keras import layers, ops

# What the two releases differ in: conv1's filters and kernel, the modules that a max pooling follows.
RELEASES = {
    "1.0": (96, 7, ("conv1", "fire4", "fire8")),  # Table 1
    "1.1": (64, 3, ("conv1", "fire3", "fire5")),  # README of the authors' repository
}
FIRES = range(2, 10)
SIMPLE_BYPASS = (3, 5, 7, 9)  # Section 6, Figure 2 (middle): where input and output widths agree
COMPLEX_BYPASS = (2, 4, 6, 8)  # Section 6, Figure 2 (right): a 1x1 convolution makes them agree

POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}  # of features

SMALL_IMAGE = 64  # below this side the ImageNet stem would leave too little of the image


def fire_widths(squeeze_ratio=0.125, pct3x3=0.5, base_e=128, incr_e=128, freq=2):
    """Filters (s1x1, e1x1, e3x3) of fire2 to fire9 from the metaparameters of Section 5.1."""
    widths = []
    for i in range(len(FIRES)):
        expand = base_e + incr_e * (i // freq)
        expand3x3 = round(pct3x3 * expand)
        widths.append((round(squeeze_ratio * expand), expand - expand3x3, expand3x3))
    return widths


def SqueezeNet(
    input_shape=(224, 224, 3),
    nb_classes=1000,
    use_bypass=False,
    dropout_rate=0.5,
    compression=1.0,
    *,
    squeeze_ratio=0.125,
    pct3x3=0.5,
    as_released=False,
    weights=None,
    include_top=True,
    pooling=None,
):
    """SqueezeNet 1.0 (Table 1), its bypasses (Section 6) and its family (Section 5).

    Args:
        input_shape: (height, width, 3). Below 64 pixels conv1 becomes 3x3/2 with one pixel of padding,
            so that 32x32 images meet the fire modules at 8x8; every stride of the paper is kept.
        nb_classes: number of classes.
        use_bypass: False, True or "simple" (identity around fire 3, 5, 7, 9), or "complex"
            (in addition a 1x1 convolution around fire 2, 4, 6, 8).
        dropout_rate: after fire9; None for no dropout.
        compression: factor on the width of every layer but the last.
        squeeze_ratio: SR of Section 5.2, squeeze filters by expand filters.
        pct3x3: share of 3x3 among the expand filters, Section 5.3.
        as_released: conv10 as in the authors' prototxt, padded by one pixel (1.0 only) and followed
            by a ReLU; the released ImageNet weights need it.
        weights: None for random ones, "imagenet" for those of the release, or the path of a .keras, .sqnt
            or .caffemodel file (see `pretrained.read`). The other arguments must be those of the weights,
            but for `as_released`, which follows them.
        include_top: False for the features behind fire9: no dropout, no conv10, nothing after it.
        pooling: of the features over all positions: None, "avg" or "max".

    Returns:
        A `keras.Model` from images (batch, height, width, 3) to probabilities (batch, nb_classes), or to
        features (batch, rows, columns, filters), or to pooled features (batch, filters).

    Raises:
        ValueError: an argument is out of its range, or the weights are damaged or of another network.
        ImportError, FileNotFoundError: the weights of the release are not at hand.
    """
    return _squeezenet("1.0", **locals())  # every argument by its name


def SqueezeNet_11(
    input_shape=(224, 224, 3),
    nb_classes=1000,
    dropout_rate=0.5,
    compression=1.0,
    *,
    as_released=False,
    weights=None,
    include_top=True,
    pooling=None,
):
    """SqueezeNet 1.1, the authors' cheaper release. Arguments as in `SqueezeNet`."""
    return _squeezenet("1.1", **locals())  # every argument by its name


def _squeezenet(
    release,
    input_shape,
    nb_classes,
    dropout_rate,
    compression,
    as_released,
    weights,
    include_top,
    pooling,
    use_bypass=False,
    squeeze_ratio=0.125,
    pct3x3=0.5,
):
    _check(input_shape, nb_classes, dropout_rate)
    if use_bypass not in (False, True, "simple", "complex"):
        raise ValueError(f'use_bypass must be False, True, "simple" or "complex". Received: {use_bypass!r}')
    for name, value, limit in (
        ("compression", compression, 16),
        ("squeeze_ratio", squeeze_ratio, 1),
        ("pct3x3", pct3x3, 1),
    ):
        if not isinstance(value, int | float) or not 0 < value <= limit:
            raise ValueError(f"{name} must be above 0 and at most {limit}. Received: {value!r}")
    if pooling not in (None, *POOLINGS) or (pooling and include_top):
        raise ValueError(f'pooling must be None, or "avg" or "max" with include_top=False. Received: {pooling!r}')
    if weights is not None:
        from squeezenet import pretrained  # here: it imports this module

        source = pretrained.read(weights, release)
        as_released = as_released or pretrained.is_released(source)

    def width(filters):
        return max(1, round(filters * compression))

    filters, kernel, pools = RELEASES[release]
    stem = {"kernel_size": 3, "padding": "same"} if _small(input_shape) else {"kernel_size": kernel}
    inputs = keras.Input(input_shape)
    x = _conv(width(filters), name="conv1", strides=2, **stem)(inputs)
    if "conv1" in pools:
        x = _max_pool(x, "maxpool1")
    for i, (squeeze, expand1x1, expand3x3) in zip(FIRES, fire_widths(squeeze_ratio, pct3x3), strict=True):
        shortcut = None
        if use_bypass and i in SIMPLE_BYPASS:
            shortcut = x
        elif use_bypass == "complex" and i in COMPLEX_BYPASS:
            shortcut = _conv(width(expand1x1) + width(expand3x3), 1, name=f"fire{i}_bypass1x1")(x)
        x = _fire(x, width(squeeze), width(expand1x1), width(expand3x3), name=f"fire{i}")
        if shortcut is not None:
            x = layers.Add(name=f"fire{i}_bypass")([shortcut, x])
        if f"fire{i}" in pools:
            x = _max_pool(x, f"maxpool{i}")
    if include_top:
        x = _top(x, nb_classes, dropout_rate, pad=as_released and release == "1.0", relu=as_released)
    elif pooling:
        x = POOLINGS[pooling](name=f"{pooling}_pool")(x)
    network = keras.Model(inputs, x, name=f"squeezenet_{release.replace('.', '_')}")
    if weights is not None:
        pretrained.transfer(source, network, weights)
    return network


def _top(x, nb_classes, dropout_rate, pad, relu):
    if dropout_rate:
        x = layers.Dropout(dropout_rate, name="drop9")(x)
    if pad:
        x = layers.ZeroPadding2D(1, name="pad10")(x)
    x = layers.Conv2D(
        nb_classes,
        1,
        activation="relu" if relu else None,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        name="conv10",
    )(x)
    x = layers.GlobalAveragePooling2D(name="avgpool10")(x)
    return layers.Softmax(dtype="float32", name="softmax")(x)


def AlexNet(input_shape=(227, 227, 3), nb_classes=1000, dropout_rate=0.5):
    """Caffe's bvlc_alexnet, the paper's baseline: grouped convolutions, local response normalisation.

    Args:
        input_shape: (height, width, 3). Below 64 pixels conv1 becomes 3x3/2 as in `SqueezeNet`.
        nb_classes: number of classes.
        dropout_rate: after fc6 and fc7; None for no dropout.

    Returns:
        A `keras.Model` from images (batch, height, width, 3) to probabilities (batch, nb_classes).

    Raises:
        ValueError: an argument is out of its range.
    """
    _check(input_shape, nb_classes, dropout_rate)
    stem = (
        {"kernel_size": 3, "strides": 2, "padding": "same"}
        if _small(input_shape)
        else {"kernel_size": 11, "strides": 4}
    )
    inputs = keras.Input(input_shape)
    x = _conv(96, name="conv1", **stem)(inputs)
    x = _max_pool(LocalResponseNormalization(name="norm1")(x), "maxpool1")
    x = _conv(256, 5, name="conv2", padding="same", groups=2)(x)
    x = _max_pool(LocalResponseNormalization(name="norm2")(x), "maxpool2")
    x = _conv(384, 3, name="conv3", padding="same")(x)
    x = _conv(384, 3, name="conv4", padding="same", groups=2)(x)
    x = _conv(256, 3, name="conv5", padding="same", groups=2)(x)
    x = layers.Flatten(name="flatten")(_max_pool(x, "maxpool5"))
    for name in ("fc6", "fc7"):
        x = layers.Dense(4096, activation="relu", kernel_initializer=_xavier(), name=name)(x)
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name=name.replace("fc", "drop"))(x)
    x = layers.Dense(nb_classes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="fc8")(x)
    outputs = layers.Softmax(dtype="float32", name="softmax")(x)
    return keras.Model(inputs, outputs, name="alexnet")


MODELS = {"squeezenet": SqueezeNet, "squeezenet_11": SqueezeNet_11, "alexnet": AlexNet}


def create(model, input_shape, nb_classes, **options):
    """Build a variant as params.yaml describes it: a name of `MODELS` and that function's keywords."""
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}. Received: {model!r}")
    return MODELS[model](input_shape, nb_classes, **options)


def _xavier():
    """Caffe's U(+-sqrt(3 / fan_in)); one for each layer, as an instance gives equal shapes equal weights."""
    return keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")


def _conv(filters, kernel_size, name, groups=1, **options):
    layer = layers.Conv2D if groups == 1 else GroupedConv2D
    return layer(
        filters, kernel_size, groups=groups, activation="relu", kernel_initializer=_xavier(), name=name, **options
    )


@keras.saving.register_keras_serializable("squeezenet")
class GroupedConv2D(layers.Conv2D):
    """Group by group, which TensorFlow trains ten times faster on a CPU than its own grouped convolution."""

    def convolution_op(self, inputs, kernel):
        groups = zip(ops.split(inputs, self.groups, -1), ops.split(kernel, self.groups, -1), strict=True)
        return ops.concatenate([super(GroupedConv2D, self).convolution_op(x, k) for x, k in groups], -1)


@keras.saving.register_keras_serializable("squeezenet")
class LocalResponseNormalization(layers.Layer):
    """Across five channels (Krizhevsky et al. 2012, Section 3.3), with the values of bvlc_alexnet."""

    def __init__(self, **options):
        super().__init__(**options | {"dtype": "float32"})  # in bfloat16 the scale would round to 1

    def call(self, x):
        channels = np.arange(x.shape[-1])
        window = abs(channels - channels[:, None]) <= 2
        scale = 1 + 1e-4 / 5 * ops.tensordot(ops.square(x), ops.cast(window, x.dtype), 1)
        return x * ops.rsqrt(scale * ops.sqrt(scale))  # scale ** -0.75, in a third of a power's time


def _fire(x, squeeze, expand1x1, expand3x3, name):
    """Fire module, Section 3.2 and Figure 1."""
    x = _conv(squeeze, 1, name=f"{name}_squeeze1x1")(x)
    return layers.Concatenate(name=name)(
        [
            _conv(expand1x1, 1, name=f"{name}_expand1x1")(x),
            _conv(expand3x3, 3, name=f"{name}_expand3x3", padding="same")(x),
        ]
    )


def _max_pool(x, name):
    """3x3/2 max pooling that rounds up as Caffe's does; behind a ReLU, padding with zeros changes no maximum."""
    missing = [(size - 3) % 2 for size in x.shape[1:3]]
    if any(missing):
        x = layers.ZeroPadding2D([(0, pad) for pad in missing], name=f"{name}_ceil")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def _small(input_shape):
    return min(input_shape[:2]) < SMALL_IMAGE


def _check(input_shape, nb_classes, dropout_rate):
    if len(input_shape) != 3 or not all(isinstance(n, int) and n > 0 for n in input_shape) or min(input_shape[:2]) < 16:
        raise ValueError(
            f"input_shape must be (height, width, channels) of at least 16 pixels. Received: {input_shape!r}"
        )
    if not isinstance(nb_classes, int) or nb_classes < 2:
        raise ValueError(f"nb_classes must be an integer of at least 2. Received: {nb_classes!r}")
    if dropout_rate is not None and not (isinstance(dropout_rate, int | float) and 0 <= dropout_rate < 1):
        raise ValueError(f"dropout_rate must be None or in [0, 1). Received: {dropout_rate!r}")

"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360) and the AlexNet it is compared with, as Keras models.

Layers have the paper's names: conv1, maxpool1, fire2_squeeze1x1, fire2_expand1x1, fire2_expand3x3, fire2 (their
concatenation), ..., drop9, conv10, avgpool10. The sum around a fire module is fire3_bypass, the convolution of a
complex bypass fire2_bypass1x1. The geometry is that of Caffe, in which the networks were published: conv1 is not
padded, and pools round up. A ReLU follows every convolution but conv10.
"""

from typing import NamedTuple

import keras
from keras import layers

from squeezenet import weights as files
from squeezenet.arguments import check_family, check_input, check_top, is_small
from squeezenet.layers import (
    POOLINGS,
    GroupedConv2D,  # noqa: F401 (saved files look for it here)
    LocalResponseNormalization,
    classifier,
    conv,
    gaussian,
    max_pool,
    xavier,
)


def fire(x, squeeze, expand1x1, expand3x3, name):
    """Fire module, Section 3.2 and Figure 1: 1x1 filters squeeze the channels, 1x1 and 3x3 filters expand them."""
    x = conv(squeeze, 1, name=f"{name}_squeeze1x1")(x)
    small = conv(expand1x1, 1, name=f"{name}_expand1x1")(x)
    large = conv(expand3x3, 3, name=f"{name}_expand3x3", padding="same")(x)
    return layers.Concatenate(name=name)([small, large])


class Variant(NamedTuple):
    """What distinguishes the networks of the paper. Each has fire2 to fire9 between conv1 and conv10."""

    filters: int  # of conv1
    kernel: int  # height and width of its filters
    pools: tuple  # the modules that a max pool follows
    identity: tuple = ()  # fire modules with an identity bypass: their input is as wide as their output
    convolution: tuple = ()  # fire modules whose bypass is a 1x1 convolution, because the widths differ


VARIANTS = {
    # Table 1
    "squeezenet_1_0": Variant(96, 7, ("conv1", "fire4", "fire8")),
    # Section 6, Figure 2: middle and right
    "squeezenet_1_0_simple": Variant(96, 7, ("conv1", "fire4", "fire8"), (3, 5, 7, 9)),
    "squeezenet_1_0_complex": Variant(96, 7, ("conv1", "fire4", "fire8"), (3, 5, 7, 9), (2, 4, 6, 8)),
    # README of the authors' repository
    "squeezenet_1_1": Variant(64, 3, ("conv1", "fire3", "fire5")),
}
FIRES = range(2, 10)


def fire_widths(squeeze_ratio=0.125, pct3x3=0.5, base_e=128, incr_e=128, freq=2):
    """Filters (s1x1, e1x1, e3x3) of fire2 to fire9 from the metaparameters of Section 5.1."""
    widths = []
    for i in range(len(FIRES)):
        expand = base_e + incr_e * (i // freq)
        expand3x3 = round(pct3x3 * expand)
        widths.append((round(squeeze_ratio * expand), expand - expand3x3, expand3x3))
    return widths


def SqueezeNet(
    input_shape=None,
    nb_classes=None,
    use_bypass=False,
    dropout_rate=0.5,
    compression=1.0,
    *,
    version="1.0",
    pools=None,
    base_e=128,
    incr_e=128,
    freq=2,
    squeeze_ratio=0.125,
    pct3x3=0.5,
    as_released=False,
    include_top=True,
    weights=None,
    input_tensor=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name=None,
):
    """SqueezeNet 1.0 (Table 1), its bypasses (Section 6) and its family (Section 5).

    To train from random weights with `fit`, draw them by `squeezenet.initialise(network)` and scale the images by
    `squeezenet.standardise(images)`: as built, the loss often stays at ln(classes).

    Args:
        input_shape: (height, width, channels). None is (224, 224, 3), without top (None, None, 3) for images of any
            size from 32 pixels, and (32, 32, 3) with CIFAR-10's weights. Below 64 pixels conv1 becomes 3x3/2 with one
            pixel of padding, so that 32x32 images reach the fire modules at 8x8. Every stride of the paper is kept.
        nb_classes: number of classes; None is 1000, or 10 with CIFAR-10's weights.
        use_bypass: False, True or "simple" (identity around fire 3, 5, 7, 9), or "complex" (in addition a 1x1
            convolution around fire 2, 4, 6, 8).
        dropout_rate: after fire9; None for no dropout.
        compression: factor on the width of every layer but the last.
        version: "1.0", or "1.1" as in `SqueezeNet_11`.
        pools: the modules that a max pool follows; None is ("conv1", "fire4", "fire8"), in 1.1 those of 1.1.
        base_e, incr_e, freq: expand filters of fire2, and how many are added after every freq modules (Section 5.1).
        squeeze_ratio: SR of Section 5.2, squeeze filters / expand filters.
        pct3x3: share of 3x3 filters among the expand filters, Section 5.3.
        as_released: whether conv10 is padded by one pixel (1.0 only) and followed by a ReLU, as in the authors'
            prototxt; "torchvision" for the ReLU alone. Released weights need it and set it.
        include_top: False for the features after fire9: no dropout, no conv10, nothing after it.
        weights: None for random ones; "cifar10" or "imagenet-8bit" (1.1) for those in this package; "imagenet" for
            the authors' release; or the path of a file, see `squeezenet.weights`. The other arguments must describe
            the network that has these weights. Named weights and the files of the authors, Caffe and
            torchvision take pixels as `preprocess_input` gives them; your own take them as in their training.
        input_tensor: output of a Keras layer or `keras.Input` on which the network is built.
        pooling: of the features over all positions: None, "avg" or "max".
        classes: another name of `nb_classes`.
        classifier_activation: of the top; None for logits.
        name: of the model.

    Returns:
        A `keras.Model` from images (batch, height, width, channels) to probabilities (batch, nb_classes), or to
        features (batch, rows, columns, filters), or to pooled features (batch, filters).

    Raises:
        ValueError: an argument is out of range, or the weights are damaged or belong to another network.
        ImportError, FileNotFoundError: the weights need a package or a file; the message says how to get it.
    """
    variant = _variant(version, use_bypass)
    filters, kernel, own_pools, identity, convolution = VARIANTS[variant]
    pools, places = own_pools if pools is None else pools, ["conv1", *(f"fire{i}" for i in FIRES)]
    if not isinstance(pools, list | tuple) or any(place not in places for place in pools):
        raise ValueError(f"pools must be names among {', '.join(places)}. Received: {pools!r}")
    check_family(compression, squeeze_ratio, pct3x3, base_e, incr_e, freq)
    nb_classes = check_top(nb_classes, classes, dropout_rate, include_top, weights, pooling, classifier_activation)
    inputs = check_input(input_shape, input_tensor, weights, (224, 224, 3) if include_top else None)
    source = files.read(weights, version, variant, _settings)
    if as_released not in (False, True, "torchvision"):
        raise ValueError(f'as_released must be False, True or "torchvision". Received: {as_released!r}')
    as_released = (source is not None and source.settings["as_released"]) or (include_top and as_released)

    def width(filters):
        return max(1, round(filters * compression))

    stem = {"kernel_size": 3, "padding": "same"} if is_small(inputs.shape[1:]) else {"kernel_size": kernel}
    x = conv(width(filters), name="conv1", strides=2, **stem)(inputs)
    if "conv1" in pools:
        x = max_pool(x, "maxpool1")
    widths = fire_widths(squeeze_ratio, pct3x3, base_e, incr_e, freq)
    for i, (squeeze, *expand) in zip(FIRES, widths, strict=True):
        expand, shortcut = [width(filters) for filters in expand], None
        if i in identity:
            shortcut = x
            if x.shape[-1] != sum(expand):
                raise ValueError(f"use_bypass goes around fire{i}, which must keep the width: freq=2. Received: {freq}")
        elif i in convolution:
            shortcut = conv(sum(expand), 1, name=f"fire{i}_bypass1x1")(x)
        x = fire(x, width(squeeze), *expand, name=f"fire{i}")
        if shortcut is not None:
            x = layers.Add(name=f"fire{i}_bypass")([shortcut, x])
        if f"fire{i}" in pools:
            x = max_pool(x, f"maxpool{i}")

    if include_top:
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name="drop9")(x)
        if as_released and as_released != "torchvision" and version == "1.0":
            x = layers.ZeroPadding2D(1, name="pad10")(x)
        conv10 = {"activation": "relu" if as_released else None, "kernel_initializer": gaussian()}
        x = layers.Conv2D(nb_classes, 1, name="conv10", **conv10)(x)
        x = layers.GlobalAveragePooling2D(name="avgpool10", dtype="float32")(x)  # in bfloat16 scores would often tie
        x = classifier(x, classifier_activation)
    elif pooling:
        x = POOLINGS[pooling](name=f"{pooling}_pool")(x)
    settings = _settings("squeezenet", inputs.shape[1:], version, use_bypass, pools, as_released)
    return _model(inputs, x, name or variant, source, settings, top=() if include_top else ("conv10",))


def SqueezeNet_11(input_shape=None, nb_classes=None, dropout_rate=0.5, compression=1.0, *, use_bypass=False, **options):
    """SqueezeNet 1.1, the authors' cheaper release, without bypass. Its arguments are `SqueezeNet`'s, by name."""
    return SqueezeNet(input_shape, nb_classes, use_bypass, dropout_rate, compression, version="1.1", **options)


def AlexNet(
    input_shape=None,
    nb_classes=None,
    dropout_rate=0.5,
    *,
    include_top=True,
    weights=None,
    input_tensor=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name="alexnet",
):
    """Caffe's bvlc_alexnet, the paper's baseline: grouped convolutions, local response normalisation.

    Args:
        input_shape: as in `SqueezeNet`, but None is (227, 227, 3), and with top the size must be fixed; without top
            None for any size from 39 pixels.
        dropout_rate: after fc6 and fc7; None for no dropout.
        include_top: False for the features after maxpool5.
        weights: None for random ones, or the path of a .keras or .sqnt file.
        nb_classes, input_tensor, pooling, classes, classifier_activation, name: as in `SqueezeNet`.

    Returns:
        A `keras.Model` from images to probabilities or features, as in `SqueezeNet`.

    Raises:
        ValueError: an argument is out of range, or the weights are damaged or belong to another network.
    """
    nb_classes = check_top(nb_classes, classes, dropout_rate, include_top, weights, pooling, classifier_activation)
    inputs = check_input(input_shape, input_tensor, weights, (227, 227, 3) if include_top else None)
    if include_top and None in inputs.shape[1:]:
        raise ValueError(f"AlexNet's fc6 needs a fixed size, or include_top=False. Received: {inputs.shape[1:]}")
    source = files.read(weights, None, "alexnet", _settings)
    small = is_small(inputs.shape[1:])
    stem = {"kernel_size": 3, "strides": 2, "padding": "same"} if small else {"kernel_size": 11, "strides": 4}
    x = conv(96, name="conv1", **stem)(inputs)
    x = max_pool(LocalResponseNormalization(name="norm1")(x), "maxpool1")
    x = conv(256, 5, name="conv2", padding="same", groups=2)(x)
    x = max_pool(LocalResponseNormalization(name="norm2")(x), "maxpool2")
    x = conv(384, 3, name="conv3", padding="same")(x)
    x = conv(384, 3, name="conv4", padding="same", groups=2)(x)
    x = conv(256, 3, name="conv5", padding="same", groups=2)(x)
    x = max_pool(x, "maxpool5")
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for fc in ("fc6", "fc7"):
            x = layers.Dense(4096, activation="relu", kernel_initializer=xavier(), name=fc)(x)
            if dropout_rate:
                x = layers.Dropout(dropout_rate, name=fc.replace("fc", "drop"))(x)
        x = layers.Dense(nb_classes, kernel_initializer=gaussian(), name="fc8", dtype="float32")(x)
        x = classifier(x, classifier_activation)
    elif pooling:
        x = POOLINGS[pooling](name=f"{pooling}_pool")(x)
    settings = _settings("alexnet", inputs.shape[1:])
    return _model(inputs, x, name, source, settings, top=() if include_top else ("fc6", "fc7", "fc8"))


MODELS = {"squeezenet": SqueezeNet, "squeezenet_11": SqueezeNet_11, "alexnet": AlexNet}


def create(model, input_shape, nb_classes, **options):
    """Build a network from plain data: a name of `MODELS` and the keywords of that function."""
    if model not in [*MODELS]:  # compared, as a list has no hash
        raise ValueError(f"model must be one of {', '.join(MODELS)}. Received: {model!r}")
    return MODELS[model](input_shape, nb_classes, **options)


def _variant(version, use_bypass):
    """The name in `VARIANTS`."""
    bypass = {False: "", True: "_simple", "simple": "_simple", "complex": "_complex"}
    if not isinstance(use_bypass, bool | str) or use_bypass not in bypass:
        raise ValueError(f'use_bypass must be False, True, "simple" or "complex". Received: {use_bypass!r}')
    variant = f"squeezenet_{version}{bypass[use_bypass]}".replace(".", "_")
    if version not in ("1.0", "1.1") or variant not in VARIANTS:
        raise ValueError(f'version must be "1.0", or "1.1" without bypass. Received: {version!r}, {use_bypass!r}')
    return variant


def _settings(model, input_shape, version="1.0", use_bypass=False, pools=None, as_released=False, **_):
    """As `weights.settings_of`, from keywords of `create`."""
    settings = {"images below 64 pixels": is_small(input_shape or (None,)), "as_released": as_released}
    if model == "alexnet":
        return settings
    variant = VARIANTS[_variant("1.1" if model == "squeezenet_11" else version, use_bypass)]
    return settings | {
        "bypass": sorted(f"fire{i}_bypass" for i in variant.identity + variant.convolution),
        "pools": sorted(f"maxpool{place[-1]}" for place in (variant.pools if pools is None else pools)),
    }


def _model(inputs, outputs, name, source, settings, top):
    """The Keras model, filled with the weights of a file; `top` are the layers that it leaves out."""
    if source is not None:
        files.fill(keras.Model(inputs, outputs), source, settings, top)
    before = keras.utils.get_source_inputs(inputs)
    return keras.Model(before[0] if len(before) == 1 else before, outputs, name=name)

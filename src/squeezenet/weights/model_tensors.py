"""The weights of a Keras model by layer name: as arrays, out of it and into it."""

import re
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

MEAN = (104, 117, 123)  # Caffe's mean colour, BGR


class Weights(NamedTuple):
    """What a file holds."""

    tensors: dict  # "conv1/kernel" -> array
    settings: dict  # what names and shapes of tensors do not tell of their network, by `settings_of` or alike
    origin: str  # name or path, for messages


def variables(network):
    """Weights by layer and kind: "conv1/kernel", "conv1/bias"; of a model in the model "encoder/conv1/kernel".

    A weight without a name of its own, or with one that its layer has used before, is numbered within the layer. A
    ValueError names a weight that belongs to no layer.
    """
    if not isinstance(network, keras.Model):
        raise ValueError(f"network must be a Keras model. Received: {type(network).__name__}")
    found = {}
    for layer in network.layers:
        inner = variables(layer).items() if isinstance(layer, keras.Model) else ((w.name, w) for w in layer.weights)
        for i, (name, variable) in enumerate(inner):
            name = re.sub(r"^(jax_|nnx_)?variable(_\d+)?$", f"variable_{i}", name)  # Keras counts them over the process
            if f"{layer.name}/{name}" in found:
                name = f"{name}_{i}"
            found[f"{layer.name}/{name}"] = variable
    if lost := [weight.path for weight in network.weights if not any(weight is each for each in found.values())]:
        raise ValueError(f"{network.name} has weights outside of its layers, which a file cannot hold: {lost[0]}")
    return found


def tensors(network):
    """The weights of a Keras model as arrays: "conv1/kernel", "conv1/bias", ..."""
    return {name: ops.convert_to_numpy(variable) for name, variable in variables(network).items()}


def set_tensors(network, values):
    """Give a network the tensors of a file; factors of `deep_compression.factorise` are multiplied.

    Raises:
        ValueError: the tensors are not those of the network.
    """
    ours = variables(network)
    if wrong := differences(shapes(values), shapes(ours)):
        raise ValueError(f"{len(wrong)} of these tensors are not those of {network.name}: {wrong[0]}")
    for name, variable in ours.items():
        variable.assign(values[name] if name in values else values[f"{name}/left"] @ values[f"{name}/right"])
    _finalise(network)


def shapes(tensors):
    """Name -> shape; of two factors that of their product."""
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in [name.removesuffix("/left") for name in found if name.endswith("/left")]:
        if found[f"{name}/left"][1:] == found.get(f"{name}/right", ())[:1] != ():
            found[name] = found.pop(f"{name}/left")[:-1] + found.pop(f"{name}/right")[1:]
    return found


def differences(theirs, ours):
    """What differs between a file and a network, a clause for each name."""
    return [
        f"{name} is {theirs.get(name, 'absent')} in the file and {ours.get(name, 'absent')} here"
        for name in theirs | ours
        if theirs.get(name) != ours.get(name)
    ]


def _finalise(network):
    """Have each normalisation compute with its weights, of which it keeps copies."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            _finalise(layer)
        elif isinstance(layer, layers.Normalization):
            layer.finalize_state()


def fill(network, source, settings, top=()):
    """Give a network the weights of a file, if they belong to a network that is built alike.

    Args:
        network: just built.
        source: `Weights`.
        settings: what the names and shapes of its weights do not tell of how the network was built.
        top: layers of the file's network that this one was built without.

    Raises:
        ValueError: the two are not built alike, or a weight is not finite.
    """
    values = {name: tensor for name, tensor in source.tensors.items() if name.split("/")[0] not in top}
    theirs = {name: source.settings.get(name, "absent") for name in settings} | shapes(values)
    if wrong := differences(theirs, settings | shapes(variables(network))):
        raise ValueError(
            f"weights must be of a network like this one: {wrong[0]}. Classes, bypass, widths, pools, release and "
            "whether images are below 64 pixels (None is not) must agree. "
            f"Received: weights={source.origin!r}, input_shape={network.input_shape[1:]}"
        )
    check_finite(values)
    set_tensors(network, values)


def settings_of(configurations):
    """The settings of one of our networks, from Keras' configurations of its layers."""
    config = {layer["config"].get("name"): layer["config"] for layer in configurations}
    kinds = [(layer["class_name"], layer["config"].get("name")) for layer in configurations]
    released = True if "pad10" in config else "torchvision"  # for 1.1 too: both releases are the same
    last = configurations[-1]
    return {
        "images below 64 pixels": config.get("conv1", {}).get("padding") == "same",
        "as_released": config.get("conv10", {}).get("activation") == "relu" and released,
        "bypass": sorted(name for kind, name in kinds if kind == "Add" and name.endswith("_bypass")),
        "pools": sorted(name for kind, name in kinds if kind == "MaxPooling2D"),
        "first": [name for _, name in kinds[1:2]],  # layers before conv1, which a file of keywords would lose
        # in 0.2.0 the softmax was a layer of that name
        "end": [last["config"].get("name"), last["config"].get("activation", last["class_name"].lower())],
    }


def check_finite(values):
    """Raise a ValueError that names the first of the tensors with NaN or infinite values."""
    if not isinstance(values, dict):
        raise ValueError(f"values must be name -> array, as weights.tensors gives. Received: {type(values).__name__}")
    for name, tensor in values.items():
        if not np.isfinite(np.asarray(tensor, np.float64)).all():
            raise ValueError(f"{name} has values that are not finite: its training diverged")


def of_convolutions(pairs):
    """Tensors from layer -> [kernel (out, in, height, width), bias], as Caffe and PyTorch have them.

    Raises:
        ValueError: a layer has other arrays.
    """
    values = {}
    for name, arrays in pairs.items():
        if [array.ndim for array in arrays] != [4, 1]:
            raise ValueError(f"{name} must have a kernel (out, in, height, width) and a bias")
        layer = name.replace("/", "_")  # Caffe's fire2/squeeze1x1
        values |= {f"{layer}/kernel": arrays[0].transpose(2, 3, 1, 0), f"{layer}/bias": arrays[1]}
    return values


def fold(values, mean, std):
    """Convert tensors for (RGB - `mean`) / `std` to tensors for `preprocess_input`.

    conv1 absorbs the difference. This is exact except at borders that conv1 pads.

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

"""A Keras model in a compressed file, and back."""

import concurrent.futures
import contextlib
import copy
import json
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from squeezenet import models
from squeezenet.deep_compression.pruning import is_kernel, prune_network
from squeezenet.deep_compression.quantisation import fit
from squeezenet.deep_compression.sharing import share_network
from squeezenet.weights import check_content, set_tensors, settings_of, sqnt, tensors


class Compressed(NamedTuple):
    """What `compress` did.

    Attributes:
        sizes: bytes of the file by section.
        removed: share of the kernels' weights that pruning removed.
        agreement: share of the images whose first class is the same before and after; None without images.
    """

    sizes: dict
    removed: float
    agreement: float | None


def compress(model, path, *, quality=None, bits=None, budget=None, coder="range", architecture=None, images=None):
    """Prune a model, share its weights and write it into a file; `load` gives it back. No training in between.

    The model itself stays as it is. Pruning without retraining can cost most of the accuracy, so it warns where
    nothing is measured. To retrain within the zeros and the shared values, do these steps one by one:
    `prune_network`, `share_network`, `save`.

    Args:
        model: any Keras model of convolutions and dense layers; those of a subclassed one need names of their own, as
            Keras numbers the others anew. Weights of one dimension (biases, the statistics of a batch normalisation)
            are stored as they are.
        path: of the file, by convention .sqnt.
        quality: prune weights below this many standard deviations of their layer.
        bits: each layer keeps at most 2^bits - 1 values; a number, or a dict by prefix of a layer's name.
        budget: the most bytes that the file may have. Where the rest leaves more, the weights that pruning left are
            rounded by `fit` in place of being shared.
        coder: "range", or "huffman" as in the paper.
        architecture: keywords of `models.create` that build this model, which take fewer bytes than Keras' own
            configuration of it.
        images: an array, as the model takes them, to measure on how many of them its first class stays the same.

    Returns:
        `Compressed`.

    Raises:
        ValueError: an argument does not fit the model, a weight is not finite, the budget is too small, or the file
            could not be read again.
        FileNotFoundError: the folder of `path` is not there.
    """
    _check(path)
    before = tensors(model)
    if architecture is None:
        architecture = {"keras": keras.saving.serialize_keras_object(model)}
    text = json.dumps(architecture, allow_nan=False, default=lambda each: each.tolist())
    architecture = json.loads(text, object_hook=lambda each: {k: v for k, v in each.items() if k != "compile_config"})
    restored = _build_and_fill(architecture, before)  # before any work: the file can be read back
    if "keras" not in architecture:
        ours, theirs = ((each.input_shape, settings_of(each.get_config()["layers"])) for each in (model, restored))
        if ours != theirs:
            raise ValueError(f"architecture must build a network like this one. Received: {architecture}")
    sqnt.encode({}, {}, coder)  # an unknown coder, too, is an error before any work
    if images is not None:
        if not len(images):
            raise ValueError("images must not be empty")
        expected = model.predict(images, verbose=0)
        if not isinstance(expected, np.ndarray) or expected.ndim != 2 or expected.shape[1] < 2:
            raise ValueError("images need a model with one output of at least two classes: omit them")
    values = before if quality is None else prune_network(before, quality=quality)
    shared = values if bits is None else share_network(values, bits)
    data = sqnt.encode(shared, architecture, coder)
    if budget is not None and len(data) > budget:
        data = fit(values, budget, architecture, coder)
    _, decoded = sqnt.decode(data)  # what cannot be read is not written
    kernels = [name for name, tensor in before.items() if is_kernel(tensor)]
    zeroed = sum(np.count_nonzero(before[name]) - np.count_nonzero(values[name]) for name in kernels)
    removed, agreement = zeroed / max(sum(before[name].size for name in kernels), 1), None
    if images is not None:
        set_tensors(restored, decoded)
        agreement = float(np.mean(expected.argmax(-1) == restored.predict(images, verbose=0).argmax(-1)))
    elif quality is not None:
        warnings.warn(f"pruning removed {removed:.1%} of the weights, and nothing was measured", stacklevel=2)
    return Compressed(_write(path, data), removed, agreement)


def save(path, values, architecture, coder="range"):
    """Encode tensors, and the architecture for `load`, into a file (see `sqnt`); the bytes by section.

    Raises:
        ValueError: the weights do not fit the architecture.
    """
    _check(path)
    data = sqnt.encode(values, architecture, coder)
    _build_and_fill(*sqnt.decode(data))  # as `load` will
    return _write(path, data)


def load(path):
    """The Keras model in a file that `compress` or `save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or its weights do not fit its architecture.
    """
    try:
        check_content(path)
        values, architecture = sqnt.read(Path(path))
        return _build_and_fill(architecture, values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _build_and_fill(architecture, values):
    """The filled model that a file describes; it may have twice the file's weights, and 64 times its factors.

    Args:
        architecture: keywords of `models.create`, or {"keras": Keras' configuration of any model}.
        values: tensors by name.
    """
    size = sum(tensor.size * (64 if name.endswith(("/left", "/right")) else 2) for name, tensor in values.items())
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:  # whose end drops what Keras notes of its variables
            claimed = pool.submit(_count, architecture).result()
        if claimed > size + 2**20:  # of a network that is nearly right, `set_tensors` names the layer
            raise ValueError(f"it describes {claimed:,} weights, more weights than the file holds")
        model = _build(architecture)
    except Exception as error:  # Keras raises many kinds
        raise ValueError(f"not an architecture that can be built: {reason(error)}") from None
    set_tensors(model, values)
    return model


def reason(error):
    """What an error of Keras says, in a line, without configurations and advice on safe mode."""
    text = str(error).rpartition("Exception encountered: ")[2].partition(" Full object config")[0]
    return text.strip().partition("\n")[0].partition(" If you trust the source")[0]


def _count(architecture):
    """How many weights a model has that is not allocated."""
    with keras.StatelessScope(initialize_variables=False):
        return _build(architecture).count_params()


def _build(architecture):
    if "keras" in architecture:
        config = copy.deepcopy(architecture["keras"])  # Keras empties it
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise ValueError(f"{type(model).__name__} is not a Keras model")
        return model
    if not {"weights", "input_tensor"}.isdisjoint(architecture):
        raise ValueError("weights or inputs from elsewhere")
    return models.create(**architecture)


@contextlib.contextmanager
def whole(path):
    """A path beside a file, to write to; what is there takes the file's place if nothing has failed."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _check(path):
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(f"{Path(path).parent} is not a folder")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the path of a file")
    if Path(path).suffix == ".keras":  # it might be the model itself
        raise ValueError(f"path must not end with .keras; by convention it ends with .sqnt. Received: {path}")


def _write(path, data):
    with whole(Path(path)) as temporary:
        temporary.write_bytes(data)
    return sqnt.byte_table(data)

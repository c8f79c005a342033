"""A Keras model in a compressed file, and back."""

import contextlib
import os
from pathlib import Path

import keras

from squeezenet import models
from squeezenet.deep_compression.pruning import prune_network
from squeezenet.deep_compression.quantisation import fit
from squeezenet.deep_compression.sharing import share_network
from squeezenet.weights import set_tensors, sqnt, tensors


def compress(model, path, *, quality=None, kept=None, bits=None, budget=None, coder="range", architecture=None):
    """Prune a model, share its weights and write it into a file; `load` gives it back. No training in between.

    The model itself stays as it is. Whoever wants to retrain within the zeros and shared values does these steps
    one by one: `prune_network`, `share_network`, `save`.

    Args:
        model: any Keras model of convolutions and dense layers. Weights of one dimension (biases, the statistics of
            a batch normalisation) are stored as they are.
        path: of the file, by convention .sqnt.
        quality: drop the weights below so many standard deviations of their layer.
        kept: in place of it, layer -> fraction of the weights to keep.
        bits: share each layer's weights among 2^bits - 1 values; a number, or one by what a layer's name begins with.
        budget: the most bytes that the file may have. Where the rest leaves more, the weights that pruning left are
            rounded by `fit` in place of being shared.
        coder: "range", or "huffman" as in the paper.
        architecture: keywords of `models.create` that build this model, which take fewer bytes than Keras' own
            configuration of it.

    Returns:
        The bytes of the file by section.

    Raises:
        ValueError: an argument does not fit the model, or the model has weights that are no floating-point arrays.
            The budget is too small for it.
    """
    values = tensors(model)
    for name, tensor in values.items():
        if tensor.ndim == 0 or not keras.backend.is_float_dtype(str(tensor.dtype)):
            raise ValueError(f"{name} is no floating-point array: its layer cannot be compressed")
    if architecture is None:
        architecture = {"keras": keras.saving.serialize_keras_object(model)}
    size = sum(tensor.size for tensor in values.values())
    set_tensors(models.restore(architecture, size), values)  # before any work: the file can be read back
    if quality is not None or kept is not None:
        values = prune_network(values, kept, quality)
    shared = values if bits is None else share_network(values, bits)
    data = sqnt.encode(shared, architecture, coder)
    if budget is not None and len(data) > budget:
        data = fit(values, budget, architecture, coder)
    return _write(path, data)


def save(path, values, architecture, coder="range"):
    """Encode tensors and what `models.restore` needs into a file (see `sqnt`); the bytes by section."""
    return _write(path, sqnt.encode(values, architecture, coder))


def load(path):
    """The Keras model in a file that `compress` or `save` wrote.

    Raises:
        ValueError: the file is damaged, or its weights do not fit its architecture.
    """
    values, architecture = sqnt.read(Path(path))
    try:
        model = models.restore(architecture, sum(tensor.size for tensor in values.values()))
        set_tensors(model, values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return model


@contextlib.contextmanager
def whole(path):
    """A path beside a file, to write to; what is there takes the file's place if nothing has failed."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path, data):
    with whole(Path(path)) as temporary:
        temporary.write_bytes(data)
    return sqnt.byte_table(data)

"""Files of the authors' weights, of three kinds: the paper's method, without loss, and our quantiser."""

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt
from sklearn.cluster import KMeans

from replication.params import Section
from squeezenet import models, weights
from squeezenet.deep_compression.pruning import is_kernel
from squeezenet.weights import authors, sqnt

ARCHITECTURE = weights.RELEASED["1.0"]
LOGITS = "avgpool10"
PAPER, LOSSLESS, OURS = "the paper's method", "without loss", "ours"  # the kinds of files


class Authors(Section):
    """The section authors of params.yaml."""

    ours: PositiveInt
    calibration: int = Field(ge=2)
    imagenette_calibration: int = Field(ge=10)
    imagenette: dict[Literal["squeezenet", "squeezenet_11"], list[PositiveInt]] = Field(min_length=2)


def decode(data):
    """The network in the authors' file, its tensors, and a frame of their layers: weights stored, kept, biases."""
    tensors, rows = authors.decode(data)
    network = models.create(**ARCHITECTURE)
    weights.set_tensors(network, tensors)
    layers = pd.DataFrame(rows).set_index("layer")
    return network, tensors, layers.assign(kept=layers.nonzero / layers.weights)


def decoded(data):
    """What the report needs of the authors' file: bytes, stored entries, layers, and our bytes for it without loss."""
    _, tensors, layers = decode(data)
    return {
        "bytes": len(data),
        "stored": int(layers.stored.sum()),
        "codes": authors.byte_table(data)["codes"],
        "biases": int(layers.biases.sum()),
        "lossless": {coder: len(sqnt.encode(tensors, ARCHITECTURE, coder)) for coder in sqnt.CODERS},
        "layers": layers[["weights", "nonzero"]].to_dict("index"),
    }


def shared(tensors, bits=(8, 6)):
    """File name -> the weights by the paper's method: k-means to at most 2^bits - 1 values and zero in every layer.

    4-bit gaps with filler zeros and Huffman coding of codes and gaps follow; biases stay float32. Deep Compression
    also fine-tunes the shared values, by training on ImageNet, which is left out here. The released layers have 255
    values each, so that 8 bits lose nothing.
    """
    return {
        f"paper_{each}bit.sqnt": sqnt.encode(
            {name: _share(tensor, 2**each - 1) if is_kernel(tensor) else tensor for name, tensor in tensors.items()},
            ARCHITECTURE,
            "huffman",
        )
        for each in bits
    }


def _share(kernel, values):
    """k-means from evenly spaced values (Han et al. 2015a), by scikit-learn, which gives empty clusters new values."""
    kept = kernel[kernel != 0]
    different, counts = np.unique(kept.astype("float64"), return_counts=True)
    if len(different) <= values:
        return kernel
    start = np.linspace(different[0], different[-1], values)[:, None]
    found = KMeans(values, init=start, n_init=1, max_iter=1000, tol=0).fit(different[:, None], sample_weight=counts)
    shared = np.zeros_like(kernel)
    shared[kernel != 0] = found.cluster_centers_[found.labels_, 0][np.searchsorted(different, kept)]
    return shared


def sizes(kind, name, data):
    """What a table says of a file: its kind, bytes, and where they go."""
    table = sqnt.byte_table(data)
    stored = sum(t["stored"] for t in sqnt.describe(data) if t["entries"])
    return {"kind": kind, "file": name, "bytes": len(data), "bits_per_weight": 8 * table["codes"] / stored, **table}

"""The authors' file and ours of the same weights: bytes, and what the fewer of them cost."""

import keras
import numpy as np
import pandas as pd
from pydantic import PositiveInt

from replication import measures
from replication.params import Section
from squeezenet import models, preprocess_input, weights
from squeezenet.weights import authors, sqnt

ARCHITECTURE = weights.RELEASED["1.0"]
LOGITS = "avgpool10"


class Budget(Section):
    """One of our files; `bytes` null is without loss."""

    bits: PositiveInt
    bytes: PositiveInt | None


class Authors(Section):
    """The section authors of params.yaml."""

    ours: list[Budget]
    calibration: PositiveInt
    photographs: PositiveInt


def decode(data):
    """The network in the authors' file, its tensors, and a frame of their layers: weights stored, kept, biases."""
    tensors, rows = authors.decode(data)
    network = models.create(**ARCHITECTURE)
    weights.set_tensors(network, tensors)
    layers = pd.DataFrame(rows).set_index("layer")
    return network, tensors, layers.assign(kept=layers.nonzero / layers.weights)


def lossless(tensors):
    """Our file of the same weights by each way of coding.

    Raises:
        ValueError: a file does not give every weight back.
    """
    files = {coder: sqnt.encode(tensors, ARCHITECTURE, coder) for coder in sqnt.CODERS}
    for coder, data in files.items():
        _, restored = sqnt.decode(data)
        if wrong := [name for name in tensors if not np.array_equal(tensors[name], restored[name])]:
            raise ValueError(f"the file by {coder} coding changes {', '.join(wrong)}")
    return files


def compare(network, files, quantiser, unseen, nonzero):
    """Hold the networks in our files against the one they are of.

    Args:
        network: the authors', whose weights are changed on the way and given back.
        files: bits -> bytes of a .sqnt file.
        quantiser: `deep_compression.Quantiser`, which knows the layers' inputs.
        unseen: kind -> photographs.
        nonzero: how many weights there are, for the bits of one.

    Returns:
        A frame with a row for each file: sizes, agreement by kind of photographs, error of the logits; and
        bits -> the layers' relative errors.
    """
    tensors = weights.tensors(network)
    photographs = np.concatenate(list(unseen.values()))
    kinds = np.repeat(list(unseen), [len(images) for images in unseen.values()])
    reference, rows, errors = logits(network, photographs), [], {}
    for bits, data in files.items():
        _, restored = sqnt.decode(data)
        weights.set_tensors(network, restored)
        answers = logits(network, photographs)
        errors[bits] = pd.DataFrame(quantiser.errors(restored)).set_index("layer")
        row = {"bits": bits, "bytes": len(data), **sqnt.byte_table(data)}
        row["bits_per_weight"] = 8 * row["codes"] / nonzero
        for kind in ("", *unseen):
            chosen = kinds == kind if kind else slice(None)
            same = measures.agreement(reference[chosen], answers[chosen])
            counted = {"photographs": len(answers[chosen])} | {f"same_{key}": value for key, value in same.items()}
            row |= {f"{kind} {key}".strip(): value for key, value in counted.items()}
        row["logits_relative_error"] = float(np.linalg.norm(answers - reference) / np.linalg.norm(reference))
        rows.append(row)
    weights.set_tensors(network, tensors)
    return pd.DataFrame(rows), errors


def logits(network, images):
    """What the released network gives before its softmax, for pixels of 0 to 255."""
    head = keras.Model(network.input, network.get_layer(LOGITS).output)
    return head.predict(preprocess_input(images), batch_size=8, verbose=0)


def byte_tables(data, files):
    """Bytes by content of the authors' file and of ours, by bits: a column for each file."""
    tables = {"authors": authors.byte_table(data)}
    return pd.DataFrame(tables | {f"ours, {bits}": sqnt.byte_table(file) for bits, file in files.items()}).fillna(0)


def summary(data, layers, lossless, ours, errors):
    """What the report reads, of the results of the functions above."""
    return {
        "available": True,
        "file_bytes": len(data),
        "stored_entries": int(layers.stored.sum()),
        "nonzero_weights": int(layers.nonzero.sum()),
        "biases": int(layers.biases.sum()),
        "parameters_after": int(layers.nonzero.sum() + layers.biases.sum()),
        "layers": layers[["weights", "nonzero", "kept"]].to_dict("index"),
        "bytes": authors.byte_table(data),
        "lossless": {coder: {"bytes": len(file)} | sqnt.byte_table(file) for coder, file in lossless.items()},
        "ours": [row | {"relative_error": errors[row["bits"]].to_dict("index")} for row in ours.to_dict("records")],
    }

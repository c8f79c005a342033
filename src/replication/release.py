"""Ship a compressed network with the library, as a file and a card in squeezenet/weights/cifar10."""

import hashlib
import json
import os

from replication import measures, records
from replication.dataset import splits
from replication.params import read
from squeezenet import models, preprocess_input, weights
from squeezenet.weights import sqnt

TOLD = ("dataset", "train_images", "epochs", "seed", "bits", "commit", "versions")  # of a card, by who trained


def release(path, name, provenance, folder=weights.CIFAR10):
    """Ship a compressed network, unless the shipped one has at least the same validation accuracy.

    Args:
        path: of a .sqnt file as stage `compress` writes it, for standardised pixels.
        name: of `models.VARIANTS`.
        provenance: `TOLD`; what else it has is left out.

    Returns:
        The card: `provenance`, and what is measured on the network that the library builds from the new file.

    Raises:
        ValueError: the file is of another network, or something is not told.
    """
    if missing := [key for key in TOLD if key not in provenance]:
        raise ValueError(f"the card of {name} needs {', '.join(missing)}")
    architecture, tensors = sqnt.decode(path.read_bytes())
    if (built := models.create(**architecture).name) != name:
        raise ValueError(f"{path} is a {built}, not a {name}")
    data = splits.describe(read("dataset", splits.Dataset))
    content = sqnt.encode(weights.fold(tensors, data["mean"], data["std"]), architecture)
    folder.mkdir(exist_ok=True)
    file, card, candidate = (folder / f"{name}{end}" for end in (".sqnt", ".json", ".new.sqnt"))
    try:
        candidate.write_bytes(content)
        network = models.create(**architecture, weights=candidate)
        validation = measure(network, "validation")["accuracy"]
        if card.exists() and (there := json.loads(card.read_text())["validation_accuracy"]) >= validation:
            print(f"{name}: kept the file that is there, {there:.1%} against {validation:.1%} of validation images")
            return json.loads(card.read_text())
        found = {
            "name": name,
            **{key: provenance[key] for key in TOLD},
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "parameters": network.count_params(),
            "validation_accuracy": validation,
            **measure(network, "test"),
        }
        os.replace(candidate, file)
        records.write(card, json.dumps(found, indent=1) + "\n")
    finally:
        candidate.unlink(missing_ok=True)
    print(f"{name}: new file of {len(content):,} bytes, {validation:.1%} of validation images")
    return found


def measure(network, split):
    """The accuracy of a network of the library on a split of CIFAR-10, with its interval, and SPLIT_images."""
    images, labels = splits.load(split, read("dataset", splits.Dataset))
    scores = network.predict(preprocess_input(images), batch_size=500, verbose=0)
    return {f"{split}_images": len(labels), **measures.accuracy(scores.argmax(1) == labels)}

"""Ship a compressed network with the library, as a file and a card in squeezenet/weights/cifar10."""

import argparse
import hashlib
import json

from replication import accuracy, paths, records
from replication.dataset import splits
from replication.params import read
from squeezenet import models, preprocess_input, weights
from squeezenet.weights import sqnt

TOLD = ("dataset", "train_images", "epochs", "seed", "bits", "commit", "versions")  # of a card, by who trained


def release(path, provenance, folder=weights.CIFAR10):
    """Ship a .sqnt file of stage `compress` under its network's name, if it beats the one that is there.

    The validation accuracy decides. The card, which is returned, has `TOLD` of `provenance`, and what is measured on
    the network that the library builds from the new file.
    """
    architecture, tensors = sqnt.decode(path.read_bytes())
    network = models.create(**architecture)
    name, data = network.name, splits.describe(read("dataset", splits.Dataset))
    content = sqnt.encode(weights.fold(tensors, data["mean"], data["std"]), architecture)
    weights.set_tensors(network, sqnt.decode(content)[1])
    validation, card = measure(network, "validation")["accuracy"], folder / f"{name}.json"
    if card.exists() and (there := records.read(card))["validation_accuracy"] >= validation:
        print(f"{name}: kept the file that is there, with {there['validation_accuracy']:.1%} validation accuracy")
        return there
    found = {
        "name": name,
        **{key: provenance[key] for key in TOLD},
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "parameters": network.count_params(),
        "validation_accuracy": validation,
        **measure(network, "test"),
    }
    records.write(folder / f"{name}.sqnt", content)
    records.write(card, json.dumps(found, indent=1) + "\n")
    print(f"{name}: new file of {len(content):,} bytes, {validation:.1%} validation accuracy")
    return found


def measure(network, split):
    """The accuracy of a network of the library on a split of CIFAR-10, with its interval, and SPLIT_images."""
    images, labels = splits.load(split, read("dataset", splits.Dataset))
    scores = network.predict(preprocess_input(images), batch_size=500, verbose=0)
    return {f"{split}_images": len(labels), **accuracy.with_interval(scores.argmax(1) == labels)}


def main():
    parser = argparse.ArgumentParser(prog="python -m replication.release", description=__doc__)
    for name in ("run", "variant", "seed", "bits"):
        parser.add_argument(name)
    of = parser.parse_args()
    name = f"{of.variant}-{of.seed}"
    file = paths.CHECKPOINTS / of.run / "compress" / name / f"{of.bits}_bit.sqnt"
    try:
        trained, made = (records.read(paths.EVIDENCE / of.run / part / f"{name}.json") for part in ("", "compress"))
        sizes = [row["bytes"] for row in made["rows"] if row["file"] == file.name]
        if not file.exists() or file.stat().st_size not in sizes:
            raise ValueError(f"{file} must be the file of its row: train and compress the network here first")
        told = trained | {"commit": made["commit"], "versions": made["versions"], "bits": int(of.bits)}
        release(file, told)
    except (OSError, ValueError) as error:
        parser.error(error)


if __name__ == "__main__":
    main()

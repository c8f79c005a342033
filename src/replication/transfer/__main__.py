"""Train SqueezeNet 1.1 on your own classes, and classify photographs with it.

python -m replication.transfer train my/photographs my/network
python -m replication.transfer classify my/network/network.keras photograph.jpg ...
"""

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
from pydantic import Json

from replication.dataset.folders import printable
from replication.dataset.photographs import try_read
from replication.params import read, validate
from replication.train import devices, loop
from replication.train.recipe import Train
from replication.transfer import fine_tuning
from squeezenet import deep_compression, preprocess_input
from squeezenet.weights import check_content

SIDE = 227  # photographs have the detail that enlarged images of CIFAR-10 lack


def train(folder, output):
    """Fine-tune on a folder of class folders; leave the network and its classes in the folder `output`."""
    if output.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the output must lie outside of {folder}, where it would be a class. Received: {output}")
    settings, recipe = read("transfer", fine_tuning.Transfer).model_copy(update={"side": SIDE}), read("train", Train)
    devices.set_up(recipe.threads, fine_tuning.SEED, recipe.dtype)
    classes, training, test = fine_tuning.own(folder, settings.side)
    output.mkdir(parents=True, exist_ok=True)
    print(f"{len(training.labels):,} photographs of {len(classes)} classes to train on, {len(test.labels):,} to test")
    network = fine_tuning.linear_classifier(settings, classes, training)
    history = fine_tuning.fine_tune(network, settings, recipe, training, test)
    bytes_of = fine_tuning.save(network, classes, settings.bits, output)
    correct, _ = loop.evaluate(fine_tuning.of_pixels(network), test)
    about = f"of {len(test.labels):,} test photographs right ({settings.epochs} epochs, seed {fine_tuning.SEED})"
    print("accuracy: {accuracy:.1%} [{accuracy_low:.1%}, {accuracy_high:.1%}]".format(**correct), about)
    print(f"{output}: network.keras, network.sqnt ({sum(bytes_of.values()):,} bytes), classes.json")
    loop.forget(history)


def classify(file, photographs):
    """Print the likeliest classes of each photograph; whether all of them could be read."""
    check_content(file)
    network = deep_compression.load(file) if file.suffix == ".sqnt" else keras.models.load_model(file, compile=False)
    names, all_read = file.with_name("classes.json"), True
    classes = validate("classes", Json[list[str]], names.read_bytes(), names)
    if len(classes) != network.output_shape[-1]:
        raise ValueError(f"{names} names {len(classes)} classes, but {file} has {network.output_shape[-1]}")
    for path in photographs:
        image, reason = try_read(path, network.input_shape[1], fine_tuning.SMOOTH)
        if reason:
            print(f"{printable(path)}: {reason}", file=sys.stderr)
            all_read = False
            continue
        probabilities = network.predict(preprocess_input(image[None]), verbose=0)[0]
        best = np.argsort(-probabilities, kind="stable")[:3]
        print(f"{printable(path)}: " + ", ".join(f"{classes[i]} {probabilities[i]:.1%}" for i in best))
    return all_read


def main():
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m replication.transfer", None, __doc__, formatter_class=text)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("train", help="on a folder that holds one folder of photographs for each class")
    command.add_argument("folder", type=Path)
    command.add_argument("output", type=Path, help="folder for the network and the names of its classes")
    command = commands.add_parser("classify", help="photographs by a trained network")
    command.add_argument("network", type=Path, help="network.keras or network.sqnt, with classes.json beside it")
    command.add_argument("photographs", type=Path, nargs="+")
    arguments = parser.parse_args()
    try:
        if arguments.command == "train":
            train(arguments.folder, arguments.output)
        elif not classify(arguments.network, arguments.photographs):
            sys.exit(1)
    except Exception as error:  # Keras raises many kinds, of many lines
        place = f"{arguments.network}: " if arguments.command == "classify" else ""
        sys.exit(place + " ".join(str(error).split()))


if __name__ == "__main__":
    main()

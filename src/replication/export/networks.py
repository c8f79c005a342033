"""Which networks are exported: those with weights, each with images that calibrate it and images that test it."""

import functools
import json
from typing import NamedTuple

import keras
import numpy as np
from pydantic import PositiveInt

from replication import measures, release
from replication.authors import images
from replication.dataset import splits
from replication.export import formats
from replication.imagenet import released
from replication.params import Section
from squeezenet import models, preprocess_input, weights
from squeezenet.weights import sqnt

VERSIONS = {"squeezenet": "1.0", "squeezenet_11": "1.1"}  # of the releases


class Export(Section):
    """The section export of params.yaml."""

    images: PositiveInt
    photographs: PositiveInt
    calibration: PositiveInt
    calls: PositiveInt


class Subject(NamedTuple):
    """A network to export.

    Attributes:
        data: "CIFAR-10" or "ImageNet", whose classes it tells apart.
        network: Keras model, from what `preprocess_input` gives to probabilities.
        architecture: keywords of `models.create` that build it.
        seen, shown: preprocessed images, for the ranges of 8-bit activations and for the comparison.
        labels: of those shown; None where nobody knows them.
    """

    data: str
    network: keras.Model
    architecture: dict
    seen: np.ndarray
    shown: np.ndarray
    labels: np.ndarray | None


def of_cifar10(settings, data):
    """The networks in the package: a list of `Subject`, and name -> why one is missing.

    Args:
        settings: `Export`.
        data: `splits.Dataset`.

    Raises:
        ValueError: a network is not what its card says.
    """
    if data.name != "cifar10":
        reason = "its test images are CIFAR-10's (`dataset.name` in params.yaml)"
        return [], {f"{name}, CIFAR-10": reason for name in models.VARIANTS}
    seen = preprocess_input(splits.load("train", data).images[: settings.calibration])
    test, subjects = splits.load("test", data), []
    chosen = splits.stratified(test.labels, settings.images)
    shown, labels = preprocess_input(test.images[chosen]), test.labels[chosen]
    for name in models.VARIANTS:
        architecture, _ = sqnt.decode((weights.CIFAR10 / f"{name}.sqnt").read_bytes())
        network = models.create(**architecture, weights="cifar10")
        check(network, weights.CIFAR10 / f"{name}.json")
        subjects.append(Subject("CIFAR-10", network, architecture, seen, shown, labels))
    return subjects, {}


def check(network, card):
    """Hold a network against its card: as right on as many test images, but for one on which machines may differ.

    Raises:
        ValueError: it is another network's card.
    """
    told, found = json.loads(card.read_text()), release.measure(network, "test")
    off = abs(found["accuracy"] - told["accuracy"]) * told["test_images"]
    if found["test_images"] == told["test_images"] and off > 1.5:
        raise ValueError(
            f"{card.name} says {told['accuracy']:.2%} of CIFAR-10's test images, the network beside it has "
            f"{found['accuracy']:.2%}: `replication.release.release` makes both anew"
        )


def of_imagenet(settings, data, releases):
    """The released networks, as `of_cifar10` gives the others.

    Args:
        releases: `released.ImageNet`.
    """
    found, missing = released.networks(releases.model_copy(update={"crop": images.SIDE}))
    seen = preprocess_input(images.calibration(data, settings.calibration // 2))
    shown = preprocess_input(np.concatenate(list(images.unseen(data, settings.photographs).values())))
    subjects = [
        Subject("ImageNet", found[name], weights.RELEASED[version], seen, shown, None)
        for name, version in VERSIONS.items()
        if name in found
    ]
    return subjects, {f"{name}, ImageNet": missing[name] for name in VERSIONS if name in missing}


def measure(subject, folder, calls):
    """Export a network, and hold each file in its runtime against Keras' `predict`.

    Args:
        folder: where the files go.
        calls: with one image, that are timed.

    Returns:
        Two lists with a dict for each format: what repeats, and milliseconds.
    """
    files = formats.write(subject.network, subject.architecture, folder, subject.seen)
    named = {"data": subject.data, "network": subject.network.name}
    predict = functools.partial(subject.network.predict, batch_size=formats.BATCH, verbose=0)
    reference, image = predict(subject.shown), subject.shown[:1]
    rows, times = [], [{**named, "format": "Keras, predict", **formats.milliseconds(predict, image, calls)}]
    for name, path in files.items():
        run = formats.FORMATS[name][1](path)
        answers = formats.answer(run, subject.shown)
        row = {**named, "format": name, "bytes": formats.size(path), "images": len(answers)}
        same = measures.accuracy(answers.argmax(1) == reference.argmax(1))
        row |= {key.replace("accuracy", "agreement"): value for key, value in same.items()}
        row["difference"] = float(np.abs(answers - reference).max())
        if subject.labels is not None:
            row |= measures.accuracy(answers.argmax(1) == subject.labels)
        rows.append(row)
        times.append({**named, "format": name, **formats.milliseconds(run, image, calls)})
    return rows, times

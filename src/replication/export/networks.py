"""Which networks are exported: those with weights, each with images that calibrate it and images that test it."""

import functools
from typing import Literal, NamedTuple

import keras
import numpy as np
from pydantic import PositiveInt

from replication import accuracy
from replication.dataset import photographs, splits
from replication.export import formats
from replication.imagenet import evaluation, released
from replication.params import Section
from squeezenet import models, preprocess_input, weights
from squeezenet.weights import sqnt

RELEASES = {"squeezenet_1_0": ("squeezenet", "1.0"), "squeezenet_1_1": ("squeezenet_11", "1.1")}


class Export(Section):
    """The section export of params.yaml."""

    networks: list[Literal[tuple(models.VARIANTS)]]
    images: PositiveInt
    photographs: PositiveInt
    calibration: PositiveInt
    calls: PositiveInt


class Subject(NamedTuple):
    """A network to export."""

    data: str  # "CIFAR-10" or "ImageNet", whose classes it tells apart
    network: keras.Model  # from what `preprocess_input` gives to probabilities
    architecture: dict  # keywords of `models.create` that build it
    calibration: np.ndarray  # preprocessed images, for the ranges of 8-bit activations
    test: np.ndarray  # preprocessed images that every file has to classify as the model does
    labels: np.ndarray  # of the test images


def of_cifar10(settings, data):
    """The networks in the package, by `Export` and `Dataset`: a list of `Subject`, and name -> why one is missing."""
    if data.name != "cifar10":
        reason = "it needs `dataset.name: cifar10` in params.yaml"
        return [], {f"{name}, CIFAR-10": reason for name in settings.networks}
    calibration = preprocess_input(splits.load("train", data).images[: settings.calibration])
    test, subjects = splits.load("test", data), []
    chosen = splits.stratified(test.labels, settings.images)
    pixels, labels = preprocess_input(test.images[chosen]), test.labels[chosen]
    for name in settings.networks:
        architecture, _ = sqnt.decode((weights.CIFAR10 / f"{name}.sqnt").read_bytes())
        network = models.create(**architecture, weights="cifar10")
        subjects.append(Subject("CIFAR-10", network, architecture, calibration, pixels, labels))
    return subjects, {}


def of_imagenet(settings, imagenet):
    """The released networks with ImageNet photographs, as `of_cifar10` gives the others."""
    wanted = [RELEASES[each] for each in settings.networks if each in RELEASES]
    if not wanted:
        return [], {}
    networks, missing = released.networks(imagenet)
    try:
        calibration, _ = _photographs(settings.calibration, imagenet, clean=False)
        test, labels = _photographs(settings.photographs, imagenet)
    except FileNotFoundError as error:
        return [], {f"{name}, ImageNet": str(error) for name, _ in wanted}
    side = {"input_shape": [imagenet.crop, imagenet.crop, 3]}
    subjects = [
        Subject("ImageNet", networks[name], weights.RELEASED[version] | side, calibration, test, labels)
        for name, version in wanted
        if name in networks
    ]
    return subjects, {f"{name}, ImageNet": missing[name] for name, _ in wanted if name in missing}


def _photographs(count, imagenet, clean=True):
    found, _ = evaluation.of_imagenette(count, clean)
    pixels = [photographs.centre(photographs.read(file, imagenet.side), imagenet.crop) for _, file, _ in found]
    return preprocess_input(np.stack(pixels)), np.array([label for *_, label in found])


def measure(subject, folder, calls):
    """Export a network, and compare each file in its runtime with Keras' `predict`.

    Args:
        folder: where the files go.
        calls: with one image, that are timed.

    Returns:
        Two lists with a dict for each format: what repeats, and milliseconds.
    """
    files = formats.write(subject.network, subject.architecture, folder, subject.calibration)
    named = {"data": subject.data, "network": subject.network.name}
    predict = functools.partial(subject.network.predict, batch_size=formats.BATCH, verbose=0)
    reference, image = predict(subject.test), subject.test[:1]
    rows, times = [], [{**named, "format": "Keras, predict", **formats.milliseconds(predict, image, calls)}]
    for name, path in files.items():
        run = formats.FORMATS[name][1](path)
        batches = range(0, len(subject.test), formats.BATCH)
        scores = np.concatenate([run(subject.test[i : i + formats.BATCH]) for i in batches])
        row = {**named, "format": name, "bytes": formats.size(path), "images": len(scores)}
        same = accuracy.with_interval(scores.argmax(1) == reference.argmax(1))
        row |= {key.replace("accuracy", "agreement"): value for key, value in same.items()}
        row["difference"] = float(np.abs(scores - reference).max())
        rows.append(row | accuracy.with_interval(scores.argmax(1) == subject.labels))
        times.append({**named, "format": name, **formats.milliseconds(run, image, calls)})
    return rows, times

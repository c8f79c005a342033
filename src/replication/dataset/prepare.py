"""What stage `dataset` does: get and verify a data set, or list a folder of images and leave out what is none."""

import hashlib

import numpy as np

from replication import paths
from replication.dataset import cifar10, folders, imagenette, photographs
from replication.dataset.splits import held_out
from replication.params import read

SAMPLE = 1000  # images of a folder that its mean and deviation are of


def prepare(data):
    """What stage `dataset` leaves: arrays and what `describe` says of them, for `save`; and the source that served.

    Args:
        data: `splits.Dataset`.
    """
    arrays, statistics, source = {"cifar10": _cifar10, "imagenette": _imagenette, "folder": _folder}[data.name](data)
    return arrays, statistics | {"validation": data.validation}, source


def _cifar10(data):
    arrays, source = cifar10.fetch(data.source)
    training = np.delete(arrays["train_images"], held_out(arrays["train_labels"], data), axis=0)
    statistics = {
        "name": "CIFAR-10",
        "kind": "cifar10",
        "classes": cifar10.CLASSES,
        "image_shape": list(training.shape[1:]),
        "mean": training.mean((0, 1, 2)).round(3).tolist(),
        "std": training.std((0, 1, 2)).round(3).tolist(),
    }
    return arrays, statistics, source


def _imagenette(data):
    arrays, source = imagenette.fetch()
    seen = np.delete(np.arange(len(arrays["train_labels"])), held_out(arrays["train_labels"], data))
    mean, std = photographs.statistics(arrays["train_images"][seen])
    digest = hashlib.sha256("".join(imagenette.digests(arrays).values()).encode())
    statistics = {
        "name": "Imagenette",
        "kind": "imagenette",
        "classes": list(imagenette.CLASSES.values()),
        "image_shape": [imagenette.SIDE, imagenette.SIDE, 3],
        "mean": mean.round(3).tolist(),
        "std": std.round(3).tolist(),
        "sha256": digest.hexdigest(),
    }
    return arrays, statistics, source


def _folder(data):
    """Names and labels of the images that can be read; each is read once."""
    section, arrays, refused = data.folder, {}, []
    training = folders.index(paths.ROOT / section.train)
    folders.check(training, data, read("train", dict))
    truth = section.truth and paths.ROOT / section.truth
    test = folders.index(paths.ROOT / section.validation, training.classes, truth)
    for kind, found in (("train", training), ("test", test)):
        found = folders.sift(found, section.side)
        arrays |= {f"{kind}_files": found.files, f"{kind}_labels": found.labels}
        refused += [(kind, *why) for why in found.refused]
    seen = np.delete(np.arange(len(arrays["train_files"])), held_out(arrays["train_labels"], data))
    sample = seen[np.linspace(0, len(seen) - 1, min(SAMPLE, len(seen))).astype(int)]
    files = arrays["train_files"][sample]
    mean, std = photographs.statistics(photographs.Photographs(training.folder, files, section.side, sample))
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array))
    statistics = {
        "name": training.folder.resolve().parent.name,
        "kind": "folder",
        "classes": training.classes,
        "image_shape": [section.side, section.side, 3],
        "mean": mean.round(3).tolist(),
        "std": std.round(3).tolist(),
        "sha256": digest.hexdigest(),
        "refused": refused,
    }
    return arrays, statistics, "folder"

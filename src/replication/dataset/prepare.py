"""What stage `dataset` does: get CIFAR-10 and verify it, or list a folder of images and leave out what is none."""

import hashlib

import numpy as np

from replication import paths
from replication.dataset import cifar10, photographs
from replication.dataset.splits import check_validation, held_out

SAMPLE = 1000  # images of a folder that its mean and deviation are of


def prepare(params):
    """What stage `dataset` leaves, for `save`: arrays, what `describe` says of them, and the source that served.

    Args:
        params: `Dataset`.
    """
    return (*_folder(params), "folder") if params.name == "folder" else _cifar10(params)


def _cifar10(params):
    arrays, served_by = cifar10.fetch(params.source)
    check_validation(len(arrays["train_images"]), params.validation)
    training = arrays["train_images"][: -params.validation]
    statistics = {
        "name": "CIFAR-10",
        "kind": "cifar10",
        "classes": cifar10.CLASSES,
        "image_shape": list(training.shape[1:]),
        "mean": training.mean((0, 1, 2)).round(3).tolist(),
        "std": training.std((0, 1, 2)).round(3).tolist(),
    }
    return arrays, statistics, served_by


def _folder(params):
    """Names and labels of the images that can be read; each is read once."""
    section, arrays, refused = params.folder, {}, []
    training = photographs.index(paths.ROOT / section.train)
    truth = section.truth and paths.ROOT / section.truth
    test = photographs.index(paths.ROOT / section.validation, training.classes, truth)
    for kind, found in (("train", training), ("test", test)):
        found = photographs.sift(found, section.side)
        arrays |= {f"{kind}_files": found.files, f"{kind}_labels": found.labels}
        refused += [(kind, *why) for why in found.refused]
    validation = held_out(len(arrays["train_files"]), params.validation)
    seen = np.delete(np.arange(len(arrays["train_files"])), validation)
    sample = seen[np.linspace(0, len(seen) - 1, min(SAMPLE, len(seen))).astype(int)]
    files = arrays["train_files"][sample]
    mean, std = photographs.statistics(photographs.Photographs(training.folder, files, section.side, sample))
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array))
    return arrays, {
        "name": training.folder.resolve().parent.name,
        "kind": "folder",
        "classes": training.classes,
        "image_shape": [section.side, section.side, 3],
        "mean": mean.round(3).tolist(),
        "std": std.round(3).tolist(),
        "sha256": digest.hexdigest(),
        "refused": refused,
    }

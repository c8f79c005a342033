"""What stage `dataset` does: get and verify a data set, or list the readable images of a folder."""

import hashlib

import numpy as np
from pydantic import BaseModel, PositiveInt

from replication import paths
from replication.dataset import cifar10, folders, imagenette, photographs
from replication.dataset.splits import held_out, spread
from replication.params import read

SAMPLE = 1000  # images that give a folder's mean and deviation


def prepare(data):
    """Get the arrays of a `splits.Dataset`, what `describe` says of them, for `save`, and the source that served."""
    more = {}
    if data.name == "folder":
        arrays, name, classes, more = _listed(data)
        source = "folder"
    elif data.name == "cifar10":
        arrays, source = cifar10.fetch(data.source)
        name, classes = "CIFAR-10", cifar10.CLASSES
    else:
        arrays, source = imagenette.fetch()
        name, classes = "Imagenette", list(imagenette.CLASSES.values())
        more["sha256"] = imagenette.digest(arrays)
    seen = np.delete(np.arange(len(arrays["train_labels"])), held_out(arrays["train_labels"], data))
    if data.name == "folder":
        seen = seen[spread(len(seen), SAMPLE)]
        place, side = paths.ROOT / data.folder.train, data.folder.side
        images = photographs.Photographs(place, arrays["train_files"][seen], side, seen)
    else:
        images = arrays["train_images"][seen]
    mean, std = photographs.statistics(images)
    about = {"name": name, "kind": data.name, "classes": classes, "image_shape": list(images[0].shape)}
    about |= {"mean": mean.round(3).tolist(), "std": std.round(3).tolist(), **more, "validation": data.validation}
    return arrays, about, source


class Fits(BaseModel):
    """The keys of section train that a folder's images must allow."""

    batch_size: PositiveInt
    accumulate: PositiveInt
    crop: PositiveInt


def _listed(data):
    """Names and labels of the readable images of a folder, each of which is read once, with its classes and more."""
    section, arrays, digest, refused = data.folder, {}, hashlib.sha256(), []
    training = folders.index(paths.ROOT / section.train)
    train = read("train", Fits).model_dump()  # decides no result: the stage does not depend on `train`
    folders.check(training, data, train)
    held_out(training.labels, data)  # its errors, before an image is read
    truth = section.truth and paths.ROOT / section.truth
    test = folders.index(paths.ROOT / section.validation, training.classes, truth)
    if test.folder.resolve().is_relative_to(training.folder.resolve()):
        raise ValueError(f"dataset.folder.validation must lie outside of dataset.folder.train. Received: {test.folder}")
    for kind, found in (("train", training), ("test", test)):
        found = folders.sift(found, section.side)
        sizes = [(found.folder / each).stat().st_size for each in found.files]
        digest.update(np.array(sizes, np.int64))  # of a file that was replaced under its name
        for what, array in (("files", found.files), ("labels", found.labels)):
            arrays[f"{kind}_{what}"] = array
            digest.update(np.ascontiguousarray(array))
        refused += [(kind, *why) for why in found.refused]
    name = training.folder.resolve().parent.name
    more = {"sha256": digest.hexdigest(), "folder": section.model_dump(mode="json"), "refused": refused}
    return arrays, name, training.classes, more

"""The data of the experiments, CIFAR-10 or a folder of images: what stage `dataset` leaves, and its splits."""

import hashlib
import json
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import PositiveInt, model_validator

from replication import paths
from replication.dataset import cifar10, photographs
from replication.params import Section

SAMPLE = 1000  # images of a folder that its mean and deviation are of


class Folder(Section):
    """Where the images of `name: folder` are; see docs/imagenet.md."""

    train: Path | None
    validation: Path | None
    truth: Path | None
    side: PositiveInt


class Dataset(Section):
    """The section dataset of params.yaml."""

    name: Literal["cifar10", "folder"]
    source: Literal["auto", "local", "keras", "npm"]
    folder: Folder
    limit: PositiveInt | None
    validation: PositiveInt

    @model_validator(mode="after")
    def folders(self):
        for key in ("train", "validation"):
            if self.name == "folder" and getattr(self.folder, key) is None:
                raise ValueError(f"for dataset.name: folder give dataset.folder.{key}")
        return self


class Split(NamedTuple):
    """Images (n, height, width, 3) and labels (n,); anything that indexes like an array will do."""

    images: np.ndarray
    labels: np.ndarray


def prepare(params):
    """What stage `dataset` leaves, for `save`: arrays, what `describe` says of them, and the source that served.

    Args:
        params: `Dataset`.
    """
    return (*_folder(params), "folder") if params.name == "folder" else _cifar10(params)


def _cifar10(params):
    arrays, served_by = cifar10.fetch(params.source)
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
    held_out = _held_out(len(arrays["train_files"]), params.validation)
    seen = np.delete(np.arange(len(arrays["train_files"])), held_out)
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


def save(folder, arrays, statistics, name="cifar10"):
    """Leave what `load` and `describe` read; the statistics last, so that they vouch for whole arrays."""
    np.savez(Path(folder) / f"{name}.npz", **arrays)
    (Path(folder) / "dataset.json").write_text(json.dumps(statistics, indent=2))


def load(split, params, dataset=paths.DATASET):
    """Read a split of what stage `dataset` left.

    Args:
        split: "train", "validation" or "test". Of the training images `params.validation` are held out: CIFAR-10's
            last, of a folder as many of every class. "test" is CIFAR-10's, and a folder's validation images.
        params: `Dataset`; `limit` keeps so many images of a split, the same number of each class.

    Returns:
        A `Split`. A folder's images are `photographs.Photographs`, read when they are needed.

    Raises:
        FileNotFoundError: stage `dataset` has not run.
    """
    path = Path(dataset) / f"{params.name}.npz"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `dvc repro dataset` first")
    kind = "test" if split == "test" else "train"
    with np.load(path) as arrays:
        labels = arrays[f"{kind}_labels"]
        if params.name == "folder":
            part, files = np.arange(len(labels)), arrays[f"{kind}_files"]
            root = paths.ROOT / (params.folder.validation if kind == "test" else params.folder.train)
            images = photographs.Photographs(root, files, params.folder.side, part)
            if kind == "train":
                held_out = _held_out(len(labels), params.validation)
                part = held_out if split == "validation" else np.delete(part, held_out)
        else:
            images = arrays[f"{kind}_images"]
            held_out = slice(-params.validation, None) if split == "validation" else slice(-params.validation)
            part = slice(None) if split == "test" else held_out
    images, labels = images[part], labels[part]
    chosen = stratified(labels, params.limit) if params.limit else slice(None)
    return Split(images[chosen], labels[chosen])


def _held_out(count, validation):
    """Positions, evenly spaced, of images that a folder lists class by class."""
    if validation >= count:
        raise ValueError(f"dataset.validation must be less than the {count} training images. Received: {validation}")
    return np.linspace(0, count - 1, validation).round().astype(int)


def describe(dataset=paths.DATASET):
    """What stage `dataset` says of its data: kind, classes, counts, per-channel mean and std of 0..255 pixels."""
    return json.loads((Path(dataset) / "dataset.json").read_text())


def stratified(labels, limit):
    """Indices, in order, of the first images of each class, the same number of each, at most `limit` in all."""
    classes = np.unique(labels)
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[: max(1, limit // len(classes))] for c in classes]))

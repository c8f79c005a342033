"""The data of the experiments, CIFAR-10 or a folder of images: what stage `dataset` leaves, and its splits."""

import json
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import PositiveInt, model_validator

from replication import paths, records
from replication.dataset import photographs
from replication.params import Section


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


def save(folder, arrays, statistics, name="cifar10"):
    """Leave what `load` and `describe` read; the statistics last, so that they vouch for whole arrays."""
    records.save_arrays(Path(folder) / f"{name}.npz", arrays)
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
    path = _made(Path(dataset) / f"{params.name}.npz")
    kind = "test" if split == "test" else "train"
    with np.load(path) as arrays:
        labels = arrays[f"{kind}_labels"]
        if params.name == "folder":
            part, files = np.arange(len(labels)), arrays[f"{kind}_files"]
            root = paths.ROOT / (params.folder.validation if kind == "test" else params.folder.train)
            images = photographs.Photographs(root, files, params.folder.side, part)
            if kind == "train":
                chosen = held_out(len(labels), params.validation)
                part = chosen if split == "validation" else np.delete(part, chosen)
        else:
            images = arrays[f"{kind}_images"]
            last = slice(-params.validation, None) if split == "validation" else slice(-params.validation)
            part = slice(None) if split == "test" else last
    images, labels = images[part], labels[part]
    kept = stratified(labels, params.limit) if params.limit else slice(None)
    return Split(images[kept], labels[kept])


def held_out(count, validation):
    """Positions of the images of a folder that are for validation; a ValueError as of `check_validation`."""
    check_validation(count, validation)
    return spread(count, validation)


def check_validation(count, validation):
    """A ValueError where so many images for validation leave none of `count` to train on."""
    if validation >= count:
        raise ValueError(f"dataset.validation must be less than the {count} training images. Received: {validation}")


def spread(count, wanted):
    """Positions of so many of `count` images, or of all, evenly spaced: a folder lists its images class by class."""
    return np.linspace(0, count - 1, min(count, wanted)).round().astype(int)


def describe(dataset=paths.DATASET):
    """What stage `dataset` says of its data: kind, classes, counts, per-channel mean and std of 0..255 pixels."""
    return json.loads(_made(Path(dataset) / "dataset.json").read_text())


def _made(path):
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `dvc repro dataset` first")
    return path


def stratified(labels, limit):
    """Indices, in order, of the first images of each class, the same number of each, at most `limit` in all.

    Raises:
        ValueError: that is less than one of each.
    """
    classes = np.unique(labels)
    if limit < len(classes):
        raise ValueError(f"{limit} images are less than one of each of {len(classes)} classes: raise the limit")
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[: limit // len(classes)] for c in classes]))

"""The data of the experiments: the files of stage `dataset`, and their splits."""

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import PositiveInt, model_validator

from replication import paths, records
from replication.dataset import photographs
from replication.params import Section


class Folder(Section):
    """Where the images of `name: folder` are; see docs/imagenet.md."""

    train: Path | None = None
    validation: Path | None = None
    truth: Path | None = None
    side: PositiveInt = 256


class Dataset(Section):
    """The section dataset of params.yaml, or the data set that a run freezes."""

    name: Literal["cifar10", "imagenette", "folder"]
    source: Literal["auto", "local", "keras", "npm"] = "auto"
    folder: Folder = Folder()
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


def save(folder, arrays, statistics):
    """Write what `load` and `describe` read. The statistics come last: if they exist, the arrays are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:  # a full disk, or another process here, loses nothing
        records.save_arrays(made := Path(scratch, "arrays.npz"), arrays)
        (folder / "dataset.json").unlink(missing_ok=True)
        os.replace(made, folder / "arrays.npz")
    records.write(folder / "dataset.json", json.dumps(statistics, indent=2))


def load(split, data, root=paths.DATASET):
    """Read a split of what stage `dataset` left.

    Args:
        split: "train", "validation" or "test". `held_out` says which of the training images are for validation. "test"
            is CIFAR-10's, Imagenette's val/ and a folder's validation images.
        data: `Dataset`; `limit` keeps at most so many images of a split, an equal share for each class.
        root: the folder in which each data set has one of its own.

    Returns:
        A `Split`. A folder's images are `photographs.Photographs`, read when they are needed.

    Raises:
        FileNotFoundError, ValueError: stage `dataset` has not run for this data set, or what it left is damaged.
    """
    kind, what = "test" if split == "test" else "train", "files" if data.name == "folder" else "images"
    path = _made(data, root, "arrays.npz")
    try:
        with np.load(path) as arrays:
            labels, found = (arrays[f"{kind}_{each}"] for each in ("labels", what))
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {_remedy(data)} ({error})") from None
    chosen = np.arange(len(labels))
    if kind == "train":
        apart = held_out(labels, data)
        chosen = apart if split == "validation" else np.delete(chosen, apart)
    if data.limit:
        chosen = chosen[stratified(labels[chosen], data.limit)]
    if data.name == "folder":
        place = paths.ROOT / (data.folder.validation if kind == "test" else data.folder.train)
        return Split(photographs.Photographs(place, found[chosen], data.folder.side, chosen), labels[chosen])
    return Split(found[chosen], labels[chosen])


def held_out(labels, data):
    """Positions, ascending, of the training images that are held out for validation, by which settings are chosen.

    They are CIFAR-10's last; the same number of each of Imagenette's classes, drawn by a fixed seed; evenly spaced in
    a folder.

    Raises:
        ValueError: no training images would be left, or none of a class.
    """
    if data.validation >= len(labels):
        raise ValueError(
            f"dataset.validation must be less than the {len(labels)} training images. Received: {data.validation}"
        )
    if data.name == "cifar10":
        apart = np.arange(len(labels) - data.validation, len(labels))
    elif data.name == "imagenette":
        shuffled = np.random.default_rng(0).permutation(len(labels))
        apart = np.sort(shuffled[stratified(labels[shuffled], data.validation)])
    else:
        apart = spread(len(labels), data.validation)
    if lost := set(labels) - set(np.delete(labels, apart)):
        raise ValueError(f"dataset.validation: {data.validation} holds out all images of {len(lost)} classes: lower it")
    return apart


def spread(count, wanted):
    """Positions of so many of `count` images, or of all, evenly spaced: a folder lists its images class by class."""
    return np.linspace(0, count - 1, min(count, wanted)).round().astype(int)


def describe(data, root=paths.DATASET):
    """What stage `dataset` says of its data: kind, classes, image_shape, mean and std of each colour (0 to 255).

    Raises:
        FileNotFoundError: stage `dataset` has not run for this data set.
        ValueError: it has, with another number of images held out or of another folder, so that the mean is of other
            images; or what it left is damaged.
    """
    statistics = records.read(_made(data, root, "dataset.json"), _remedy(data))
    if data.name == "folder" and statistics.get("folder") != (folder := data.folder.model_dump(mode="json")):
        raise ValueError(f"{root / 'folder'} is another folder's: `dvc repro dataset` for dataset.folder {folder}")
    if statistics["validation"] != data.validation:
        raise ValueError(
            f"{root / data.name} holds out {statistics['validation']} training images in place of "
            f"{data.validation}: {_remedy(data)}"
        )
    return statistics


def _made(data, root, file):
    path = root / data.name / file
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: {_remedy(data)}")
    return path


def _remedy(data):
    given = f"-p name {data.name} -p validation {data.validation}"
    return f"run papermill notebooks/dataset.ipynb data/dataset.ipynb {given}"


def stratified(labels, limit):
    """Positions, ascending, of the first images of each class: an equal share of `limit`, or all that it has.

    Raises:
        ValueError: that is less than one of each.
    """
    classes = np.unique(labels)
    if limit < len(classes):
        keys = "dataset.limit, dataset.validation, export.images or transfer.test"
        raise ValueError(f"{limit} images are fewer than one of each of {len(classes)} classes: raise {keys}")
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[: limit // len(classes)] for c in classes]))

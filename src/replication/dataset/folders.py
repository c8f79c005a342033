"""Folders of images, such as ImageNet's: the class of each file, and which files are left out and why."""

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from tqdm import tqdm

from replication.dataset import photographs

VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")  # the number is the line of the ground truth
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}  # names of folders that are no classes


@dataclass(frozen=True)
class Index:
    """The files of a folder, and the class of each."""

    folder: Path
    files: np.ndarray  # (n,) paths within the folder
    labels: np.ndarray  # (n,) positions in `classes`
    classes: list  # names of the folders (ImageNet's: WordNet ids), sorted
    refused: list  # (path within the folder, reason)


def index(folder, classes=None, truth=None):
    """List a folder that holds one folder for each class, or ImageNet's flat folder of validation images.

    Hidden files and folders, and macOS' `__MACOSX`, are ignored.

    Args:
        folder: class folders of any names, such as ImageNet's n01440764; or a flat folder.
        classes: names in the order of a network's outputs, as a flat folder needs; None for the folders found, sorted.
        truth: for a flat folder, Caffe's val.txt (lines of a file's name and its label, from 0) or the development
            kit's ILSVRC2012_validation_ground_truth.txt with its meta.mat beside it.

    Raises:
        FileNotFoundError: there is no such folder, or it is flat and `truth` is not there.
        ValueError: folders that are no classes, a single class, an empty one, or a ground truth that does not fit.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder of images")
    names = sorted(entry.name for entry in os.scandir(folder) if _visible(entry.name))
    if found := [name for name in names if (folder / name).is_dir()]:
        loose = [(printable(name), "in no class's folder") for name in sorted(set(names) - set(found))]
        classes, label_of, refused = _class_folders(folder, found, classes)
        refused = loose + refused
    else:
        label_of, refused = _flat(folder, names, classes, truth)
    if not label_of:
        raise ValueError(f"{folder} holds no file of a class")
    return Index(folder, np.array(list(label_of)), np.array(list(label_of.values()), "int64"), classes, refused)


def _class_folders(folder, found, classes):
    """The classes, file -> label, and what is left out: (path, reason)."""
    if len(splits := [name for name in found if name.lower() in SPLITS]) > 1:
        split = min(splits, key=lambda name: name.lower().startswith("train") != (classes is None))
        raise ValueError(f"{folder} holds {' and '.join(splits)}, which are not classes: give {folder / split}")
    if classes is None and len(found) < 2:
        raise ValueError(f"{folder} must hold two class folders at least. Received: {printable(found[0])}")
    if unknown := sorted(set(found) - set(classes or found)):
        raise ValueError(
            f"{folder}: {len(unknown)} of {len(found)} folders are not classes of the network: {', '.join(unknown[:3])}"
        )
    position, label_of, refused = {name: label for label, name in enumerate(classes or found)}, {}, []
    for name in found:
        files, left_out = _class_files(folder, name)
        if not (files or classes):
            why = f" that can be read ({left_out[0][0]}: {left_out[0][1]})" if left_out else ""
            raise ValueError(f"{printable(folder / name)} holds no file{why}: put images there, or remove the folder")
        label_of |= dict.fromkeys(files, position[name])
        refused += left_out
    return list(position), label_of, refused


def _class_files(folder, name):
    """The files of a class with those of its inner folders, and what is left out: (path, reason)."""
    files, refused, errors = [], [], []
    for path, inner, names in sorted(os.walk(folder / name, onerror=errors.append)):
        path = Path(path).relative_to(folder)
        linked = [str(path / each) for each in inner if (folder / path / each).is_symlink()]
        refused += [(printable(each), "a link to a folder, which is not followed") for each in linked if _visible(each)]
        files += [str(path / each) for each in sorted(names) if _visible(path / each)]
    refused += [(printable(Path(each.filename).relative_to(folder)), each.strerror) for each in errors]
    refused += [(printable(each), "its name is not UTF-8") for each in files if printable(each) != each]
    return [each for each in files if printable(each) == each], refused


def _visible(path):
    return not any(part.startswith(".") or part == "__MACOSX" for part in Path(path).parts)


def printable(path):
    """A path as text that can be printed even where the file's name is not UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _flat(folder, names, classes, truth):
    """File -> label, and what is left out, by a ground truth that names the files of a folder."""
    if truth is None:
        raise FileNotFoundError(
            f"{folder} has no class folders: put the images of each class into a folder of its own. For ImageNet's "
            "flat validation images set `truth` in params.yaml to val.txt, or to "
            "ILSVRC2012_validation_ground_truth.txt with meta.mat beside it"
        )
    try:
        lines = [line.strip() for line in truth.read_text("utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError:
        raise ValueError(f"{truth} is not UTF-8 text: save it as UTF-8") from None
    if lines and all(line.isdecimal() for line in lines):
        label_of = _of_kit(truth, [int(line) for line in lines], names, classes)
    else:
        label_of = _of_val_txt(truth, [line for line in lines if line])
    if max(label_of.values(), default=0) >= len(classes):
        raise ValueError(f"{truth} has label {max(label_of.values())}; labels end at {len(classes) - 1}")
    known = {name: label_of[name] for name in names if name in label_of}
    if names and not known:
        raise ValueError(f"{truth} names no file of {folder}: {next(iter(label_of), None)} is not there, {names[0]} is")
    return known, [(printable(name), f"not in {truth.name}") for name in names if name not in label_of]


def _of_kit(truth, ids, names, classes):
    """Name -> label, by the development kit: line n of the ground truth is image n's ILSVRC2012_ID."""
    if not truth.with_name("meta.mat").is_file():
        raise FileNotFoundError(f"{truth} needs the development kit's meta.mat beside it")
    try:
        synsets = np.atleast_1d(loadmat(truth.with_name("meta.mat"), squeeze_me=True)["synsets"])
        wnids = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if s["num_children"] == 0}  # leaves
    except Exception as error:  # scipy raises many kinds
        raise ValueError(f"{truth.with_name('meta.mat')} is not the development kit's: {error}") from None
    position = {wnid: label for label, wnid in enumerate(classes)}
    try:
        of_line = [position[wnids[each]] for each in ids]
    except KeyError as error:
        raise ValueError(f"{truth}: {error.args[0]} is not a class of meta.mat and of the network") from None
    numbers = {name: int(match[1]) for name in names if (match := VALIDATION.fullmatch(name))}
    return {name: of_line[number - 1] for name, number in numbers.items() if 0 < number <= len(of_line)}


def _of_val_txt(truth, lines):
    """Name -> label by Caffe's val.txt, whose names may hold blanks."""
    pairs = [line.rsplit(maxsplit=1) for line in lines]
    if wrong := [line for line, pair in zip(lines, pairs, strict=True) if len(pair) < 2 or not pair[1].isdecimal()]:
        raise ValueError(
            f"{truth} is neither val.txt (name and label per line) nor the ground truth (class per line). "
            f"Received: {wrong[0][:80]!r}"
        )
    label_of = {}
    for name, label in ((Path(name).name, int(label)) for name, label in pairs):
        if label_of.setdefault(name, label) != label:
            raise ValueError(f"{truth} gives {name} the labels {label_of[name]} and {label}")
    return label_of


def check(index, dataset, train):
    """Refuse parameters that no training on a folder can have, all of them at once and before an image is read.

    Args:
        index, dataset, train: `Index` of the training images, `splits.Dataset`, section train as a dict.

    Raises:
        ValueError: it names each key, and the folder.
    """
    count, batch = len(index.files), train["batch_size"] * train["accumulate"]
    left = count - dataset.validation
    wrong = {
        f"dataset.validation must be less than the {count} training images. Received: {dataset.validation}": left < 1,
        f"train.batch_size x train.accumulate must be at most {left}, the images left for training. Received: "
        f"{train['batch_size']} x {train['accumulate']}": train["accumulate"] > 1 and 0 < left < batch,
        f"train.crop must be at most dataset.folder.side, {dataset.folder.side}. Received: {train['crop']}": (
            train["crop"] > dataset.folder.side
        ),
    }
    if any(wrong.values()):
        raise ValueError("; ".join(message for message, is_wrong in wrong.items() if is_wrong))


def sift(index, side):
    """An index without the files that cannot be read: each is read once.

    Raises:
        ValueError: no image is left of a class that has files.
    """
    paths = [index.folder / name for name in index.files]
    read = photographs.in_order(lambda path: photographs.try_read(path, side)[1], paths, 8 * photographs.THREADS)
    reasons = [*tqdm(read, f"Reading {index.folder.name}", len(paths), mininterval=2, unit=" files", file=sys.stdout)]
    good = np.array([reason is None for reason in reasons])
    bad = [(str(name), reason) for name, reason in zip(index.files, reasons, strict=True) if reason]
    if lost := set(index.labels) - set(index.labels[good]):
        i = np.flatnonzero(index.labels == min(lost))[0]
        what = f"{index.folder}: no file of {index.classes[min(lost)]} is an image that can be read"
        raise ValueError(f"{what} ({index.files[i]}: {reasons[i]})")
    return replace(index, files=index.files[good], labels=index.labels[good], refused=[*index.refused, *bad])

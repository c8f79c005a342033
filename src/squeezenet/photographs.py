"""Folders of photographs, as ImageNet's: which files of which class, read as the paper's tools read them; evaluation.

A file that is no image is left out and listed with the reason. Memory does not grow with the number of files.
"""

import collections
import concurrent.futures
import itertools
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy.io import loadmat
from statsmodels.stats.proportion import proportion_confint

VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")  # the number is the line of the ground truth


@dataclass(frozen=True)
class Index:
    """The files of a folder, and what class each is of."""

    folder: Path
    files: np.ndarray  # (n,) paths within the folder
    labels: np.ndarray  # (n,) positions in `classes`
    classes: list  # names of the folders (ImageNet's: WordNet ids), sorted; None where val.txt knows only numbers
    refused: list  # (path within the folder, reason)


def index(folder, classes=None, truth=None):
    """List a folder of one folder for each class, or ImageNet's flat folder of validation images.

    Args:
        folder: class folders of any names, such as ImageNet's n01440764; or a flat folder.
        classes: names of the classes in the order of a network's outputs; None for the folders found, sorted.
        truth: for a flat folder, Caffe's val.txt (lines of a file's name and its label, from 0) or the development
            kit's ILSVRC2012_validation_ground_truth.txt with its meta.mat beside it.

    Raises:
        FileNotFoundError: there is no such folder, or it is flat and `truth` is not there.
        ValueError: folders that are no classes of the network, or a ground truth that does not fit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder of images")
    found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if found:
        classes, files, labels, refused = _class_folders(folder, found, classes)
    else:
        classes, files, labels, refused = _flat(folder, classes, truth)
    if not files:
        raise ValueError(f"{folder} holds no file of a class")
    return Index(folder, np.array(files), np.array(labels, "int64"), classes, refused)


def _class_folders(folder, found, classes):
    unknown = sorted(set(found) - set(classes or found))
    if unknown:
        raise ValueError(
            f"{folder}: {len(unknown)} of {len(found)} folders are no class of the network: {', '.join(unknown[:3])}"
        )
    classes = list(classes or found)
    label_of = {name: label for label, name in enumerate(classes)}
    files = [
        (os.path.relpath(Path(path, name), folder), label_of[of_class])
        for of_class in found
        for path, _, names in sorted(os.walk(folder / of_class))
        for name in sorted(names)
    ]
    refused = [(name, "in no class's folder") for name in _files(folder)]
    return classes, *(zip(*files, strict=True) if files else ((), ())), refused


def _flat(folder, classes, truth):
    if truth is None:
        raise FileNotFoundError(
            f"{folder} has no class folders. For ImageNet's flat validation images give the ground truth: val.txt, "
            "or ILSVRC2012_validation_ground_truth.txt with meta.mat beside it"
        )
    truth = Path(truth)
    rows = [line.split() for line in truth.read_text().splitlines() if line.strip()]
    names = _files(folder)
    if rows and all(len(row) == 2 and row[1].isdigit() for row in rows):
        label_of = {Path(name).name: int(label) for name, label in rows}
    elif rows and all(len(row) == 1 and row[0].isdigit() for row in rows):
        wnids = _wnids(truth.with_name("meta.mat"))
        classes = list(classes or sorted(wnids.values()))
        position = {wnid: label for label, wnid in enumerate(classes)}
        try:
            of_line = [position[wnids[int(row[0])]] for row in rows]
        except KeyError as error:
            raise ValueError(f"{truth}: {error.args[0]} is no class of meta.mat and of the network") from None
        numbers = {name: int(match[1]) for name in names if (match := VALIDATION.fullmatch(name))}
        label_of = {name: of_line[number - 1] for name, number in numbers.items() if 0 < number <= len(of_line)}
    else:
        raise ValueError(
            f"{truth} is neither val.txt (a name and a label a line) nor the ground truth (a class a line)"
        )
    if classes and max(label_of.values(), default=0) >= len(classes):
        raise ValueError(f"{truth} has label {max(label_of.values())}, the network {len(classes)} classes")
    known = [name for name in names if name in label_of]
    refused = [(name, f"not in {truth.name}") for name in names if name not in label_of]
    return classes, known, [label_of[name] for name in known], refused


def _files(folder):
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())


def _wnids(meta):
    """WordNet ids by ILSVRC2012_ID, of the development kit's leaves: those without children."""
    synsets = np.atleast_1d(loadmat(meta, squeeze_me=True)["synsets"])
    return {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if s["num_children"] == 0}


def read(path, side):
    """An image file as uint8 RGB (side, side, 3), whatever its proportions, as Caffe's convert_imageset warps it.

    OpenCV's bilinear interpolation between the nearest four pixels, to the level: without the smoothing that PIL's
    `resize` would add.

    Raises:
        OSError, SyntaxError, ValueError: whatever PIL says of a file that is no image, or damaged.
    """
    with Image.open(path) as image:
        image = image.convert("RGB")
    box = (0, 0, *image.size)
    return np.asarray(image.transform((side, side), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR))


def centre(images, crop):
    """The middle of images (..., height, width, channels), where Caffe takes it."""
    top, left = ((size - crop) // 2 for size in images.shape[-3:-1])
    return images[..., top : top + crop, left : left + crop, :]


def try_read(path, side):
    """The image and None, or None and why the file has none."""
    try:
        return read(path, side), None
    except UnidentifiedImageError:
        return None, "no image"
    except Exception as error:  # a damaged file may fail a decoder in any way
        return None, str(error) or type(error).__name__


def in_order(function, items, ahead, threads=None):
    """Results of a function by threads, in the order of the items; `ahead` of them are under way, and no more."""
    with concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def evaluate(model, index, preprocess, side, crop, batch_size=64, threads=None):
    """Top-1 and top-5 accuracy of a model on every image of a folder that can be read.

    A class counts as better than the true one unless its score is lower, as in Caffe's accuracy layer: a network
    that gives the same to every class knows none.

    Args:
        model: from what `preprocess` gives to scores (batch, classes), logits or probabilities.
        preprocess: from uint8 RGB (batch, crop, crop, 3), 0 to 255, to the model's input.
        side, crop: images are warped to `side` pixels, their middle `crop` are shown.

    Returns:
        images, top1 and top5 with their 95% Wilson intervals (top1_low, top1_high, ...), `refused` (file, reason)
        with the index's own, seconds and images_per_second.

    Raises:
        ValueError: no file could be read.
    """
    began = time.perf_counter()
    refused, better = list(index.refused), []

    def readable():
        images = in_order(lambda name: try_read(index.folder / name, side), index.files, 2 * batch_size, threads)
        for name, label, (image, reason) in zip(index.files, index.labels, images, strict=True):
            if reason:
                refused.append((str(name), reason))
            else:
                yield centre(image, crop), label

    images = readable()
    while batch := list(itertools.islice(images, batch_size)):
        pixels, labels = map(np.stack, zip(*batch, strict=True))
        scores = keras.ops.convert_to_numpy(model.predict_on_batch(preprocess(pixels)))
        true = scores[np.arange(len(labels)), labels][:, None]
        better.extend((~(scores < true)).sum(1) - 1)
    if not better:
        raise ValueError(f"{index.folder}: none of {len(index.files)} files is an image that can be read")
    seconds = time.perf_counter() - began
    result = {"images": len(better)}
    for k in (1, 5):
        right = int((np.array(better) < k).sum())
        low, high = proportion_confint(right, len(better), method="wilson")
        result |= {f"top{k}": right / len(better), f"top{k}_low": float(low), f"top{k}_high": float(high)}
    return result | {"refused": refused, "seconds": seconds, "images_per_second": len(better) / seconds}

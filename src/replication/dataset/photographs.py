"""Folders of photographs, as ImageNet's: which files of which class, read as the paper's tools read them.

A file that is no image is left out and listed with the reason. Images are read when they are needed, by threads, a
few batches ahead: memory does not grow with their number.
"""

import collections
import concurrent.futures
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy.io import loadmat
from tqdm import tqdm

THREADS = max(2, os.cpu_count())  # that read files; their number changes no result
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")  # of PIL's; for PostScript it would start Ghostscript
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


def upright(file):
    """A path or an open file as an RGB image."""
    with Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > Image.MAX_IMAGE_PIXELS:  # of which PIL only warns
            raise ValueError(f"{image.width} x {image.height} pixels are more than {Image.MAX_IMAGE_PIXELS:,}")
        return image.convert("RGB")


def read(path, side):
    """An image file as uint8 RGB (side, side, 3), whatever its proportions, as Caffe's convert_imageset warps it.

    OpenCV's bilinear interpolation between the nearest four pixels, to the level: without the smoothing that PIL's
    `resize` would add.

    Raises:
        OSError, SyntaxError, ValueError: whatever PIL says of a file that is no image, or damaged.
    """
    image = upright(path)
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


def in_order(function, items, ahead, threads=THREADS):
    """Results of a function by threads, in the order of the items; `ahead` of them are under way, and no more."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def sift(index, side):
    """An index without the files that cannot be read: each is read once.

    Raises:
        ValueError: no image is left of a class that has files.
    """
    checked = in_order(lambda name: try_read(index.folder / name, side)[1], index.files, 8 * THREADS)
    reasons = list(tqdm(checked, f"Reading {index.folder.name}", len(index.files), mininterval=2, unit=" files"))
    good = np.array([reason is None for reason in reasons])
    bad = [(str(name), reason) for name, reason in zip(index.files, reasons, strict=True) if reason]
    if lost := set(index.labels) - set(index.labels[good]):
        raise ValueError(f"{index.folder}: no file of {index.classes[min(lost)]} is an image that can be read")
    return replace(index, files=index.files[good], labels=index.labels[good], refused=[*index.refused, *bad])


def statistics(images):
    """Mean and standard deviation of each colour over images, of 0 to 255."""

    def moments(i):
        pixels = images[i].astype("float64")
        return pixels.mean((0, 1)), np.square(pixels).mean((0, 1))

    mean, square = np.mean(list(in_order(moments, range(len(images)), 8 * THREADS)), axis=0)
    return mean, np.sqrt(square - np.square(mean))


@dataclass(frozen=True)
class Photographs:
    """Files that index like an array of their images (n, side, side, 3): an integer reads one, all else chooses."""

    folder: Path
    files: np.ndarray
    side: int
    numbers: np.ndarray  # of the files in the whole folder: what is random of an image depends on its own
    augmentation: tuple | None = None

    def __len__(self):
        return len(self.files)

    def __getitem__(self, chosen):
        if not isinstance(chosen, int | np.integer):
            return replace(self, files=self.files[chosen], numbers=self.numbers[chosen])
        image, reason = try_read(self.folder / self.files[chosen], self.side)
        if reason:
            raise OSError(f"{self.folder / self.files[chosen]}: {reason}. Run `dvc repro -f dataset` to leave it out")
        return image

    def augmented(self, key, shift, mirror):
        """The same files, to be cropped at random and mirrored half the time: a function of `key` and the file.

        Args:
            key: integers, such as a seed and an epoch.
            shift: pixels that a crop may be off the centre, as far as the image reaches; every place is as likely.
        """
        return replace(self, augmentation=(tuple(key), shift, mirror))

    def crop(self, i, crop):
        """One image (crop, crop, 3), from the centre unless `augmented`."""
        image = self[i]
        if self.augmentation is None:
            return centre(image, crop)
        key, shift, mirror = self.augmentation
        rng = np.random.default_rng([*key, self.numbers[i]])
        room = self.side - crop
        low, high = max(0, room // 2 - shift), min(room, room // 2 + shift)
        top, left = rng.integers(low, high + 1, 2)
        image = image[top : top + crop, left : left + crop]
        return image[:, ::-1] if mirror and rng.random() < 0.5 else image


class Batches(keras.utils.PyDataset):
    """Photographs for `fit`, `evaluate` and `predict`, in order, read by threads two batches ahead.

    Not by Keras' own threads: what they had read ahead when JAX's `fit` builds a model comes first again, and as
    many of the last batches never.

    Args:
        images: `Photographs`.
        labels: (n,) integers, which come as one-hot vectors of `classes`; None for images alone.
        crop: pixels.
    """

    def __init__(self, images, labels, batch_size, crop, classes=None):
        super().__init__()
        self.images, self.labels, self.batch_size, self.crop, self.classes = images, labels, batch_size, crop, classes
        self.pool, self.ahead = concurrent.futures.ThreadPoolExecutor(THREADS), {}

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, batch):
        for soon in range(batch, min(batch + 3, len(self))):
            if soon not in self.ahead:
                self.ahead[soon] = [self.pool.submit(self.images.crop, i, self.crop) for i in self._part(soon)]
        pixels = np.stack([read.result() for read in self.ahead.pop(batch)])
        if self.labels is None:
            return (pixels,)
        return pixels, keras.utils.to_categorical(self.labels[self._part(batch)], self.classes)

    def _part(self, batch):
        return range(len(self.images))[batch * self.batch_size : (batch + 1) * self.batch_size]

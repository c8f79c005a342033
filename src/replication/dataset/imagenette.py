"""Imagenette: 13,394 photographs of ten ImageNet classes (Howard 2019), read from an archive and verified.

The photographs are ImageNet's, for research: none goes into the project, see docs/data.md.
"""

import concurrent.futures
import hashlib
import io
import re
import tarfile
import zlib

import keras
import numpy as np
import PIL
from PIL import Image
from tqdm import tqdm

from replication import paths
from replication.dataset import photographs

CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
COUNTS = {"train": 9469, "val": 3925}
SIDE = 144  # pixels that a photograph is stored with: a training sees random crops of 128
TAR, TAR_SHA256 = "imagenette.tar", "92434e827ba749de70a347cd20185509dd13c5690acbe0490836f7a85ae91d05"
COMMIT = "b850f030ff0701c36a4adc8b928ea9483a46915b"
ARCHIVE = f"imagenette-{COMMIT}.tar.gz"  # GitHub packs it anew on demand: its own bytes are not stable
URL = f"https://github.com/thunderInfy/imagenette/archive/{COMMIT}.tar.gz"
PHOTOGRAPH = re.compile(r"(?:^|/)(train|val)/(n\d{8})/([^/]+\.JPEG)$")
CLEAN = re.compile(r"ILSVRC2012_val_\d{8}\.JPEG$")  # ImageNet's validation photographs, in train/ and val/
PILLOW = "13.0.0"  # by which ARRAYS_SHA256 was computed
ARRAYS_SHA256 = {
    "train_images": "c6cd719ad7a7d5c9a70f0c043aefdeb232b8f38c4ea8f21ae5230b8f4e0469fd",
    "train_labels": "044a9511ab5f7ef0dfbcf46e7c9e5cda703ab8412281ba6848112bcd2a756043",
    "train_files": "76760bdc336975ea319531373906e15959d8bfa3a17045b6ccd7d752d19a6863",
    "test_images": "8ecc02e8d5fb20e71d1f23d7d801fe83a5361400064e6c95ca1d87568c8cb37f",
    "test_labels": "d0cd46d3cfc6c319dd2a48f20b9258a5d88d0ebffd60f0fbf1bef746c6b1eefd",
    "test_files": "ebe90364dfb8ae821b93b645a92bbc27637ed07727f482c46cde8348e92f2bc4",
}


def find():
    """The archive of photographs: a copy in data/external, ../shared/data/imagenette.tar, or a download.

    Raises:
        FileNotFoundError: no source served; the message says what to put where.
        ValueError: a file of the name imagenette.tar is another one.
    """
    for path in (paths.EXTERNAL / TAR, paths.EXTERNAL / ARCHIVE, paths.SHARED / "data" / TAR):
        if path.exists():
            break
    else:
        try:
            path = keras.utils.get_file(ARCHIVE, URL, cache_dir=paths.EXTERNAL, cache_subdir="")
        except Exception as error:  # urllib raises many kinds
            raise FileNotFoundError(
                f"Imagenette cannot be downloaded ({error}). Put {TAR}, or {URL} as {ARCHIVE}, into {paths.EXTERNAL}"
            ) from None
    if path.name == TAR:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != TAR_SHA256:
                raise ValueError(f"{path} is not the archive of docs/data.md: its sha256 is another one. Remove it")
    return path


def files(path):
    """The photographs of an archive, in its own order: ("train" or "val", WordNet id, file name, bytes) each."""
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and (match := PHOTOGRAPH.search(member.name)):
                yield *match.groups(), tar.extractfile(member).read()


def fetch():
    """All photographs as arrays, in the order of class and file name.

    Returns:
        A dict of train_images, test_images (n, 144, 144, 3) uint8; train_labels, test_labels (n,), positions in
        `CLASSES`; train_files, test_files (n,), "n01440764/NAME.JPEG". "test" is val/. And the name of the source.

    Raises:
        FileNotFoundError, ValueError: as `find`, or the photographs are not Imagenette's.
    """
    path = find()
    try:
        with concurrent.futures.ThreadPoolExecutor(photographs.THREADS) as pool:
            waiting = [
                (split, wnid, name, pool.submit(_resized, content))
                for split, wnid, name, content in tqdm(
                    files(path), path.name, sum(COUNTS.values()), unit=" photographs"
                )
            ]
            found = sorted((split, wnid, name, job.result()) for split, wnid, name, job in waiting)
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise ValueError(f"{path} is damaged, remove it: {' '.join(str(error).split())}") from None
    counts = {split: sum(photograph[0] == split for photograph in found) for split in COUNTS}
    if counts != COUNTS:
        raise ValueError(f"{path} is not Imagenette: it has {counts} photographs in place of {COUNTS}")
    arrays = {}
    for kind, split in (("train", "train"), ("test", "val")):
        chosen = [photograph for photograph in found if photograph[0] == split]
        arrays |= {
            f"{kind}_images": np.stack([pixels for *_, pixels in chosen]),
            f"{kind}_labels": np.array([list(CLASSES).index(wnid) for _, wnid, *_ in chosen], np.uint8),
            f"{kind}_files": np.array([f"{wnid}/{name}" for _, wnid, name, _ in chosen]),
        }
    verify(arrays)
    return arrays, path.name


def _resized(content):
    return np.asarray(photographs.upright(io.BytesIO(content)).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def verify(arrays):
    """Compare decoded photographs with what they have to be.

    Raises:
        ValueError: a sha256 differs. Another Pillow than the locked one may decode to other pixels, which are not
            compared then, and a line says so.
    """
    if PIL.__version__ != PILLOW:
        print(f"Pillow {PIL.__version__} in place of {PILLOW}: the counts agree, pixels were not compared")
    elif (got := digests(arrays)) != ARRAYS_SHA256:
        wrong = [name for name, digest in got.items() if ARRAYS_SHA256.get(name) != digest]
        raise ValueError(f"this is not Imagenette as docs/data.md names it: the sha256 of {wrong[0]} is another one")


def digests(arrays):
    """sha256 of the C-order bytes of each array; of file names, of their lines."""
    return {
        name: hashlib.sha256(
            "\n".join(array).encode() if array.dtype.kind == "U" else np.ascontiguousarray(array)
        ).hexdigest()
        for name, array in arrays.items()
    }

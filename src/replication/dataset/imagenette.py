"""Imagenette: 13,394 photographs of ten ImageNet classes (Howard 2019), read from an archive and verified.

The photographs are ImageNet's, for research: none goes into the project, see docs/data.md.
"""

import concurrent.futures
import hashlib
import io
import os
import re
import sys
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
PHOTOGRAPH = re.compile(rf"(?:^|/)(train|val)/({'|'.join(CLASSES)})/([^/]+\.JPEG)$")
CLEAN = re.compile(r"ILSVRC2012_val_\d{8}\.JPEG$")  # ImageNet's validation photographs, in train/ and val/
NAMES_SHA256 = "80ba28ee806f935ee4ced89631d5257c912d770e2da6032c9773c373a74d4d04"  # of `digest` without pixels
PILLOW = "13.0.0"  # by which ARRAYS_SHA256 was computed
ARRAYS_SHA256 = "c9270c103410093e2fb0704f7fcc79b0b6c1efc45155f1b835c5ed699dc4f2b5"


def find():
    """The archive of photographs: a copy in data/external, ../shared/data/imagenette.tar, or a download.

    Raises:
        FileNotFoundError: no source served; the message says what to put where.
        ValueError: imagenette.tar is not the known archive.
    """
    for path in (paths.EXTERNAL / TAR, paths.EXTERNAL / ARCHIVE, paths.SHARED / "data" / TAR):
        if path.exists():
            break
    else:
        path, part = paths.EXTERNAL / ARCHIVE, paths.EXTERNAL / f"{ARCHIVE}.{os.getpid()}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # of a killed process of that number
        try:
            os.replace(keras.utils.get_file(part.name, URL, cache_dir=path.parent, cache_subdir=""), path)
        except Exception as error:  # urllib raises many kinds
            raise FileNotFoundError(
                f"Imagenette cannot be downloaded ({error}). Put {TAR}, or {URL} as {ARCHIVE}, into {paths.EXTERNAL}"
            ) from None
    if path.name == TAR:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != TAR_SHA256:
                raise ValueError(f"{path} is not the known {TAR}: its sha256 differs. Remove it")
    return path


def files(path):
    """The photographs of an archive: ("train" or "val", WordNet id, file name, bytes) each.

    Raises:
        ValueError: it is damaged, or does not have as many as Imagenette.
    """
    counts = dict.fromkeys(COUNTS, 0)
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isfile() and (match := PHOTOGRAPH.search(member.name)):
                    counts[match[1]] += 1
                    yield *match.groups(), tar.extractfile(member).read()
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise ValueError(f"{path} is damaged, remove it: {' '.join(str(error).split())}") from None
    if counts != COUNTS:
        raise ValueError(f"{path} is not Imagenette: it has {counts} photographs in place of {COUNTS}. Remove it")


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
            listed = tqdm(files(path), path.name, sum(COUNTS.values()), unit=" photographs", file=sys.stdout)
            read, how = photographs.read, Image.Resampling.LANCZOS
            waiting = [(*named, pool.submit(read, io.BytesIO(content), SIDE, how)) for *named, content in listed]
            found = sorted((*named, job.result()) for *named, job in waiting)
    except OSError as error:
        raise ValueError(f"{path} is damaged, remove it: {error}") from None
    arrays = {}
    for kind, split in (("train", "train"), ("test", "val")):
        chosen = [photograph for photograph in found if photograph[0] == split]
        arrays |= {
            f"{kind}_images": np.stack([pixels for *_, pixels in chosen]),
            f"{kind}_labels": np.array([list(CLASSES).index(wnid) for _, wnid, *_ in chosen], np.uint8),
            f"{kind}_files": np.array([f"{wnid}/{name}" for _, wnid, name, _ in chosen]),
        }
    if digest({name: array for name, array in arrays.items() if not name.endswith("images")}) != NAMES_SHA256:
        raise ValueError(f"{path} is not Imagenette: the names or the classes of its photographs differ. Remove it")
    if PIL.__version__ != PILLOW:  # which may decode to other pixels
        print(f"Pillow {PIL.__version__} in place of {PILLOW}: names and counts agree, pixels were not compared")
    elif digest(arrays) != ARRAYS_SHA256:
        raise ValueError(f"{path} is not Imagenette: the sha256 of its pixels differs. Remove it")
    return arrays, path.name


def digest(arrays):
    """The sha256 of the sha256 of each array's bytes in C order; of file names, of their lines."""
    contents = ["\n".join(a).encode() if a.dtype.kind == "U" else np.ascontiguousarray(a) for a in arrays.values()]
    return hashlib.sha256("".join(hashlib.sha256(each).hexdigest() for each in contents).encode()).hexdigest()

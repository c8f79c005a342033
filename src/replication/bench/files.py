"""Speed of the file format and of k-means, and of a folder of photographs evaluated in three ways."""

import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from replication.bench import folder, plan
from replication.dataset import photographs
from squeezenet import SqueezeNet, deep_compression, weights
from squeezenet.weights import sqnt

ARCHITECTURE = {"model": "squeezenet", "input_shape": [224, 224, 3], "nb_classes": 1000}


def in_turn(works, rounds):
    """Seconds of functions by name, round by round."""
    seconds = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def measure(settings, done):
    """Rows: seconds of encoding, decoding and k-means; images a second and memory of a folder's evaluation."""
    done = {row["what"] for row in done}
    if "kmeans" not in done:
        yield from (row for row in codec(settings.rounds) if row["what"] not in done)
    if "photographs" in done:
        return
    ways = ("Batches", "a plain loop", "torchvision's loader")
    with tempfile.TemporaryDirectory() as scratch:
        for size in ("files", "more"):
            write_photographs(Path(scratch, size, "class"), getattr(settings.photographs, size), settings.photographs)
        found = {way: [] for way in ways}
        for _ in range(settings.rounds):
            for way in ways:
                found[way].append(plan.child("folder", way, Path(scratch, "files")))
        more = plan.child("folder", "Batches", Path(scratch, "more"))
        paths = sorted(Path(scratch, "files").rglob("*.jpg"))
        read = {"reading": lambda: [photographs.read(path, folder.SIDE) for path in paths]}
        reading = [len(paths) / seconds for seconds in in_turn(read, settings.rounds)["reading"]]
    yield {"what": "photographs", "found": found, "more": more, "read_a_second": reading}


def codec(rounds):
    """Rows of SqueezeNet 1.0, pruned and shared at 8 bits, and of k-means of random numbers."""
    from sklearn.cluster import KMeans

    pruned = deep_compression.prune_network(weights.tensors(SqueezeNet()), quality=1.0)
    tensors = deep_compression.share_network(pruned, 8)
    files = {coder: sqnt.encode(tensors, ARCHITECTURE, coder) for coder in sqnt.CODERS}
    sizes = {coder: len(file) for coder, file in files.items()}
    encode = {coder: lambda coder=coder: sqnt.encode(tensors, ARCHITECTURE, coder) for coder in files}
    decode = {coder: lambda coder=coder: sqnt.decode(files[coder]) for coder in files}
    yield {"what": "encode", "bytes": sizes, "seconds": in_turn(encode, rounds)}
    yield {"what": "decode", "bytes": sizes, "seconds": in_turn(decode, rounds)}
    values = np.random.default_rng(0).laplace(size=44_000)  # as many as a large layer keeps
    start = np.linspace(values.min(), values.max(), 63)[:, None]
    theirs = KMeans(63, init=start, n_init=1, max_iter=10_000, tol=0)
    works = {"ours": lambda: deep_compression.kmeans(values, 63), "scikit-learn": lambda: theirs.fit(values[:, None])}
    yield {"what": "kmeans", "seconds": in_turn(works, rounds)}


def write_photographs(target, count, size):
    """JPEG files of a photograph of scikit-image's, enlarged, each from another place of it."""
    from skimage.data import chelsea
    from skimage.transform import resize

    target.mkdir(parents=True)
    picture = (255 * resize(chelsea(), (2 * size.height, 2 * size.width))).astype(np.uint8)
    rng = np.random.default_rng(0)
    for i in range(count):
        top, left = rng.integers(0, (size.height, size.width))
        pixels = picture[top : top + size.height, left : left + size.width]
        Image.fromarray(pixels).save(target / f"{i}.jpg", quality=90)

"""A folder of photographs through SqueezeNet 1.1, read in one of three ways: `folder WAY FOLDER`."""

import json
import sys
import time
from pathlib import Path

if sys.argv[1:2] == ["torchvision's loader"]:
    import torch  # crashes if TensorFlow is imported before it
    import torchvision

import numpy as np

from replication.bench import plan
from replication.dataset import folders, photographs
from squeezenet import SqueezeNet_11

SIDE = 227
BATCH = 50


def batches(way, folder):
    """Batches of a folder's images (batch, 227, 227, 3), 0 to 255."""
    if way == "torchvision's loader":
        from torch.utils.data import DataLoader

        read = {"loader": lambda path: photographs.read(path, SIDE), "transform": torch.tensor}
        loader = DataLoader(torchvision.datasets.ImageFolder(folder, **read), BATCH, num_workers=photographs.THREADS)
        yield from (images.numpy() for images, _ in loader)
    elif way == "a plain loop":
        paths = sorted(Path(folder).rglob("*.jpg"))
        for first in range(0, len(paths), BATCH):
            yield np.stack([photographs.read(path, SIDE) for path in paths[first : first + BATCH]])
    else:
        index = folders.index(folder)
        images = photographs.Photographs(index.folder, index.files, SIDE, np.arange(len(index.files)))
        given = photographs.Batches(images, None, BATCH, SIDE)
        yield from (given[i][0] for i in range(len(given)))


def evaluate(way, folder):
    """Images a second of SqueezeNet 1.1 on a folder, and the most memory of this process without its workers."""
    network = SqueezeNet_11((SIDE, SIDE, 3))
    network.predict_on_batch(np.zeros((BATCH, SIDE, SIDE, 3), np.float32))
    began, count = time.perf_counter(), 0
    for images in batches(way, folder):
        count += len(network.predict_on_batch(images.astype(np.float32)))
    seconds = time.perf_counter() - began
    return {"images": count, "images_per_second": count / seconds, "megabytes": plan.peak()}


if __name__ == "__main__":
    print(json.dumps(evaluate(*sys.argv[1:])))

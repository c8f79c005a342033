"""A folder of photographs through SqueezeNet 1.1, read in one of three ways: `folder WAY FOLDER`."""

import json
import resource
import sys
import time
from pathlib import Path

if sys.argv[1:2] == ["torchvision's loader"]:
    import torchvision  # crashes if TensorFlow is imported before it

import numpy as np

from replication.dataset import photographs
from squeezenet import SqueezeNet_11

SIDE = 227
BATCH = 50


def batches(way, folder):
    """Batches of a folder's images (batch, 227, 227, 3), 0 to 255."""
    if way == "torchvision's loader":
        from torch.utils.data import DataLoader
        from torchvision import transforms

        steps = transforms.Compose([transforms.Resize((SIDE, SIDE)), transforms.PILToTensor()])
        loader = DataLoader(torchvision.datasets.ImageFolder(folder, steps), BATCH, num_workers=2)
        yield from (images.permute(0, 2, 3, 1).numpy() for images, _ in loader)
    elif way == "a plain loop":
        paths = sorted(Path(folder).rglob("*.jpg"))
        for first in range(0, len(paths), BATCH):
            yield np.stack([photographs.read(path, SIDE) for path in paths[first : first + BATCH]])
    else:
        index = photographs.index(folder)
        images = photographs.Photographs(index.folder, index.files, SIDE, np.arange(len(index.files)))
        given = photographs.Batches(images, None, BATCH, SIDE)
        yield from (given[i][0] for i in range(len(given)))


def evaluate(way, folder):
    """Images a second of SqueezeNet 1.1 on a folder, and the most memory of this process, in MB."""
    network = SqueezeNet_11((SIDE, SIDE, 3))
    network.predict_on_batch(np.zeros((BATCH, SIDE, SIDE, 3), np.float32))
    began, count = time.perf_counter(), 0
    for images in batches(way, folder):
        count += len(network.predict_on_batch(images.astype(np.float32)))
    seconds = time.perf_counter() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"images": count, "images_per_second": count / seconds, "megabytes": most}


if __name__ == "__main__":
    print(json.dumps(evaluate(*sys.argv[1:])))

"""Accuracy of a network on a folder of photographs, such as ImageNet's validation images."""

import functools
import itertools
import time

import keras
import numpy as np

from replication import measures, paths
from replication.dataset import photographs
from squeezenet import preprocessing


def validation_images(settings):
    """The files of the folder that the section imagenet names, with ImageNet's labels: see `photographs.index`."""
    wnids = [wnid for wnid, _ in preprocessing.labels()]
    return photographs.index(paths.ROOT / settings.folder, wnids, settings.truth and paths.ROOT / settings.truth)


def evaluate(model, index, preprocess, side, crop, batch_size=64):
    """Top-1 and top-5 accuracy of a model on every image of a folder that can be read.

    Args:
        model: from what `preprocess` gives to scores (batch, classes), logits or probabilities.
        preprocess: from uint8 RGB (batch, crop, crop, 3), 0 to 255, to the model's input.
        side, crop: images are warped to `side` pixels, their middle `crop` are shown.

    Returns:
        A dict of images, top1 and top5 with their 95% Wilson intervals (top1_low, top1_high, ...), `refused` (file,
        reason) with the index's own; and the seconds that it took.

    Raises:
        ValueError: no file could be read.
    """
    began = time.perf_counter()
    refused, better = list(index.refused), []

    def readable():
        read = functools.partial(photographs.try_read, side=side)
        images = photographs.in_order(read, [index.folder / name for name in index.files], 2 * batch_size)
        for name, label, (image, reason) in zip(index.files, index.labels, images, strict=True):
            if reason:
                refused.append((str(name), reason))
            else:
                yield photographs.centre(image, crop), label

    images = readable()
    while batch := list(itertools.islice(images, batch_size)):
        pixels, labels = map(np.stack, zip(*batch, strict=True))
        scores = keras.ops.convert_to_numpy(model.predict_on_batch(preprocess(pixels)))
        better.extend(measures.classes_better(scores, labels))
    if not better:
        raise ValueError(f"{index.folder}: none of {len(index.files)} files is an image that can be read")
    return {"images": len(better), **measures.top(better), "refused": refused}, time.perf_counter() - began

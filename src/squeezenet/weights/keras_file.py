"""Models that Keras saved: bare, or with a network as the last layer, after those that prepare its images.

A .keras file is a zip of config.json, how the model is built, and model.weights.h5, where the weights of a layer are
numbered datasets in a group that has the layer's name. Nothing of the file is built or run.
"""

import io
import json
import math
import zipfile

import h5py
import numpy as np

INFLATED, ROOM = 16, 2**24  # times the zip's bytes, and bytes, that its members may have
KINDS = ("kernel", "bias")  # of the layers with weights that our networks have


def members(path):
    """Name -> bytes of each file in a zip; a ValueError if they claim far more bytes than it has."""
    with zipfile.ZipFile(path) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
        if claimed > INFLATED * path.stat().st_size + ROOM:
            raise ValueError(f"its members claim {claimed:,} bytes, the file has {path.stat().st_size:,}")
        return {name: archive.read(name) for name in archive.namelist()}


def read(path, _=None):
    """The tensors of a .keras file, and Keras' configuration of the network.

    Raises:
        ValueError: it claims far more bytes than it has, or is damaged.
    """
    files = members(path)
    config, content = json.loads(files["config.json"]), files["model.weights.h5"]
    last = config["config"]["layers"][-1]
    if "layers" in last["config"]:
        config = last
    with h5py.File(io.BytesIO(content)) as file:
        return _tensors(file, config["config"]["name"], len(content)), {"keras": config}


def _tensors(file, name, size):
    """The weights of the layers in the model of a name."""
    groups = []  # path and the name that Keras gave it

    def visit(path, item):
        if isinstance(item, h5py.Group) and "name" in item.attrs:
            groups.append((path, str(item.attrs["name"])))

    file.visititems(visit)
    own = [path for path, group in groups if group == name]
    if not own:
        raise ValueError(f"it has no weights of {name}")
    prefix = max(own, key=len).removesuffix("vars") + "layers/"  # the innermost, if a model's last layer has its name
    tensors = {}
    for path, layer in groups:
        if path.startswith(prefix) and path.count("/") == prefix.count("/") + 1:
            for i, key in enumerate(sorted(file[path], key=int)):
                kind = KINDS[i] if i < len(KINDS) else key
                tensors[f"{layer}/{kind}"] = _array(file[path].get(key), size)
    return tensors


def _array(data, size):
    """A dataset that lies in the file itself."""
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
        raise ValueError("its weights are not in the file")
    if math.prod(data.shape) * data.dtype.itemsize > size:
        raise ValueError(f"{data.name} claims more weights than the file holds")
    if data.attrs.get("dtype") == "bfloat16":
        return (np.asarray(data).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.asarray(data)

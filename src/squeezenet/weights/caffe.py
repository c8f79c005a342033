"""Caffe's .caffemodel files, read by their schema without Caffe. They say little of how the network is built."""

import functools
import hashlib

import numpy as np

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError:
    raise ImportError(".caffemodel files need protobuf: in a clone, pip install '.[weights]'") from None

from squeezenet.weights.model_tensors import of_convolutions

# Git's ids of the files of these names in forresti/SqueezeNet and songhan/SqueezeNet-Residual.
OFFICIAL = {
    "squeezenet_v1.0.caffemodel": "a381d848b43d7048c3b362238ece2386c21d6ff0",
    "squeezenet_v1.1.caffemodel": "9d2fc33abf653a6e8b2ee6cc63ede0e72ec67f44",
    "squeezenet_residual_top1_0.6038_top5_0.8250.caffemodel": "f9d4678b926a742b6dea15e1c5ec60291a45d018",
}

# What weights need of caffe.proto. A blob of a Caffe before March 2015 has four dimensions in place of a shape.
CAFFE = {
    "NetParameter": ("REPEATED LayerParameter layer 100",),
    "LayerParameter": ("OPTIONAL STRING name 1", "OPTIONAL STRING type 2", "REPEATED BlobProto blobs 7"),
    "BlobProto": (
        *(f"OPTIONAL INT32 {name} {i}" for i, name in enumerate(("num", "channels", "height", "width"), 1)),
        "REPEATED FLOAT data 5",
        "OPTIONAL BlobShape shape 7",
    ),
    "BlobShape": ("REPEATED INT64 dim 1",),
}


def read(path, _=None):
    """The weights of a SqueezeNet as the authors release it, with simple bypass if the file has its sums.

    Raises:
        ValueError: the file is damaged, is not the official one of its name, or has other layers.
    """
    data = path.read_bytes()
    blob_id = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    official = OFFICIAL.get(path.name.lower(), blob_id)
    if official != blob_id:
        raise ValueError(f"its git blob id is {blob_id}, not the official {official}: remove or rename it")
    layers = net_parameter().FromString(data).layer
    pairs = {layer.name: [_array(blob) for blob in layer.blobs] for layer in layers if layer.blobs}
    if not pairs:
        raise ValueError("it has no layer with weights")
    has_sums = any(layer.type == "Eltwise" for layer in layers)
    return of_convolutions(pairs), {"use_bypass": "simple"} if has_sums else {}


def _array(blob):
    four = blob.num, blob.channels, blob.height, blob.width
    shape = tuple(blob.shape.dim) or (four[3:] if four[:3] == (1, 1, 1) else four)  # a bias has one
    return np.array(blob.data, np.float32).reshape(shape)


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

"""Milliseconds for one photograph and for 32, on one core: SqueezeNet's runtimes, and torchvision's own as the peer.

"oneDNN" runs the convolutions alone, each with its ReLU on its own input. Weights are random, which changes no time.
"""

import os
import tempfile
import timeit
from pathlib import Path

import torch  # before TensorFlow, after which it crashes
import torchvision

# isort: split
import numpy as np
import tensorflow as tf

from benchmarks import common
from replication.export import formats
from squeezenet import arguments, models

SIDE, BATCHES = 227, (1, 32)
TORCHVISION = {"squeezenet": "squeezenet1_0", "squeezenet_11": "squeezenet1_1"}


def ours(network, images, folder):
    """Runtime -> a function that runs a Keras model on the images."""
    network.predict_on_batch(images)  # a network that was never called has no ONNX export
    network.export(folder / "network.onnx", format="onnx", verbose=False)
    network.export(folder / "network.tflite", format="litert", verbose=False)
    onnx = formats.onnx_file(folder / "network.onnx")
    litert = tf.lite.Interpreter(str(folder / "network.tflite"), num_threads=1).get_signature_runner()
    (name,) = litert.get_input_details()
    return {
        "Keras, compiled call": lambda: network.predict_on_batch(images),
        "ONNX Runtime": lambda: onnx(images),
        "LiteRT": lambda: litert(**{name: images}),
    }


def theirs(network, images):
    """The same for torchvision's model."""
    eager, last, watched = (torchvision.models.get_model(network).eval() for _ in range(3))
    last.to(memory_format=torch.channels_last)
    compiled, x = torch.compile(last), images.contiguous()
    return {
        "torchvision": lambda: eager(x),
        "torchvision, channels last": lambda: last(images),
        "torchvision, compiled": lambda: compiled(images),
        "oneDNN, convolutions alone": convolutions(watched, images),
    }


def convolutions(network, images):
    """A function that runs the convolutions, whose weights are laid out for oneDNN beforehand."""
    calls, reorder = [], torch.ops.mkldnn._reorder_convolution_weight

    def note(layer, inputs, _):
        x = inputs[0].to(memory_format=torch.channels_last)
        place = (layer.padding, layer.stride, layer.dilation, 1)
        calls.append((x, reorder(layer.weight, *place, x.shape), layer.bias, *place, "relu", [], ""))

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(note)
    network(images)
    return lambda: [torch.ops.mkldnn._convolution_pointwise(*call) for call in calls]


@torch.inference_mode()
def measure(network, batch):
    """Runtime -> milliseconds of a call, round by round."""
    images = np.random.default_rng(0).uniform(-120, 120, (batch, SIDE, SIDE, 3)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        works = ours(models.create(network, (SIDE, SIDE, 3), arguments.IMAGENET_CLASSES), images, Path(folder))
    works |= theirs(TORCHVISION[network], torch.from_numpy(images).permute(0, 3, 1, 2))
    calls, found = {}, {name: [] for name in works}
    for name, work in works.items():
        work()  # compiles
        calls[name] = max(1, round(common.SECONDS / timeit.timeit(work, number=1)))
    for _ in range(common.ROUNDS):
        for name, work in works.items():
            found[name].append(1000 * timeit.timeit(work, number=calls[name]) / calls[name])
    return {"ms": found}


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    common.fill("inference", [{"network": name, "batch": batch} for name in TORCHVISION for batch in BATCHES], measure)

"""The training step that `speed.py` times: `python -m benchmarks.training FRAMEWORK SIDE NETWORK DTYPE BATCH`.

All frameworks do the same: SGD with Nesterov momentum and weight decay on standardised pixels, without dropout.
"""

import sys
import time

import numpy as np

from benchmarks import common
from replication.train import devices, loop, recipe

CLASSES, MEAN, DEVIATION = range(10), 127.5, 74.0
PLAIN = {"clip_norm": None, "centralise": False, "mirror": False, "shift": 0, "dropout": 0.0}


def with_keras(side, network, dtype, batch):
    """The number of parameters, and a function that trains on images and labels."""
    options, training = recipe.variant_of(network)
    training = training.model_copy(update=PLAIN | {"crop": side})
    devices.set_up(1, seed=0, dtype=dtype)
    data = {"kind": "arrays", "image_shape": (side, side, 3), "classes": CLASSES}
    data |= {"mean": [MEAN] * 3, "std": [DEVIATION] * 3}
    model = recipe.build(options, training, data)
    recipe.compile_for(model, training, updates=10**6)

    def learn(images, labels):
        model.fit(**loop.feed(model, images, labels, batch), shuffle=False, verbose=0)

    return model.layers[-1].count_params(), learn


def with_pytorch(side, network, dtype, batch, compiled):
    """The same as one writes it in PyTorch, channels last."""
    import torch

    from benchmarks import pytorch

    torch.set_num_threads(1)
    options, training = recipe.variant_of(network)
    model = pytorch.create(side=side, classes=len(CLASSES), **options).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), 1e-6, training.momentum, weight_decay=training.weight_decay, nesterov=training.nesterov
    )
    forward = torch.compile(model) if compiled else model

    def learn(images, labels):
        images, labels = torch.from_numpy(images), torch.from_numpy(labels)
        for x, y in zip(images.split(batch), labels.split(batch), strict=True):
            x = ((x - MEAN) / DEVIATION).permute(0, 3, 1, 2)  # in memory, the channels stay last
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype != "float32"):
                logits = forward(x)
            loss = torch.nn.functional.cross_entropy(logits.float(), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # as Keras, which reports it

    return sum(each.numel() for each in model.parameters()), learn


def main(framework, side, network, dtype, batch):
    """Print the numbers of parameters and steps, then after each line of input the images/s of further steps."""
    side, batch = int(side), int(batch)
    images = np.random.default_rng(0).integers(0, 256, (4 * batch, side, side, 3), "uint8")
    if framework.startswith("PyTorch"):
        parameters, learn = with_pytorch(side, network, dtype, batch, "compiled" in framework)
    else:
        parameters, learn = with_keras(side, network, dtype, batch)

    def images_a_second(steps):
        chosen = np.arange(steps * batch) % len(images)
        began = time.perf_counter()
        learn(images[chosen], chosen % len(CLASSES))
        return steps * batch / (time.perf_counter() - began)

    images_a_second(2)  # compiles
    steps = max(1, round(images_a_second(2) * common.SECONDS / batch))
    print(parameters, 2 + 2 + steps, flush=True)
    for _ in sys.stdin:
        print(images_a_second(steps), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

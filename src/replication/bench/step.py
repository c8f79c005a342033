"""One framework's training of one network, on demand: `step CORE FRAMEWORK NETWORK DTYPE BATCH`.

Says how many parameters it trains; then for each line, a number of seconds, trains for about so long and says how many
images a second. All on one core, and alike: SGD with Nesterov's momentum and decay, standardised pixels, no dropout.
"""

import os
import sys
import time

import keras
import numpy as np

from replication.dataset import splits
from replication.params import read
from replication.train import devices, loop, recipe

PLAIN = {"clip_norm": None, "centralise": False, "mirror": False, "dropout": 0.0}


def by_keras(network, dtype, batch):
    """The pipeline's training step: a function that trains on images and labels, and the network."""
    options, settings = recipe.variant_of(network)
    settings = settings.model_copy(update=PLAIN)
    devices.set_up(1, seed=0)
    keras.config.set_dtype_policy(dtype)
    model = recipe.build(network, options, settings, splits.describe(), seed=0)
    recipe.compile_for(model, settings, updates=10**6)

    def learn(images, labels):
        model.fit(**loop.feed(model, images, labels, batch), shuffle=False, verbose=0)

    return learn, model.layers[-1]


def by_pytorch(network, dtype, batch, compiled):
    """The same, as one writes it in PyTorch, channels last: the function, and the count of parameters."""
    import torch

    from replication.bench import pytorch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    options, settings = recipe.variant_of(network)
    statistics = splits.describe()
    model = pytorch.NETWORKS[options.pop("model")](len(statistics["classes"]), **options)
    model(torch.zeros(1, *np.roll(statistics["image_shape"], 1).tolist()))  # lazy layers learn their size
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), 1e-6, settings.momentum, weight_decay=settings.weight_decay, nesterov=settings.nesterov
    )
    mean, std = (torch.tensor(statistics[key]).float() for key in ("mean", "std"))
    forward = torch.compile(model) if compiled else model

    def learn(images, labels):
        images, labels = torch.from_numpy(images), torch.from_numpy(labels).long()
        for x, y in zip(images.split(batch), labels.split(batch), strict=True):
            x = ((x - mean) / std).permute(0, 3, 1, 2)  # in memory, channels stay last
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype != "float32"):
                logits = forward(x)
            loss = torch.nn.functional.cross_entropy(logits.float(), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss.item()  # Keras keeps the loss as well

    return learn, sum(parameter.numel() for parameter in model.parameters())


def main(core, framework, network, dtype, batch):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(core) % len(cores)]})
    batch, split = int(batch), splits.load("train", read("dataset", splits.Dataset))
    if framework.startswith("PyTorch"):
        learn, parameters = by_pytorch(network, dtype, batch, framework.endswith("compiled"))
    else:
        learn, built = by_keras(network, dtype, batch)
        parameters = built.count_params()

    def train(steps):
        chosen = np.arange(steps * batch) % len(split.labels)
        images, labels = split.images[chosen], split.labels[chosen]
        began = time.perf_counter()
        learn(images, labels)
        return steps * batch / (time.perf_counter() - began)

    train(2)  # compiles
    speed = train(4)
    print(parameters, flush=True)
    for line in sys.stdin:
        speed = train(max(1, round(float(line) * speed / batch)))
        print(speed, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

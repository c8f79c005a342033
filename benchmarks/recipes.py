"""Epochs until a validation accuracy is reached: this recipe and two published ones, on the same network."""

import keras
import numpy as np

from benchmarks import common
from replication import params
from replication.dataset import splits
from replication.train import devices, loop, recipe

NETWORK, SEEDS = "squeezenet", (0, 1, 2)
OURS = {65: 3, 75: 7}  # accuracy in % -> epochs of our schedule that reaches it
PLAIN = {"nesterov": False, "clip_norm": None, "centralise": False, "dropout": 0.5}
OTHERS = {  # their changes to section train of params.yaml
    "torchvision": PLAIN | {"epochs": 100, "learning_rate": 0.01, "batch_size": 128},  # as published
    "paper": PLAIN  # as printed and released, but mirrored: batches of 32, 16 to an update
    | {"epochs": 68, "learning_rate": 0.04, "warmup": 0.0, "batch_size": 32, "accumulate": 16}
    | {"initializer": "xavier", "standardise": False},
}
DIVIDE_EVERY = 30  # epochs after which torchvision's rate falls to a tenth


def cells():
    lengths = [("ours", epochs) for epochs in OURS.values()]
    lengths += [(name, changes["epochs"]) for name, changes in OTHERS.items()]
    return [{"recipe": name, "epochs": epochs, "seed": seed} for name, epochs in lengths for seed in SEEDS]


def prepare(name, epochs, seed):
    """A compiled model, its training and validation images, and its section train."""
    data, (options, training) = params.read("dataset", splits.Dataset), recipe.variant_of(NETWORK)
    training = training.model_copy(update=OTHERS.get(name, {}) | {"epochs": epochs, "seed": seed})
    devices.set_up(training.threads, seed, training.dtype)
    learn, check = (splits.load(split, data) for split in ("train", "validation"))
    model = recipe.build(options, training, splits.describe(data))
    updates = recipe.updates_of(learn, training)
    if name == "torchvision":
        compile_as_torchvision(model, training, DIVIDE_EVERY * updates)
    else:
        recipe.compile_for(model, training, epochs * updates)
    return model, learn, check, training


def compile_as_torchvision(model, training, updates):
    """The rate falls to a tenth again and again; all kernels but the last come from He's uniform distribution."""
    rng = np.random.default_rng(training.seed)
    *hidden, _ = [layer for layer in model.layers[-1].layers if isinstance(layer, keras.layers.Conv2D)]
    for layer in hidden:
        limit = np.sqrt(6 / np.prod(layer.kernel.shape[:-1]))
        layer.kernel.assign(rng.uniform(-limit, limit, layer.kernel.shape))
    times, rates = [i * updates for i in (1, 2, 3)], [training.learning_rate / 10**i for i in range(4)]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(times, rates)
    recipe.compile_with(model, recipe.CaffeSGD(schedule, momentum=training.momentum, l2=training.weight_decay))


def measure(**cell):
    """Accuracy after each epoch. Other recipes stop at the higher accuracy of `OURS`, or with their schedule."""
    prepared, accuracies = prepare(*cell.values()), []
    for epoch in range(cell["epochs"]):
        accuracies.append(round(loop.run_epoch(*prepared, epoch)["val_accuracy"], 6))
        if cell["recipe"] != "ours" and 100 * accuracies[-1] >= max(OURS):
            break
    return {"val_accuracy": accuracies}


if __name__ == "__main__":
    common.fill("recipes", cells(), measure)

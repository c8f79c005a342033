"""Seconds on one core to an accuracy on the validation images: our recipe, and others on the same network."""

import json
import os
import sys
import time

import keras
import numpy as np

from replication.bench import plan
from replication.dataset import splits
from replication.params import read, validate
from replication.train import devices, loop, recipe

SCHEDULE = keras.optimizers.schedules.PiecewiseConstantDecay


def measure(settings, done):
    """A row for each recipe and seed: seconds and validation accuracy after each epoch."""
    done = {(row["recipe"], row["epochs"], row["seed"]) for row in done}
    ours = [("ours", epochs) for epochs in settings.recipes.epochs.values()]
    others = [(name, changes["epochs"]) for name, changes in settings.recipes.others.items()]
    for seed in settings.recipes.seeds:
        for name, epochs in ours + others:
            if (name, epochs, seed) not in done:
                curve = plan.child("recipes", name, epochs, seed)
                yield {"recipe": name, "epochs": epochs, "seed": seed, "curve": curve}


def train(name, epochs, seed):
    """A row for each epoch, until the schedule ends; others stop at the highest accuracy, and where patience ends."""
    settings = plan.settings().recipes
    changes = {"epochs": epochs} if name == "ours" else dict(settings.others[name])
    divide_every = changes.pop("divide_every", None)
    options, training = recipe.variant_of(settings.variant)
    training = validate(f"bench.recipes.others.{name}", recipe.Train, training.model_dump() | changes)
    devices.set_up(training.threads, seed)
    learn, check = (splits.load(split, read("dataset", splits.Dataset)) for split in ("train", "validation"))
    model = recipe.build(settings.variant, options, training, splits.describe(), seed)
    updates = recipe.updates_of(learn, training)
    if divide_every:
        as_torchvision(model, training, divide_every * updates, seed)
    else:
        recipe.compile_for(model, training, epochs * updates)
    rows, began = [], time.perf_counter()
    for epoch in range(epochs):
        row = loop.run_epoch(model, learn, check, training, seed, epoch)
        rows.append({"seconds": time.perf_counter() - began, "val_accuracy": round(row["val_accuracy"], 6)})
        print(f"{name}, {epochs} epochs, seed {seed}: {rows[-1]}", file=sys.stderr)
        if name != "ours" and over(rows[-1], settings):
            break
    return rows


def over(row, settings):
    """Whether a training has the highest accuracy, or has taken `patience` times what our longest took."""
    ours = [row["curve"][-1]["seconds"] for row in plan.rows_of("recipes") if row["recipe"] == "ours"]
    return 100 * row["val_accuracy"] >= max(settings.epochs) or row["seconds"] > settings.patience * max(ours)


def as_torchvision(model, training, updates, seed):
    """The rate is divided by 10 again and again; kernels from He's uniform distribution, but for the last layer's."""
    rng = np.random.default_rng(seed)
    *hidden, _ = [layer for layer in model.layers[-1].layers if isinstance(layer, keras.layers.Conv2D)]
    for layer in hidden:
        limit = np.sqrt(6 / np.prod(layer.kernel.shape[:-1]))
        layer.kernel.assign(rng.uniform(-limit, limit, layer.kernel.shape))
    rates = [training.learning_rate / 10**i for i in range(4)]
    model.compile(
        recipe.CaffeSGD(
            SCHEDULE([i * updates for i in (1, 2, 3)], rates), momentum=training.momentum, l2=training.weight_decay
        ),
        keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
    )


if __name__ == "__main__":
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    print(json.dumps(train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))

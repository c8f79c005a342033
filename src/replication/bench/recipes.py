"""Seconds on one core to an accuracy on the validation images: our recipe, and others on the same network."""

import os
import sys
import time

import keras
import numpy as np

from replication.bench import plan
from replication.dataset import splits
from replication.params import read, validate
from replication.train import devices, loop, recipe


def measure(settings, done):
    """A row for each recipe and seed: seconds and validation accuracy after each epoch."""
    done = {(row["recipe"], row["seed"]) for row in done}
    ours = [f"ours, {epochs} epochs" for epochs in settings.recipes.epochs.values()]
    for seed in settings.recipes.seeds:
        for name in (*ours, *settings.recipes.others):
            if (name, seed) not in done:
                yield {"recipe": name, "seed": seed, "curve": plan.child("recipes", name, seed)}


def curve(name, seed):
    """Train until the schedule ends, or the highest accuracy is reached, or patience ends: a row for each epoch."""
    settings = plan.settings().recipes
    options, training = recipe.variant_of(settings.variant)
    changes = settings.others.get(name)
    if changes is None:
        changes, limit = {"epochs": int(name.split()[1])}, np.inf
    else:
        longest = [row for row in plan.rows_of("recipes") if row["recipe"].startswith("ours")]
        limit = settings.patience * max(row["curve"][-1]["seconds"] for row in longest)
    constant = changes.get("constant", False)
    changes = {key: value for key, value in changes.items() if key != "constant"}
    training = validate(f"bench.recipes.others.{name}", recipe.Train, training.model_dump() | changes)
    devices.set_up(training.threads, seed)
    learn, check = (splits.load(split, read("dataset", splits.Dataset)) for split in ("train", "validation"))
    model = recipe.build(settings.variant, options, training, splits.describe(), seed)
    if constant:
        as_torchvision(model, training, seed)
    else:
        recipe.compile_for(model, training, training.epochs * recipe.updates_of(learn, training))
    rows, began = [], time.perf_counter()
    while len(rows) < training.epochs and (not rows or rows[-1]["seconds"] < limit):
        row = loop.run_epoch(model, learn, check, training, seed, len(rows))
        rows.append({"seconds": time.perf_counter() - began, "val_accuracy": row["val_accuracy"]})
        print(f"{name}, seed {seed}: {rows[-1]}", file=sys.stderr)
        if name in settings.others and 100 * row["val_accuracy"] >= max(settings.epochs):
            break
    return rows


def as_torchvision(model, training, seed):
    """A constant rate; kernels from He's uniform distribution, the last layer's from N(0, 0.01)."""
    rng = np.random.default_rng(seed)
    *hidden, _ = [layer for layer in model.layers[-1].layers if isinstance(layer, keras.layers.Conv2D)]
    for layer in hidden:
        limit = np.sqrt(6 / np.prod(layer.kernel.shape[:-1]))
        layer.kernel.assign(rng.uniform(-limit, limit, layer.kernel.shape))
    model.compile(
        recipe.CaffeSGD(training.learning_rate, momentum=training.momentum, l2=training.weight_decay),
        keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
    )


if __name__ == "__main__":
    import json

    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    print(json.dumps(curve(sys.argv[1], int(sys.argv[2]))))

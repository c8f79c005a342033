"""Seconds on one core to an accuracy on the validation images: our recipe, and others on the same network.

An epoch of each is timed apart, in turn. The accuracies may then come from trainings that share the machine.
"""

import concurrent.futures
import itertools
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
TIMED = 1024  # validation images; of the training images the same share is whole batches of every recipe


def measure(settings, done):
    """One row of the seconds of an epoch, then one for each recipe and seed: validation accuracy after each epoch."""
    if not any("seconds" in row for row in done):
        yield {"seconds": plan.child("recipes")}
    known = {(row["recipe"], row["epochs"], row["seed"]) for row in done if "seed" in row}
    ours = [("ours", epochs) for epochs in settings.recipes.epochs.values()]
    others = [(name, changes["epochs"]) for name, changes in settings.recipes.others.items()]
    jobs = [(*each, seed) for each, seed in itertools.product(ours + others, settings.recipes.seeds)]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        started = {pool.submit(plan.child, "recipes", *job): job for job in jobs if job not in known}
        for each in concurrent.futures.as_completed(started):
            if not each.exception():
                row = dict(zip(("recipe", "epochs", "seed"), started[each], strict=True))
                yield row | {"val_accuracy": each.result()}
    for each in started:
        each.result()  # raises what has failed, once the others' rows are kept


def prepare(name, epochs, seed):
    """A recipe's network, compiled, its training and validation images, and its section train."""
    settings = plan.settings().recipes
    changes = {"epochs": epochs} if name == "ours" else dict(settings.others[name])
    divide_every = changes.pop("divide_every", None)
    options, training = recipe.variant_of(settings.variant)
    training = validate(f"bench.recipes.others.{name}", recipe.Train, training.model_dump() | changes)
    devices.set_up(training.threads, seed)
    keras.config.set_dtype_policy(training.dtype)
    learn, check = (splits.load(split, read("dataset", splits.Dataset)) for split in ("train", "validation"))
    model = recipe.build(settings.variant, options, training, splits.describe(), seed)
    updates = recipe.updates_of(learn, training)
    if divide_every:
        as_torchvision(model, training, divide_every * updates, seed)
    else:
        recipe.compile_for(model, training, epochs * updates)
    return model, learn, check, training


def train(name, epochs, seed):
    """Accuracies after each epoch. Others end at the highest that ours reaches, or where patience ends."""
    settings, seconds = plan.settings().recipes, epoch_seconds(plan.rows_of("recipes"))
    patience = settings.patience * max(settings.epochs.values()) * seconds["ours"]
    model, learn, check, training = prepare(name, epochs, seed)
    accuracies = []
    for epoch in range(epochs):
        row = loop.run_epoch(model, learn, check, training, seed, epoch)
        accuracies.append(round(row["val_accuracy"], 6))
        print(f"{name}, seed {seed}: epoch {epoch + 1}/{epochs}, validation {accuracies[-1]:.3f}", file=sys.stderr)
        there = 100 * accuracies[-1] >= max(settings.epochs)
        if name != "ours" and (there or len(accuracies) * seconds[name] >= patience):
            break
    return accuracies


def epoch_seconds(rows):
    """Recipe -> the median seconds of its epoch."""
    (timed,) = [row["seconds"] for row in rows if "seconds" in row]
    return {name: np.median(seconds) for name, seconds in timed.items()}


def time_epochs():
    """Recipe -> seconds of an epoch of its training and validation, round by round in turn, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    settings, timed = plan.settings(), {}
    prepared = {name: prepare(name, 1, seed=0) for name in ("ours", *settings.recipes.others)}
    for number, name in itertools.product(range(1 + settings.rounds), prepared):
        model, learn, check, training = prepared[name]
        part, checked = (
            splits.Split(*(each[: TIMED * len(whole.labels) // len(check.labels)] for each in whole))
            for whole in (learn, check)
        )
        began = time.perf_counter()
        loop.run_epoch(model, part, checked, training, 0, number)
        scale = recipe.updates_of(learn, training) / recipe.updates_of(part, training)
        timed.setdefault(name, []).append(scale * (time.perf_counter() - began))
    return {name: seconds[1:] for name, seconds in timed.items()}  # the first compiles


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
    if job := sys.argv[1:]:
        print(json.dumps(train(job[0], *map(int, job[1:]))))
    else:
        print(json.dumps(time_epochs()))

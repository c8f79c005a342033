"""Train one variant with one seed, or go on with an interrupted training."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import ops

from replication import measures, paths, records
from replication.dataset import photographs, splits
from replication.train import devices
from replication.train.recipe import build, compile_crops, compile_for, update_size, updates_of
from replication.train.resident import Resident
from squeezenet import costs, models

EVALUATION_BATCH = 500
EVALUATION_BATCH_PHOTOGRAPHS = 50


class Progress(keras.callbacks.Callback):
    """Says during an epoch how far a training is."""

    def __init__(self, title, epochs):
        super().__init__()
        self.title, self.epochs = title, epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.began = epoch, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        done, steps = batch + 1, self.params["steps"]
        if done % -(-steps // 5) == 0:
            left = (time.perf_counter() - self.began) / done * (steps * (self.epochs - self.epoch) - done)
            print(
                f"{self.title}: epoch {self.epoch + 1}/{self.epochs}, {done / steps:4.0%}, "
                f"accuracy {logs['accuracy']:.3f}, {left:.0f} s left",
                flush=True,
            )


def train(variant, seed, options, recipe, data, target, dataset=paths.DATASET):
    """Train a variant, or go on with an interrupted training of the same code, parameters and data.

    Writes model.keras, history.csv, predictions.npz and metrics.json into the folder `target`, all or none. Equal
    trainings leave equal bytes there; what differs from run to run is returned.

    Args:
        variant: its name.
        options, recipe: `recipe.variant_of(variant)`.
        data: `splits.Dataset`.

    Returns:
        The trained model, and a dict of seconds, images_per_second and `records.provenance()`.
    """
    target, statistics = Path(target), splits.describe(dataset)
    devices.set_up(recipe.threads, seed)
    keras.config.set_dtype_policy(recipe.dtype)
    training, validation, test = (splits.load(split, data, dataset) for split in ("train", "validation", "test"))
    title = f"{variant}, seed {seed}"
    folder = paths.INTERRUPTED / f"{variant}-{seed}-{_fingerprint(options, recipe, data, statistics)}"
    state, rows = folder / "state.keras", []
    updates = updates_of(training, recipe)
    if state.exists():
        model = keras.models.load_model(state)
        compile_crops(model)
        rows = pd.read_csv(folder / "history.csv").to_dict("records")
    else:
        with devices.one_device():
            model = build(variant, options, recipe, statistics, seed)
        if keras.distribution.distribution():  # whose processes must agree on values from the start
            drawn, model = model, keras.models.clone_model(model)
            model.set_weights(drawn.get_weights())
        compile_for(model, recipe, recipe.epochs * updates)
    alone_on_accelerator = records.accelerator() and keras.distribution.distribution() is None
    fits = keras.backend.backend() == "jax" and isinstance(training.images, np.ndarray)
    learner = Resident(model, training.images, recipe.batch_size) if alone_on_accelerator and fits else model
    start = int(model.optimizer.iterations) // updates
    if start:
        print(f"{title}: going on after epoch {start}", flush=True)
    writes = devices.process()[0] == 0
    folder.mkdir(parents=True, exist_ok=True)
    for epoch in range(start, recipe.epochs):
        row = run_epoch(learner, training, validation, recipe, seed, epoch, Progress(title, recipe.epochs))
        print(f"{title}: epoch {epoch + 1}/{recipe.epochs}, validation {row['val_accuracy']:.3f}", flush=True)
        rows = [*rows[:epoch], row]
        if not writes:
            continue
        # The state counts: it is replaced last and in one piece; a history that runs ahead of it is cut.
        records.write(folder / "history.csv", pd.DataFrame(rows).to_csv(index=False))
        with devices.one_device():  # what one process does alone, none may wait for
            model.save(folder / "next.keras")
        os.replace(folder / "next.keras", state)
    history = pd.DataFrame(rows)
    seconds = float(history.pop("seconds").sum())
    seen = recipe.epochs * min(len(training.labels), updates * update_size(recipe))
    run = {"seconds": seconds, "images_per_second": seen / seconds, **records.provenance()}
    evaluation = evaluate(model, test)
    probabilities = evaluation.pop("probabilities")
    if not writes:
        return model, run
    metrics = {
        "variant": variant,
        "seed": seed,
        "dataset": statistics["name"],
        "train_images": len(training.labels),
        "validation_images": len(validation.labels),
        "test_images": len(test.labels),
        "epochs": recipe.epochs,
        **evaluation,
        "validation_accuracy": float(history.val_accuracy.iloc[-1]),
        "parameters": model.layers[-1].count_params(),
        "macs": costs.macs(model.layers[-1]),
    }
    if data.name == "folder":
        metrics |= measures.top(measures.classes_better(probabilities, test.labels))
    scratch = folder / "result"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with devices.one_device():
        bare = keras.Sequential([keras.Input(model.input_shape[1:], name="images"), *model.layers], name=variant)
        records.save_network(bare, scratch / "model.keras")  # needs no optimiser
    history.to_csv(scratch / "history.csv", index=False)
    records.save_arrays(scratch / "predictions.npz", {"probabilities": probabilities, "labels": test.labels})
    records.write(scratch / "metrics.json", json.dumps(metrics, indent=2))
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch.rename(target)
    shutil.rmtree(folder)
    return model, run


def run_epoch(learner, training, validation, recipe, seed, epoch, *callbacks):
    """One epoch, a function of the model's state, the seed and the epoch's number alone.

    Args:
        learner: the model, or it as a `Resident` of the training images.
        recipe: `Train`: the size of the batches, what is random of a photograph.

    Returns:
        Its row of history.csv: loss and accuracy in training and validation, learning rate, seconds.
    """
    began = time.perf_counter()
    model = learner.network if isinstance(learner, Resident) else learner
    for i, generator in enumerate(v for v in model.variables if v.name == "seed_generator_state"):
        generator.assign(np.array([seed + i, epoch], dtype=generator.dtype))
    order = np.random.default_rng([seed, epoch]).permutation(len(training.labels))
    order = order[: updates_of(training, recipe) * update_size(recipe)]
    number, processes = devices.process()
    if processes > 1:  # each feeds its part of every batch
        order = order.reshape(-1, processes, recipe.batch_size // processes)[:, number].ravel()
    labels = training.labels[order]
    if isinstance(learner, Resident):
        fed = feed(model, order, labels, len(order))
    else:
        images = training.images[order]
        if isinstance(images, photographs.Photographs):
            images = images.augmented((seed, epoch), recipe.shift, recipe.mirror)
        fed = feed(model, images, labels, recipe.batch_size // processes)
    options = {
        "shuffle": False,
        "initial_epoch": epoch,
        "epochs": epoch + 1,
        "callbacks": list(callbacks),
        "verbose": 0,
    }
    result = learner.fit(**fed, **options)
    with devices.alone(model) as copy:
        checked = copy.evaluate(**feed(model, *validation), return_dict=True, verbose=0)
    rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
    logs = {name: values[0] for name, values in result.history.items()}
    logs |= {f"val_{name}": value for name, value in checked.items()}
    return {"epoch": epoch + 1, **logs, "learning_rate": rate, "seconds": time.perf_counter() - began}


def feed(model, images, labels=None, batch_size=None):
    """Arguments for `fit`, or without `batch_size` for `evaluate` and `predict`.

    For arrays and TensorFlow a pipeline without the autotuner of Keras' own, whose thread sleeps twice as long
    each time and is waited for in the end: a fifth of the training's time was that.
    """
    classes = model.output_shape[-1]
    if isinstance(images, photographs.Photographs):
        batch_size = batch_size or EVALUATION_BATCH_PHOTOGRAPHS
        return {"x": photographs.Batches(images, labels, batch_size, model.input_shape[1], classes)}
    batch_size = batch_size or EVALUATION_BATCH
    arrays = (images,) if labels is None else (images, keras.utils.to_categorical(labels, classes))
    if keras.backend.backend() != "tensorflow":
        return dict(zip(("x", "y"), arrays, strict=False)) | {"batch_size": batch_size}
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return {"x": tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size).prefetch(2).with_options(options)}


def evaluate(model, split):
    """Accuracy with its 95% Wilson interval, loss, and the probabilities (n, classes), of a model on a split."""
    with devices.alone(model) as copy:
        probabilities = copy.predict(**feed(model, split.images), verbose=0).astype("float32")
    likelihood = probabilities[np.arange(len(split.labels)), split.labels]
    return {
        **measures.accuracy(probabilities.argmax(1) == split.labels),
        "loss": float(-np.log(np.maximum(likelihood, 1e-7)).mean()),
        "probabilities": probabilities,
    }


def _fingerprint(options, recipe, data, statistics):
    """Of all that a training depends on: a state made by other code, parameters or data is not gone on with."""
    settings = [options, recipe.model_dump(exclude={"seeds"}), data.model_dump(mode="json"), statistics]
    digest = hashlib.sha256(json.dumps([settings, records.versions()]).encode())
    code = [splits, photographs, models]
    for path in (*sorted(Path(__file__).parent.glob("*.py")), *(Path(module.__file__) for module in code)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
